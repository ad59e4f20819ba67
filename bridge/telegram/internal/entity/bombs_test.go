package entity

import (
	"fmt"
	"strings"
	"syscall"
	"testing"
	"time"
)

// bombSize is the most that is parsed.
const bombSize = maxMarkdown

// fill repeats a piece up to bombSize bytes.
func fill(piece string) string { return strings.Repeat(piece, bombSize/len(piece)+1)[:bombSize] }

func bombs() map[string]string {
	half := func(a, b string) string { return fill(a)[:bombSize/2] + fill(b)[:bombSize/2] }
	out := map[string]string{}
	for _, piece := range []string{
		">", "> ", "[", "]", "*", "* ", "_", "~", "`", "``` ", "(", "<", "!", "![", "![[]()", "[a](", "[a](<b", "[](", "[a][b]", "*a ", "a* ", "*a_ ", "a**b", "**a *b ", "a*b_c~d", "***a **b *c ",
		"- ", "-\n", "- a\n", "1. ", "1. a\n", "+ - * ", "> - ", "# a\n", "#", "a\n=\n", "|", "|a", "a|b\n", "|-", "-|", "|\n", "a|\n", "&", "&#", "&amp", "\\", "\\\\\n", "\n", " ", "\t", "    a\n", "\t\ta\n",
		"<a ", "<!--", "<!-- a", "<?", "<![CDATA[", "<a b=\"", "</a", "<div>\n", "http://a.b ", "http://", "http://a(", "www.a.b(", "www.", "a@b", "a@b.c ", "<a@b.c>", "<http://a.b>", "~a", "~~a ", "a~~", "~~~\n", "```\n",
		"[a]: b\n", "[a]: b\n[a]\n", "[a]:\n", "[a", "a]", "[[a]](b)", "[![a](b)](c) ", "- [ ] a\n", "x\x00", "\xff", "\u202e", "\u200b", "a\u0301", "👩‍👩‍👧 ", "*a*", "**a** ", "`a` ", "`a", "``a`", "[a](http://b.c) ", "[b.c](http://d.e) ",
		"> a\n", "> a\n\n", ">\n", "a  \n", "a\\\n", "*_", "*_a_* ", "[*a*](b)_", "*[a*](b) ", "**[", "*`a", "`*a", "<a*", "&#x202e;", "\u0301", "a.b/", "!\\[", "\\[", "(http://a.b", " \n", "- \n\n", "-\ta\n",
	} {
		out[fmt.Sprintf("%q", piece)] = fill(piece)
	}
	backticks := func() string {
		var b strings.Builder
		for n := 1; b.Len() < bombSize; n++ {
			b.WriteString("e" + strings.Repeat("`", n))
		}
		return b.String()
	}
	nest := func() string {
		var b strings.Builder
		for n := 0; b.Len() < bombSize; n++ {
			b.WriteString(strings.Repeat("  ", n) + "* a\n")
		}
		return b.String()
	}
	links := func() string {
		var b strings.Builder
		for n := 0; b.Len() < bombSize; n++ {
			fmt.Fprintf(&b, "[%d]: /%d\n", n, n)
		}
		return b.String()
	}
	out["backticks of all lengths"] = backticks()
	out["list nested by indent"] = nest()
	out["definitions"] = links()
	for _, two := range [][2]string{{">", "\n>"}, {">", "a\n"}, {">", "\n"}, {"> ", "> a\n"}, {"- ", "\n"}, {"- ", "- a\n"}, {"*", "a*"}, {"[", "]"}, {"[", "a](b)"}, {"[a", "](b)"}, {"*a ", "a* "}, {"_a ", "b* "}, {"**a ", "b* "}, {"![", "](a)"}, {"`", "a`"}, {"a`", "`b"},
		{"|a", "\n|-"}, {"<", ">"}, {"<a", " b>"}, {"~", "~a"}, {"*a_", "*"}, {"(", "http://a.b)"}, {"  ", "- a"}, {"- a\n  ", "b\n"}, {"1. ", "1. a\n"}} {
		out[fmt.Sprintf("%q then %q", two[0], two[1])] = half(two[0], two[1])
	}
	columns := strings.Repeat("a|", 1000) + "\n" + strings.Repeat("-|", 1000) + "\n"
	out["wide table"] = columns + strings.Repeat("b\n", 24000)
	out["very wide table"] = strings.Repeat("a|", 6<<10) + "\n" + strings.Repeat("-|", 6<<10) + "\n" + strings.Repeat("b\n", 12000)
	out["narrow table"] = "a|b\n-|-\n" + strings.Repeat("c|d\n", 12000)
	out["long header"] = strings.Repeat("h", 20000) + "|b\n-|-\n" + strings.Repeat("c|d\n", 6000)
	out["cell of links"] = "a|b\n-|-\n" + strings.Repeat("[x](http://a.b) ", 3000) + "|c\n"
	out["code in table"] = "a|b\n-|-\n" + strings.Repeat("`\\|`|\n", 6000)
	out["tables"] = strings.Repeat("a|b\n-|-\nc|d\n\n", 3600)
	return out
}

// Each bomb is rendered and split within a second of processor time (times four, for slow machines
// and the race detector), at the most that is parsed and at what the gateway may send.
func TestBombs(t *testing.T) {
	const most = 4 * time.Second
	worst, which := time.Duration(0), ""
	large := strings.Repeat("x\x00\u202e>*[`\xff", 24<<10) // not parsed
	for name, in := range bombs() {
		for _, in := range []string{in, large} {
			start := spent(t)
			m := Render(in)
			parts := Split(m, MaxUnits)
			took := spent(t) - start
			large = "" // once
			if took > worst {
				worst, which = took, fmt.Sprintf("%s, %d bytes", name, len(in))
			}
			if took > most {
				t.Errorf("%s, %d bytes: %v, the most is %v", name, len(in), took, most)
			}
			if len(m.Text) > 16*len(in)+len(Empty) {
				t.Errorf("%s: %d bytes became %d", name, len(in), len(m.Text))
			}
			for _, part := range parts {
				if err := check(part, MaxUnits); err != nil {
					t.Errorf("%s: %v", name, err)
					break
				}
			}
		}
	}
	t.Logf("worst: %v for %s", worst, which)
}

// spent is the processor time of this process: others on the machine do not count.
func spent(t *testing.T) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		t.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
