package audit

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/secureclaw/secureclaw/internal/strict"
)

// maxNesting is how deep fields may nest before the rest is kept as text. A reader of ours stops at
// strict.MaxDepth, and the entry around the fields counts too.
const maxNesting = strict.MaxDepth - 4

// cleaner turns fields into the bytes that are written: redacted, cut, and without a character that
// could play tricks on a terminal.
type cleaner struct {
	secrets *redactor
	whole   bool // strings are not cut: an intent must be complete
	out     []byte
	changed bool // a member name changed, so two may have become one
}

// encodeFields encodes v, which must become a JSON object; nil becomes the empty one.
func encodeFields(v any, secrets *redactor, whole bool) ([]byte, error) {
	if v == nil {
		return []byte("{}"), nil
	}
	raw, err := strict.Encode(v)
	if err != nil {
		// A tool's output need not be UTF-8. Better a record with replacement characters than none.
		var again error
		if raw, again = json.Marshal(v, json.Deterministic(true), jsontext.AllowInvalidUTF8(true)); again != nil {
			return nil, err
		}
	}
	if len(raw) == 0 || raw[0] != '{' {
		return nil, errors.New("fields are not a JSON object")
	}
	c := cleaner{secrets: secrets, whole: whole, out: make([]byte, 0, len(raw)+64)}
	dec := jsontext.NewDecoder(bytes.NewBuffer(raw), jsontext.AllowInvalidUTF8(true))
	if err := c.value(dec, 0); err != nil {
		return nil, err
	}
	if c.changed {
		var v strict.Value
		if strict.Decode(c.out, &v) != nil { // two names became one
			c.out = c.replace("redacted", c.out)
		}
	}
	if secrets.inRaw(c.out) { // a secret made of JSON punctuation
		c.out = []byte(`{"redacted":"everything"}`)
	}
	if len(c.out) > maxFields {
		c.out = c.replace("cut", c.out)
	}
	return c.out, nil
}

// replace keeps the beginning of fields that cannot be kept as they are.
func (c *cleaner) replace(why string, fields []byte) []byte {
	text := c.secrets.redact(string(fields))
	out := append([]byte(`{"`), why...)
	out = append(out, `":"`...)
	out = appendEscaped(out, cut(text))
	return append(out, `"}`...)
}

// value copies the next value.
func (c *cleaner) value(dec *jsontext.Decoder, depth int) error {
	kind := dec.PeekKind()
	if (kind == '{' || kind == '[') && depth >= maxNesting {
		raw, err := dec.ReadValue()
		if err != nil {
			return err
		}
		c.text(string(raw))
		return nil
	}
	token, err := dec.ReadToken()
	if err != nil {
		return err
	}
	switch token.Kind() {
	case '"':
		c.text(token.String())
	case '0':
		c.number(token.String())
	case '{', '[':
		return c.composite(dec, byte(token.Kind()), depth)
	default:
		c.out = append(c.out, token.String()...)
	}
	return nil
}

func (c *cleaner) composite(dec *jsontext.Decoder, open byte, depth int) error {
	c.out = append(c.out, open)
	end := jsontext.Kind(open + 2) // '}' and ']' are two after '{' and '['
	for first := true; dec.PeekKind() != end; first = false {
		if dec.PeekKind() == 0 {
			_, err := dec.ReadToken()
			if err == nil || err == io.EOF {
				err = io.ErrUnexpectedEOF
			}
			return err
		}
		if !first {
			c.out = append(c.out, ',')
		}
		if open == '{' {
			name, err := dec.ReadToken()
			if err != nil {
				return err
			}
			if c.text(name.String()) {
				c.changed = true
			}
			c.out = append(c.out, ':')
		}
		if err := c.value(dec, depth+1); err != nil {
			return err
		}
	}
	if _, err := dec.ReadToken(); err != nil {
		return err
	}
	c.out = append(c.out, byte(end))
	return nil
}

// text writes a string, and reports whether it had to be changed.
func (c *cleaner) text(was string) bool {
	s := c.secrets.redact(was)
	if !c.whole {
		s = cut(s)
	}
	c.out = append(c.out, '"')
	c.out = appendEscaped(c.out, s)
	c.out = append(c.out, '"')
	return s != was
}

// number keeps a number, as text when a double would round it: a reader of ours refuses those.
func (c *cleaner) number(s string) {
	f, err := strconv.ParseFloat(s, 64)
	exact := err == nil && !math.IsInf(f, 0) && (f != math.Trunc(f) || math.Abs(f) <= 1<<53-1)
	if !exact || c.secrets.has(s) {
		c.text(s)
		return
	}
	c.out = append(c.out, s...)
}

// cut shortens a long text and says by how much, with the SHA-256 of the (redacted) whole.
func cut(s string) string {
	if len(s) <= maxValue {
		return s
	}
	sum := sha256.Sum256([]byte(s))
	end := maxValue
	for !utf8.RuneStart(s[end]) {
		end--
	}
	return fmt.Sprintf("%s… [cut: %d bytes in all, sha256 %x]", s[:end], len(s), sum)
}

// appendEscaped appends s as it stands between the quotes of a JSON string. Everything that a
// terminal acts on or an eye cannot see is written as \u.
func appendEscaped(b []byte, s string) []byte {
	from := 0
	for i := 0; i < len(s); {
		if c := s[i]; c >= ' ' && c < 0x7f && c != '"' && c != '\\' {
			i++
			continue
		}
		r, n := utf8.DecodeRuneInString(s[i:])
		if r >= 0x7f && !(r == utf8.RuneError && n == 1) && visible(r) {
			i += n
			continue
		}
		b = append(b, s[from:i]...)
		switch {
		case r == '"' || r == '\\':
			b = append(b, '\\', byte(r))
		case r == '\n':
			b = append(b, `\n`...)
		case r == '\t':
			b = append(b, `\t`...)
		case r == '\r':
			b = append(b, `\r`...)
		case r > 0xffff:
			r -= 0x10000
			b = fmt.Appendf(b, `\u%04x\u%04x`, 0xd800+(r>>10), 0xdc00+(r&0x3ff))
		default:
			b = fmt.Appendf(b, `\u%04x`, r)
		}
		i += n
		from = i
	}
	return append(b, s[from:]...)
}

// visible reports whether a rune can be written as it is: no control or format character (bidi,
// zero width, tags), no line separator, no odd space, nothing that renders as nothing.
func visible(r rune) bool {
	return unicode.IsPrint(r) && r != '\u2800' &&
		!unicode.In(r, unicode.Other_Default_Ignorable_Code_Point, unicode.Variation_Selector)
}

// plain reports whether a line holds only what appendEscaped lets through.
func plain(line []byte) bool {
	if !utf8.Valid(line) {
		return false
	}
	return !strings.ContainsFunc(string(line), func(r rune) bool { return r != ' ' && !visible(r) })
}
