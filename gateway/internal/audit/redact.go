package audit

import (
	"encoding/base64"
	"encoding/hex"
	"sort"
	"strings"
	"unicode/utf8"
)

const redacted = "[redacted]"

// minCoded is the shortest secret that is also looked for in base64 and hex; the code of a shorter
// one is so short that it would be found in innocent text.
const minCoded = 6

// redactor finds secrets in text, in every spelling a tool or a model is likely to give them: as
// they are, escaped as in JSON (also twice), escaped as in a URL, and in base64 or hex, alone or
// inside something longer, also when the code is wrapped into lines.
type redactor struct {
	least  int      // length of the shortest of both
	plain  []string // the secrets, longest first
	coded  []string // what a base64 or hex form of a secret contains wherever it stands
	spaces bool     // a secret has a space, which a URL may write as +
}

func newRedactor(secrets []string) *redactor {
	r := &redactor{}
	seen := map[string]bool{"": true}
	for _, s := range secrets {
		if seen[s] || strings.Contains(redacted, s) {
			continue
		}
		seen[s] = true
		r.plain = append(r.plain, s)
		r.spaces = r.spaces || strings.Contains(s, " ")
		if len(s) < minCoded {
			continue
		}
		h := hex.EncodeToString([]byte(s))
		r.coded = append(r.coded, h, strings.ToUpper(h))
		for shift := range 3 {
			// The characters that hold bits of nothing but the secret, when shift bytes stand before it.
			from, to := (shift*8+5)/6, (shift+len(s))*8/6
			for _, enc := range []*base64.Encoding{base64.RawStdEncoding, base64.RawURLEncoding} {
				code := enc.EncodeToString([]byte(strings.Repeat("\x00", shift) + s))[from:to]
				if !seen[code] {
					seen[code] = true
					r.coded = append(r.coded, code)
				}
			}
		}
	}
	for _, s := range append(r.plain[:len(r.plain):len(r.plain)], r.coded...) {
		if r.least == 0 || len(s) < r.least {
			r.least = len(s)
		}
	}
	sort.SliceStable(r.plain, func(i, j int) bool { return len(r.plain[i]) > len(r.plain[j]) })
	return r
}

// span is a part of a text, in bytes.
type span struct{ from, to int }

// view is a text in another spelling: byte i of text was written as bytes at[i] to at[i+1] of the
// original. A nil at is the original itself.
type view struct {
	text string
	at   []int
}

func (v view) place(i int) int {
	if v.at == nil {
		return i
	}
	return v.at[i]
}

func (r *redactor) has(s string) bool { return len(r.find(s)) > 0 }

// inRaw reports whether a secret stands in encoded JSON as it is.
func (r *redactor) inRaw(data []byte) bool {
	for _, s := range r.plain {
		if strings.Contains(string(data), s) {
			return len(s) >= minCoded
		}
	}
	return false
}

// redact replaces every secret in s. Replacing may bring two halves together, so it looks again.
func (r *redactor) redact(s string) string {
	for range 4 {
		found := r.find(s)
		if len(found) == 0 {
			return s
		}
		sort.Slice(found, func(i, j int) bool { return found[i].from < found[j].from })
		var b strings.Builder
		end := 0
		for _, f := range found {
			if f.from >= end {
				b.WriteString(s[end:f.from])
				b.WriteString(redacted)
			}
			end = max(end, f.to)
		}
		b.WriteString(s[end:])
		s = b.String()
	}
	return redacted
}

// find returns where secrets stand in s, unordered and perhaps overlapping.
func (r *redactor) find(s string) []span {
	if len(r.plain) == 0 || len(s) < r.least {
		return nil
	}
	if !strings.ContainsAny(s, "\\%+\n") {
		return r.search(nil, view{text: s})
	}
	var found []span
	for _, v := range r.views(s) {
		found = r.search(found, v)
	}
	return found
}

func (r *redactor) search(found []span, v view) []span {
	for _, secret := range r.plain {
		found = v.search(found, secret, 0)
	}
	for _, code := range r.coded {
		// The first and the last character of a code share bits with its neighbours.
		found = v.search(found, code, 1)
	}
	return found
}

func (v view) search(found []span, what string, more int) []span {
	for i := 0; ; {
		j := strings.Index(v.text[i:], what)
		if j < 0 {
			return found
		}
		from, to := i+j, i+j+len(what)
		i = to
		for n := more; n > 0 && from > 0 && isCode(v.text[from-1]); n-- {
			from--
		}
		for n := more; n > 0 && to < len(v.text) && isCode(v.text[to]); n-- {
			to++
		}
		found = append(found, span{v.place(from), v.place(to)})
	}
}

func isCode(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.IndexByte("+/-_", c) >= 0
}

// views returns s and every spelling of it that differs. Most text has neither backslash nor
// percent sign nor newline, and costs nothing here.
func (r *redactor) views(s string) []view {
	list := []view{{text: s}}
	add := func(v view, ok bool) {
		if ok {
			list = append(list, v)
		}
	}
	// Two rounds: a JSON text in a JSON string, a URL in a JSON text, and the other way round.
	for from, round := 0, 0; round < 2; round++ {
		for to := len(list); from < to; from++ {
			v := list[from]
			add(v.decode('\\', unescapeJSON))
			add(v.decode('%', unescapeURL))
			if r.spaces {
				add(v.decode('+', func(string) (string, int) { return " ", 1 }))
			}
		}
	}
	for _, v := range list {
		add(v.decode('\n', func(string) (string, int) { return "", 1 }))
	}
	return list
}

// decode returns v with each escape that starts with mark decoded by one, which returns the text
// and how many bytes it took, 0 for no escape.
func (v view) decode(mark byte, one func(string) (string, int)) (view, bool) {
	if strings.IndexByte(v.text, mark) < 0 {
		return view{}, false
	}
	out := make([]byte, 0, len(v.text))
	at := make([]int, 0, len(v.text)+1)
	for i := 0; i < len(v.text); {
		text, n := v.text[i:i+1], 1
		if v.text[i] == mark {
			if t, m := one(v.text[i:]); m > 0 {
				text, n = t, m
			}
		}
		for j := range len(text) {
			out = append(out, text[j])
			at = append(at, v.place(i))
		}
		i += n
	}
	return view{string(out), append(at, v.place(len(v.text)))}, true
}

func unescapeJSON(s string) (string, int) {
	if len(s) < 2 {
		return "", 0
	}
	if i := strings.IndexByte(`"\/bfnrt'`, s[1]); i >= 0 {
		return "\"\\/\b\f\n\r\t'"[i : i+1], 2
	}
	r, n := unit(s), 6
	if r < 0 {
		return "", 0
	}
	if r >= 0xd800 && r < 0xdc00 {
		if low := unit(s[6:]); low >= 0xdc00 && low < 0xe000 {
			r, n = 0x10000+(r-0xd800)<<10+(low-0xdc00), 12
		}
	}
	return string(utf8.AppendRune(nil, r)), n
}

// unit reads \uXXXX, -1 when s does not begin with one.
func unit(s string) rune {
	if len(s) < 6 || s[0] != '\\' || s[1] != 'u' {
		return -1
	}
	b, err := hex.DecodeString(s[2:6])
	if err != nil {
		return -1
	}
	return rune(b[0])<<8 | rune(b[1])
}

func unescapeURL(s string) (string, int) {
	if len(s) < 3 {
		return "", 0
	}
	b, err := hex.DecodeString(s[1:3])
	if err != nil {
		return "", 0
	}
	return string(b), 3
}
