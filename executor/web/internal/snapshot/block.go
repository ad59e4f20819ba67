package snapshot

import "strings"

// block writes a thing that takes lines of its own.
func (w *writer) block(n *node, depth int) {
	switch {
	case w.skim && aside(n):
		w.left++
		return
	case n.word == "list" && n.name == "" && n.ref == "" && len(n.states) == 0:
		if w.lists != nil {
			w.line(depth, "list")
		}
		w.kids(n.kids, depth, "")
		w.lists = n
		return
	case n.word == "row":
		if w.row(n, depth) {
			return
		}
	}
	if n.ref != "" || n.kind == control {
		if n.kind == flowing {
			if text, ok := w.run(n.kids); ok && n.name == "" {
				w.line(depth, "["+w.opening(n)+": "+text+"]")
				return
			}
		}
		text := w.opening(n)
		if said := n.said(); said != "" {
			text += ": " + said
		}
		w.line(depth, "["+text+"]")
		options, rest := n.options()
		if len(options) > 0 {
			w.line(depth+1, w.choices(n, options))
		}
		w.kids(rest, depth+1, "")
		return
	}
	head := n.head()
	if to := shortURL(w.url, n.url); to != "" {
		head += " " + to
	}
	if said := n.said(); said != "" {
		w.line(depth, head+" named "+said)
		w.kids(n.kids, depth+1, "")
		return
	}
	w.kids(n.kids, depth, head)
}

// row writes a row of a table on one line, false when something in it takes lines of its own.
func (w *writer) row(n *node, depth int) bool {
	var cells []string
	headers, heading := true, false
	for _, kid := range n.kids {
		if kid.gap {
			continue
		}
		text, ok := w.runIn(line{bars: true}, kid.kids)
		if len(kid.kids) == 0 {
			text, ok = bar(within(kid.name)), true
		}
		if kid.kind != flowing || !ok {
			return false
		}
		if kid.word != "columnheader" {
			headers = false
		}
		if kid.ref != "" || len(kid.states) > 0 || kid.word == "rowheader" && len(cells) > 0 || kid.name != "" && len(kid.kids) > 0 {
			said := ""
			if len(kid.kids) > 0 {
				said = kid.said()
			}
			text = "[" + w.opening(kid) + ": " + strings.TrimSpace(said+" "+text) + "]"
		}
		cells = append(cells, text)
		if heading = kid.word == "rowheader" && len(cells) == 1 || heading; heading && len(cells) == 2 {
			cells = []string{cells[0] + " || " + cells[1]}
			heading = false
		}
	}
	if len(cells) == 0 {
		return false
	}
	text := strings.Join(cells, " | ")
	switch {
	case n.ref != "":
		w.line(depth, "["+w.opening(n)+": "+strings.TrimSpace(n.said()+" "+text)+"]")
	case headers && len(n.states) == 0:
		w.line(depth, "headers: "+text)
	default:
		w.line(depth, n.head()+": "+text)
	}
	return true
}

// kids writes what is in a thing. head stands before what begins on its line; the rest is indented.
func (w *writer) kids(list []*node, depth int, head string) {
	var r line
	in, pending := depth, ""
	begin := func() {
		if head != "" {
			w.line(depth, head)
			head, in = "", depth+1
		}
	}
	flush := func() {
		text, loose := r.String(), r.loose
		r = line{}
		switch {
		case text == "":
		case head == "-":
			w.line(depth, "- "+text)
			head, in = "", depth+1
		case head != "":
			w.line(depth, head+": "+text)
			head, in = "", depth+1
		case loose:
			w.line(in, "text: "+text)
		default:
			w.line(in, text)
		}
	}
	for _, kid := range list {
		switch {
		case kid.gap:
			if pending != "\n" {
				pending = kid.name
			}
			continue
		case kid.word == "text" && kid.lines && strings.Contains(strings.TrimSpace(kid.name), "\n"):
			flush()
			begin()
			for _, code := range strings.Split(strings.Trim(kid.name, "\r\n"), "\n") {
				text := quote(strings.TrimRight(strings.ReplaceAll(code, "\t", "  "), " \r"))
				if kid.unseen {
					text = "[" + hiddenFromView + ": " + within(code) + "]"
				}
				w.line(in, strings.TrimRight("| "+text, " "))
			}
		case kid.word == "text":
			if pending == "\n" && (r.words || r.len() > widest) && !kid.unseen && strings.TrimSpace(kid.name) != "" && (head == "" || head[0] != 'h') {
				flush()
			}
			if pending != "" {
				r.space()
			}
			r.text(kid)
		default:
			text, ok := "", false
			if kid.inlines() || head != "" && head[0] == 'h' {
				text, ok = w.inBrackets(kid)
			}
			if !ok {
				flush()
				begin()
				w.block(kid, in)
				break
			}
			if (pending == "\n" || !r.loose) && r.len() > 0 && r.len()+len(text) > widest && head == "" {
				flush()
			}
			if pending != "" {
				r.space()
			}
			r.thing(text)
		}
		pending = ""
	}
	flush()
}

// aside reports whether n surrounds the main content.
func aside(n *node) bool {
	switch n.word {
	case "navigation", "banner", "contentinfo", "complementary":
		return !has(n, "main")
	}
	return false
}

func has(n *node, word string) bool {
	if n.word == word {
		return true
	}
	for _, kid := range n.kids {
		if has(kid, word) {
			return true
		}
	}
	return false
}
