package entity

import (
	"strings"

	"github.com/yuin/goldmark/ast"
	extension "github.com/yuin/goldmark/extension/ast"
)

// maxTable is how many columns of text a table may take before it becomes a list: on a telephone a
// wider one breaks its lines, and nobody finds his column again.
const maxTable = 60

func (r *renderer) table(n *extension.Table) {
	rows, wide := r.grid(n)
	if len(rows) == 0 {
		return
	}
	widths := make([]int, len(rows[0]))
	total := 3 * (len(widths) - 1)
	for i := range widths {
		for _, row := range rows {
			widths[i] = max(widths[i], widthOf(row[i]))
		}
		total += widths[i]
	}
	if wide || total > maxTable {
		r.records(n, rows[0])
		return
	}
	var b strings.Builder
	for i, row := range rows {
		for j, cell := range row {
			if j > 0 {
				b.WriteString(" │ ")
			}
			left := widths[j] - widthOf(cell)
			switch n.Alignments[j] {
			case extension.AlignRight:
			case extension.AlignCenter:
				left /= 2
			default:
				left = 0
			}
			b.WriteString(strings.Repeat(" ", left) + cell)
			if j < len(row)-1 {
				b.WriteString(strings.Repeat(" ", widths[j]-left-widthOf(cell)))
			}
		}
		b.WriteByte('\n')
		if i == 0 {
			for j, width := range widths {
				if j > 0 {
					b.WriteString("─┼─")
				}
				b.WriteString(strings.Repeat("─", width))
			}
			b.WriteByte('\n')
		}
	}
	r.pre(strings.TrimRight(b.String(), "\n"), "")
}

// grid is the text of the cells, header first, each row as long as the header. wide tells that a
// cell alone is wider than a table may be.
func (r *renderer) grid(n *extension.Table) (rows [][]string, wide bool) {
	for row := n.FirstChild(); row != nil; row = row.NextSibling() {
		cells := make([]string, 0, len(n.Alignments))
		for cell := row.FirstChild(); cell != nil && len(cells) < len(n.Alignments); cell = cell.NextSibling() {
			text := r.cell(cell)
			wide = wide || widthOf(text) > maxTable
			cells = append(cells, text)
		}
		for len(cells) < len(n.Alignments) {
			cells = append(cells, "")
		}
		rows = append(rows, cells)
		if wide && len(rows) > 1 {
			return rows, true
		}
	}
	return rows, wide
}

// cell is the text of one cell, cleaned already so that its width is the one that will be seen.
func (r *renderer) cell(n ast.Node) string {
	w := &writer{}
	(&renderer{writer: w, source: r.source}).inlines(n)
	text, _ := clean(string(w.buf))
	text = strings.Join(strings.Fields(text), " ")
	for _, s := range w.spans {
		if len(text) > 4*maxTable {
			break // it becomes a list, where links are links
		}
		if s.kind == TextLink && !strings.Contains(text, s.url) {
			text += " (" + s.url + ")"
		}
	}
	return text
}

// records writes each row as a list item with its cells one below the other, each with its header.
// A header that is no name but a text is not repeated.
func (r *renderer) records(n *extension.Table, header []string) {
	named := true
	for _, name := range header {
		named = named && widthOf(name) <= maxTable/2
	}
	for row := n.FirstChild(); row != nil; row = row.NextSibling() {
		if row == n.FirstChild() && named && n.ChildCount() > 1 {
			continue
		}
		r.space(1)
		r.text("• ")
		r.indented("  ", func() {
			first := true
			for cell, i := row.FirstChild(), 0; cell != nil; cell, i = cell.NextSibling(), i+1 {
				if cell.FirstChild() == nil {
					continue
				}
				if !first {
					r.newline()
				}
				first = false
				if named && i < len(header) && header[i] != "" && row != n.FirstChild() {
					r.styled(span{kind: Bold}, func() { r.text(header[i] + ":") })
					r.text(" ")
				}
				r.inlines(cell)
			}
		})
	}
}
