package audit

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf16"
	"unicode/utf8"

	"pgregory.net/rapid"

	"github.com/secureclaw/secureclaw/internal/strict"
)

// spellings is how a tool, a model or an error may write a secret.
func spellings(secret string) map[string]string {
	quoted, _ := json.Marshal(secret)
	twice, _ := json.Marshal(string(quoted))
	ascii := ""
	for _, u := range utf16.Encode([]rune(secret)) {
		ascii += `\u` + hex.EncodeToString([]byte{byte(u >> 8), byte(u)})
	}
	wrapped := ""
	for i, c := range base64.StdEncoding.EncodeToString([]byte("user:" + secret + "\n")) {
		if i > 0 && i%7 == 0 {
			wrapped += "\n"
		}
		wrapped += string(c)
	}
	out := map[string]string{
		"as it is":            secret,
		"in JSON":             string(quoted),
		"in JSON in JSON":     string(twice),
		"all \\u":             ascii,
		"URL query":           url.QueryEscape(secret),
		"URL path":            url.PathEscape(secret),
		"URL in JSON":         strings.ReplaceAll(url.PathEscape(secret), "%", `\u0025`),
		"base64":              base64.StdEncoding.EncodeToString([]byte(secret)),
		"base64url, no pad":   base64.RawURLEncoding.EncodeToString([]byte(secret)),
		"base64 of user:s":    base64.StdEncoding.EncodeToString([]byte("user:" + secret)),
		"base64 of u:s, more": base64.StdEncoding.EncodeToString([]byte("u:" + secret + ", and more")),
		"base64 of lo:s":      base64.URLEncoding.EncodeToString([]byte("lo:" + secret + "x")),
		"base64 in lines":     wrapped,
		"hex":                 hex.EncodeToString([]byte(secret)),
	}
	return out
}

// leaks reports which form of a secret is in text, looked for in all ways a reader could.
func leaks(text, secret string) bool {
	for _, s := range spellings(secret) {
		s = strings.Trim(s, "=")
		if s != "" && (strings.Contains(text, s) || strings.Contains(text, strings.Trim(s, `"`))) {
			return true
		}
	}
	return false
}

func TestCanariesAreNeverWritten(t *testing.T) {
	secrets := []string{`sk-ant-"quoted"\back/slash+plus`, "pässwörd €uro 🔑 key", "123456789012", "ghp_0123456789abcdef", "two words here", "<tag>&amp;"}
	dir := filepath.Join(t.TempDir(), "audit")
	l := opened(t, dir, Options{Redact: append(secrets, "", "abc")})
	for _, secret := range secrets {
		for name, s := range spellings(secret) {
			text := "before " + s + " after"
			for _, r := range []Record{
				{Kind: KindMessage, Fields: map[string]string{"text": text}},
				{Kind: KindMessage, Fields: map[string]any{text: []any{1, nil, text}, s: true}},
				{Kind: KindMessage, Session: s[:min(len(s), maxName)], Fields: struct{ Raw strict.Value }{strict.Value(`{"` + "a" + `":"b"}`)}},
				{Kind: KindIntent, Call: "c", Fields: map[string]any{"input": map[string]string{"command": "curl -H '" + text + "'"}}},
			} {
				if _, err := l.Append(t.Context(), r); err != nil {
					t.Errorf("Append(%s): %v", name, err)
				}
			}
			if got := l.secrets.redact(text); !strings.HasPrefix(got, "before ") || !strings.HasSuffix(got, " after") || !strings.Contains(got, redacted) {
				t.Errorf("redact(%s: %q) = %q, want only the secret replaced", name, text, got)
			}
		}
	}
	appended(t, l, Record{Kind: KindMessage, Fields: map[string]int{"number": 123456789012}})
	appended(t, l, Record{Kind: KindMessage, Fields: map[string]string{"innocent": "abacus 100% a+b\\n"}})
	closed(t, l)
	files, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range files {
		data, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, secret := range secrets {
			for form, s := range spellings(secret) {
				if bytes.Contains(data, []byte(s)) {
					t.Errorf("%s holds %q %s", filepath.Base(name), secret, form)
				}
			}
		}
	}
	for _, e := range entries(t, dir, Filter{Kind: KindMessage}) {
		for _, secret := range secrets {
			if leaks(string(e.Fields)+e.Session, secret) {
				t.Errorf("entry %s leaks %q", e.Line(), secret)
			}
		}
	}
	verified(t, dir)
}

func TestRedactionHoldsForAnySecret(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		secret := rapid.StringOfN(rapid.RuneFrom([]rune(`abcXYZ019"\/'<>&%+ =_-äß€🔑`)), minCoded, 40, -1).Draw(t, "secret")
		if strings.TrimSpace(secret) != secret || strings.Contains(redacted, secret) {
			t.Skip()
		}
		r := newRedactor([]string{secret})
		for name, s := range spellings(secret) {
			text := rapid.SampledFrom([]string{"", "x ", "héllo: ", "{\"a\":", "%zz\\q "}).Draw(t, "before") + s
			fields, err := encodeFields(map[string]string{"v": text}, r, false)
			if err != nil {
				t.Fatal(err)
			}
			var back struct {
				V string `json:"v"`
			}
			if err := strict.Decode(fields, &back); err != nil {
				// a secret of JSON punctuation takes everything with it
				if string(fields) != `{"redacted":"everything"}` {
					t.Fatalf("%s does not decode: %v", fields, err)
				}
				continue
			}
			if len(r.find(back.V)) > 0 || strings.Contains(back.V, s) {
				t.Fatalf("%s of %q survives as %q", name, secret, back.V)
			}
		}
	})
}

