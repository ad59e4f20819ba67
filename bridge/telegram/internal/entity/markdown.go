package entity

import (
	"strconv"
	"strings"

	"github.com/yuin/goldmark/ast"
	extension "github.com/yuin/goldmark/extension/ast"
	"github.com/yuin/goldmark/text"
)

// renderer walks the tree of a Markdown text.
type renderer struct {
	*writer
	source []byte
	lists  int // how many lists we are in
}

func (r *renderer) document() {
	r.blocks(newParser().Parse(text.NewReader(r.source)), 2)
}

// blocks writes the children of a block with so many line feeds between them.
func (r *renderer) blocks(parent ast.Node, apart int) {
	for n := parent.FirstChild(); n != nil; n = n.NextSibling() {
		if n.PreviousSibling() != nil {
			r.space(apart)
		}
		r.block(n, apart)
	}
}

func (r *renderer) block(n ast.Node, apart int) {
	switch n := n.(type) {
	case *ast.Heading:
		r.styled(span{kind: Bold}, func() { r.inlines(n) })
	case *ast.Blockquote:
		r.quote(func() { r.blocks(n, 2) })
	case *ast.List:
		r.list(n)
	case *ast.ThematicBreak:
		r.text("──────────")
	case *ast.FencedCodeBlock:
		r.codeBlock(n, language(string(n.Language(r.source))))
	case *ast.CodeBlock:
		r.codeBlock(n, "")
	case *ast.HTMLBlock:
		raw := rawLines(n, r.source)
		if n.HasClosure() {
			raw += string(n.ClosureLine.Value(r.source))
		}
		r.lines(strings.TrimRight(raw, "\n"))
	case *ast.LinkReferenceDefinition: // unseen in a browser; nothing is unseen here
		r.text("[" + string(n.Label) + "]: ")
		r.code(string(n.Destination))
		if len(n.Title) > 0 {
			r.text(" " + string(n.Title))
		}
	case *extension.Table:
		r.table(n)
	default:
		if n.FirstChild() != nil && n.FirstChild().Type() == ast.TypeBlock {
			r.blocks(n, apart)
		} else {
			r.inlines(n)
		}
	}
}

func (r *renderer) list(n *ast.List) {
	apart := 2
	if n.IsTight {
		apart = 1
	}
	number := n.Start
	r.lists++
	for item := n.FirstChild(); item != nil; item = item.NextSibling() {
		if item.PreviousSibling() != nil {
			r.space(apart)
		}
		marker := "• "
		switch {
		case n.IsOrdered():
			marker = strconv.Itoa(number) + string(n.Marker) + " "
			number++
		case isTask(item):
			marker = "" // the box stands for it
		case r.lists%2 == 0:
			marker = "◦ "
		}
		r.flush(true)
		r.text(marker)
		r.indented(strings.Repeat(" ", max(2, len([]rune(marker)))), func() { r.blocks(item, apart) })
	}
	r.lists--
}

func isTask(item ast.Node) bool {
	first := item.FirstChild()
	return first != nil && first.FirstChild() != nil && first.FirstChild().Kind() == extension.KindTaskCheckBox
}

func (r *renderer) codeBlock(n ast.Node, language string) {
	code := strings.TrimRight(expand(rawLines(n, r.source)), " \n")
	if strings.TrimLeft(code, " \n") == "" {
		return
	}
	r.pre(code, language)
}

func rawLines(n ast.Node, source []byte) string {
	var b strings.Builder
	lines := n.Lines()
	for i := range lines.Len() {
		line := lines.At(i)
		b.Write(line.Value(source))
	}
	return b.String()
}

// expand makes spaces of tabs, as Telegram would make one of each.
func expand(code string) string {
	if !strings.Contains(code, "\t") {
		return code
	}
	var b strings.Builder
	column := 0
	for _, r := range code {
		switch r {
		case '\t':
			n := 4 - column%4
			b.WriteString("    "[:n])
			column += n
		case '\n':
			b.WriteByte('\n')
			column = 0
		default:
			b.WriteRune(r)
			column++
		}
	}
	return b.String()
}

// language is the name of a programming language, or nothing: Telegram shows it above the block.
func language(info string) string {
	for _, r := range info {
		if !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("+#-_.", r)) {
			return ""
		}
	}
	if len(info) > 32 {
		return ""
	}
	return info
}
