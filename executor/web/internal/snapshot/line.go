package snapshot

import "strings"

// line is one line while it is written. Texts that meet are joined before they are looked at, so that
// nothing can hide on the border between two.
type line struct {
	b     strings.Builder
	raw   strings.Builder // text that is not yet in b
	loose bool            // it begins with text
	words bool            // it ends with text
	gap   bool
	bars  bool // bars part cells around it
}

func (l *line) len() int { return l.b.Len() + l.raw.Len() }

// space parts what comes from what is there.
func (l *line) space() {
	if l.len() > 0 {
		l.gap = true
	}
}

func (l *line) text(n *node) {
	text := n.name
	if n.unseen {
		if text = fold(text); text != "" {
			l.thing("[" + hiddenFromView + ": " + within(text) + "]")
		}
		return
	}
	if l.len() == 0 {
		text = strings.TrimLeft(text, " \t\r\n\u00a0")
		l.loose = text != ""
	}
	if text == "" {
		return
	}
	if l.gap {
		l.raw.WriteByte(' ')
	}
	l.gap = false
	l.raw.WriteString(text)
	if strings.TrimSpace(text) != "" {
		l.words = true
	}
}

// thing adds what is already written as it has to be.
func (l *line) thing(text string) {
	l.settle()
	if s := l.b.String(); len(s) > 0 && s[len(s)-1] != ' ' {
		if last := s[len(s)-1]; l.gap || last == ']' || text[0] == '[' && text[1] >= '0' && text[1] <= '9' && last != '(' {
			l.b.WriteByte(' ')
		}
	}
	l.gap, l.words = false, false
	l.b.WriteString(text)
}

// settle writes text that was waiting.
func (l *line) settle() {
	text := l.raw.String()
	l.raw.Reset()
	if text == "" {
		return
	}
	folded := fold(text)
	before := l.b.String()
	if strings.TrimLeft(text, " \t\r\n\u00a0") != text && before != "" && before[len(before)-1] != ' ' {
		l.b.WriteByte(' ')
	}
	if folded == "" {
		return
	}
	if folded = quote(folded); l.bars {
		folded = bar(folded)
	}
	l.b.WriteString(folded)
	if strings.TrimRight(text, " \t\r\n\u00a0") != text {
		l.b.WriteByte(' ')
	}
}

func (l *line) String() string {
	l.settle()
	return strings.TrimSpace(l.b.String())
}

// quote makes a text of the page safe to stand in a line: clean, and with no bracket that could be
// taken for the start of one of ours.
func quote(text string) string {
	text = clean(text)
	if !strings.Contains(text, "[") {
		return text
	}
	var b strings.Builder
	for {
		before, after, found := strings.Cut(text, "[")
		b.WriteString(before)
		if !found {
			return b.String()
		}
		if opens(after) {
			b.WriteString(mark('[', 1))
		} else {
			b.WriteByte('[')
		}
		text = after
	}
}

// opens reports whether what follows a bracket looks like one of ours.
func opens(text string) bool {
	word := firstWord(text)
	return isWord(word) || isRef(word)
}

func firstWord(text string) string {
	end := strings.IndexAny(text, " :]")
	if end < 0 {
		return text
	}
	return text[:end]
}

// within is quote for a text that stands in brackets: those of its own must be in pairs.
func within(text string) string {
	text = quote(fold(text))
	if balanced(text) {
		return text
	}
	return noBrackets(text)
}

func noBrackets(text string) string {
	return strings.NewReplacer("[", mark('[', 1), "]", mark(']', 1)).Replace(text)
}

func balanced(text string) bool {
	open := 0
	for i := range len(text) {
		switch text[i] {
		case '[':
			open++
		case ']':
			if open--; open < 0 {
				return false
			}
		}
	}
	return open == 0
}

// bar is a text for a place where bars part things.
func bar(text string) string { return strings.ReplaceAll(text, "|", mark('|', 1)) }