// Whatever fields hold, the line that becomes of them is read back, has no character that could
// play tricks, and says the same when there was no secret in it.
func TestAnyFieldsRoundTrip(t *testing.T) {
	var value func(depth int) *rapid.Generator[any]
	value = func(depth int) *rapid.Generator[any] {
		text := rapid.Map(rapid.String(), func(s string) any { return s })
		if depth == 0 {
			return rapid.OneOf(text, rapid.Map(rapid.Int32(), func(n int32) any { return float64(n) }), rapid.Just[any](nil), rapid.Just[any](true))
		}
		return rapid.OneOf(text,
			rapid.Map(rapid.SliceOfN(value(depth-1), 0, 3), func(v []any) any { return v }),
			rapid.Map(rapid.MapOfN(rapid.String(), value(depth-1), 0, 3), func(v map[string]any) any { return v }))
	}
	dir := filepath.Join(t.TempDir(), "audit")
	l := opened(t, dir, Options{SegmentBytes: 20 << 10})
	rapid.Check(t, func(rt *rapid.T) {
		in := map[string]any{"v": value(4).Draw(rt, "fields")}
		session := rapid.StringN(0, 20, 60).Draw(rt, "session")
		seq, err := l.Append(t.Context(), Record{Kind: KindMessage, Session: session, Fields: in})
		if err != nil {
			rt.Fatalf("Append(%q): %v", in, err)
		}
		for e, err := range Query(t.Context(), dir, Filter{After: seq - 1, Limit: 1}) {
			if err != nil {
				rt.Fatal(err)
			}
			want, err1 := strict.CanonicalOf(in)
			got, err2 := strict.Canonical(e.Fields)
			if err1 == nil && (err2 != nil || !bytes.Equal(want, got)) || e.Session != session {
				rt.Fatalf("Append(%q, %s) reads back as %q, %s", session, want, e.Session, got)
			}
			if !plain([]byte(e.Line())) {
				rt.Fatalf("line %q holds a control or invisible character", e.Line())
			}
		}
	})
	closed(t, l)
	verified(t, dir)
}

func TestLimitsOfFields(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "audit")
	l := opened(t, dir, Options{})
	long := strings.Repeat("ä", 100_000)
	deep := strings.Repeat("[", 30) + strings.Repeat("]", 30)
	for name, tc := range map[string]struct {
		r    Record
		want string // contained in the fields; or in the error, when it begins with "!"
	}{
		"a long value is cut":          {Record{Kind: KindMessage, Fields: map[string]string{"v": long}}, "… [cut: 200000 bytes in all, sha256 "},
		"an intent is whole":           {Record{Kind: KindIntent, Call: "c", Fields: map[string]string{"v": long}}, long},
		"an intent too large":          {Record{Kind: KindIntent, Call: "c", Fields: map[string]string{"v": strings.Repeat("x", maxIntent)}}, "!too large"},
		"many long values":             {Record{Kind: KindMessage, Fields: map[string]any{"v": slicesRepeat(long, 30)}}, `{"cut":"`},
		"no object":                    {Record{Kind: KindMessage, Fields: 7}, "!not a JSON object"},
		"kinds of the log":             {Record{Kind: KindCheckpoint}, "!not for callers"},
		"no kind":                      {Record{}, "!not for callers"},
		"intent without a call":        {Record{Kind: KindIntent}, "!call"},
		"a long session":               {Record{Kind: KindMessage, Session: long}, "!too large"},
		"not UTF-8":                    {Record{Kind: KindMessage, Fields: map[string]string{"v": "a\xffb"}}, "a\ufffdb"},
		"a number that would round":    {Record{Kind: KindMessage, Fields: map[string]uint64{"v": 1<<63 + 1}}, `"9223372036854775809"`},
		"deep values are kept as text": {Record{Kind: KindMessage, Fields: map[string]any{"v": strict.Value(deep)}}, `"[[[]]]"`},
	} {
		seq, err := l.Append(t.Context(), tc.r)
		if text, bad := strings.CutPrefix(tc.want, "!"); bad {
			if err == nil || !strings.Contains(err.Error(), text) {
				t.Errorf("%s: Append = %v, want an error with %q", name, err, text)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: Append = %v", name, err)
			continue
		}
		for e, err := range Query(t.Context(), dir, Filter{After: seq - 1, Limit: 1}) {
			if err != nil || !strings.Contains(string(e.Fields), tc.want) {
				t.Errorf("%s: fields = %.300s, %v; want %.100q in them", name, e.Fields, err, tc.want)
			}
		}
	}
	closed(t, l)
	verified(t, dir)
}

func slicesRepeat(s string, n int) []string {
	out := make([]string, n)
	for i := range out {
		out[i] = s
	}
	return out
}

// What decodes is written again as the same bytes, and holds nothing that a terminal acts on.
func FuzzDecodeEntry(f *testing.F) {
	data, err := os.ReadFile("testdata/golden.jsonl")
	if err != nil {
		f.Fatal(err)
	}
	for line := range bytes.Lines(data) {
		f.Add(bytes.TrimSuffix(line, []byte("\n")))
	}
	f.Fuzz(func(t *testing.T, line []byte) {
		e, err := DecodeEntry(line)
		if err != nil {
			return
		}
		if e.Line() != string(line) {
			t.Fatalf("DecodeEntry(%q) is written as %q", line, e.Line())
		}
		if !utf8.Valid(line) || bytes.ContainsAny(line, "\x00\x1b\n\x7f") {
			t.Fatalf("DecodeEntry(%q) accepts a control character", line)
		}
	})
}
