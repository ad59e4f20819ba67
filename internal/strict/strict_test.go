package strict_test

import (
	"bytes"
	"strings"
	"testing"

	"github.com/secureclaw/secureclaw/internal/strict"
)

type doc struct {
	Path  string `json:"path"`
	Limit int    `json:"limit,omitzero"`
	Inner *doc   `json:"inner,omitzero"`
}

func TestDecodeRefuses(t *testing.T) {
	for name, tc := range map[string]struct{ in, want string }{
		"duplicate key":         {`{"path":"a","path":"b"}`, "duplicate"},
		"duplicate by escape":   {`{"path":"a","p\u0061th":"b"}`, "duplicate"},
		"another letter case":   {`{"Path":"a"}`, "unknown"},
		"unknown field":         {`{"path":"a","x":1}`, "unknown"},
		"unknown nested field":  {`{"path":"a","inner":{"y":1}}`, "unknown"},
		"data behind the value": {`{"path":"a"} {"path":"b"}`, "after the end"},
		"junk behind the value": {`{"path":"a"}x`, "after the end"},
		"empty":                 {``, "empty"},
		"only spaces":           {"  \n", "empty"},
		"cut in the middle":     {`{"path":"a`, "unexpected EOF"},
		"invalid UTF-8":         {"{\"path\":\"\xff\"}", "UTF-8"},
		"lone surrogate":        {`{"path":"\ud800"}`, "surrogate"},
		"wrong type":            {`{"path":1}`, "does not fit"},
		"float for an integer":  {`{"path":"a","limit":1.5}`, "limit"},
		"number that rounds":    {`{"path":"a","limit":9007199254740993}`, "2^53"},
		"number out of range":   {`{"path":"a","limit":1e999}`, "out of range"},
		"too deep":              {strings.Repeat("[", 40) + strings.Repeat("]", 40), "deeper"},
		"NaN":                   {`{"limit":NaN}`, "invalid character"},
		"comment":               {`{"path":"a"/*x*/}`, "invalid character"},
	} {
		t.Run(name, func(t *testing.T) {
			var v doc
			err := strict.Decode([]byte(tc.in), &v)
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("Decode(%q) = %v, want an error with %q", tc.in, err, tc.want)
			}
		})
	}
}

func TestDecodeAccepts(t *testing.T) {
	var v doc
	if err := strict.Decode([]byte(` {"path":"a","limit":3,"inner":{"path":"b"}} `), &v); err != nil {
		t.Fatal(err)
	}
	if v.Path != "a" || v.Limit != 3 || v.Inner == nil || v.Inner.Path != "b" {
		t.Errorf("Decode = %+v", v)
	}
}

func TestCanonicalIsOneForm(t *testing.T) {
	for _, in := range []string{`{"b":1,"a":"x"}`, ` { "a" : "\u0078", "b" : 1.0 } `, `{"a":"x","b":1e0}`} {
		got, err := strict.Canonical([]byte(in))
		if err != nil || string(got) != `{"a":"x","b":1}` {
			t.Errorf("Canonical(%s) = %s, %v", in, got, err)
		}
	}
}

// What Canonical accepts, Decode reads, and canonicalising again changes nothing.
func FuzzCanonical(f *testing.F) {
	for _, s := range []string{`{}`, `[1,2,{"a":null}]`, `"\u2028"`, `-0`, `1e21`, `{"a":1,"a":2}`, `[[[[]]]]`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		once, err := strict.Canonical(in)
		if err != nil {
			return
		}
		var v any
		if err := strict.Decode(once, &v); err != nil {
			t.Fatalf("Decode(%q) after Canonical(%q): %v", once, in, err)
		}
		twice, err := strict.Canonical(once)
		if err != nil || !bytes.Equal(once, twice) {
			t.Fatalf("Canonical(%q) = %q, again = %q, %v", in, once, twice, err)
		}
	})
}
