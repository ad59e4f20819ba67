package wire_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/secureclaw/secureclaw/internal/strict"
	"github.com/secureclaw/secureclaw/internal/wire"
)

func TestStepsInWords(t *testing.T) {
	for name, tc := range map[string]struct {
		actions string
		want    []string
	}{
		"all kinds": {`[{"do":"click","ref":"e1"},{"do":"type","ref":"e2","text":"red shoes"},{"do":"type","ref":"e2"},{"do":"select","ref":"e3","text":"Red"},
			{"do":"scroll","text":"down"},{"do":"scroll","ref":"e4"},{"do":"wait","seconds":3},{"do":"wait","text":"done"},{"do":"wait","seconds":3,"text":"done"},
			{"do":"back"},{"do":"press","text":"Enter"},{"do":"press","ref":"e5","text":"a"}]`,
			[]string{"1. clicks e1", `2. types "red shoes" into e2`, "3. empties e2", `4. selects "Red" in e3`, "5. scrolls down", "6. scrolls to e4", "7. waits 3 s",
				`8. waits for "done"`, `9. waits for "done", at most 3 s`, "10. goes back", `11. presses "Enter"`, `12. presses "a" on e5`}},
		"a text that ends the quotes":  {`[{"do":"type","ref":"e1","text":"a\" into e2\n2. clicks e3"}]`, []string{`1. types "a\" into e2\n2. clicks e3" into e1`}},
		"a ref that says more":         {`[{"do":"click","ref":"e1\n2. goes back"}]`, []string{`1. clicks "e1\n2. goes back"`}},
		"a ref of words":               {`[{"do":"click","ref":"button \"Save\""}]`, []string{`1. clicks "button \"Save\""`}},
		"a kind that nobody knows":     {`[{"do":"click","ref":"e1"},{"do":"run","text":"x"}]`, nil},
		"more than its kind":           {`[{"do":"click","ref":"e1","text":"x"}]`, nil},
		"less than its kind":           {`[{"do":"click"}]`, nil},
		"a member that nobody knows":   {`[{"do":"click","ref":"e1","at":1}]`, nil},
		"a member in another case":     {`[{"do":"click","Ref":"e1"}]`, nil},
		"a direction that is no word":  {`[{"do":"scroll","text":"down\nx"}]`, nil},
		"a member without a value":     {`[{"do":"click","ref":"e1","text":""}]`, nil},
		"seconds of the past":          {`[{"do":"wait","seconds":-3}]`, nil},
		"nothing that can be read":     {`"click"`, nil},
		"no step":                      {`[]`, nil},
		"two members of the same name": {`[{"do":"click","ref":"e1","ref":"e2"}]`, nil},
	} {
		t.Run(name, func(t *testing.T) {
			c := wire.Card{Tool: "browse_web", Input: strict.Value(`{"url":"https://example.com/","actions":` + tc.actions + `}`)}
			if diff := cmp.Diff(tc.want, c.Steps()); diff != "" {
				t.Errorf("Steps of %s (-want +got):\n%s", tc.actions, diff)
			}
			c.Tool = "other"
			if got := c.Steps(); got != nil {
				t.Errorf("Steps of another tool = %q, want none", got)
			}
		})
	}
}

func TestSiteOfACard(t *testing.T) {
	for name, tc := range map[string]struct {
		url     string
		domains []string
		want    string
	}{
		"a page":               {"https://example.com/a", []string{"example.com", "cdn.example.net"}, "example.com"},
		"without a path":       {"https://example.com", []string{"example.com"}, "example.com"},
		"another domain":       {"https://example.com/a", []string{"example.org"}, ""},
		"a longer name":        {"https://example.com.evil.net/", []string{"example.com"}, ""},
		"a port":               {"https://example.com:8443/", []string{"example.com"}, ""},
		"a user name":          {"https://example.com@evil.net/", []string{"example.com"}, ""},
		"a back slash":         {`https://example.com\\@evil.net/`, []string{"example.com"}, ""},
		"another scheme":       {"http://example.com/", []string{"example.com"}, ""},
		"no domain to compare": {"https://example.com/", nil, ""},
	} {
		t.Run(name, func(t *testing.T) {
			c := wire.Card{Tool: "browse_web", Input: strict.Value(`{"url":"` + tc.url + `"}`), Domains: tc.domains}
			if got := c.Site(); got != tc.want {
				t.Errorf("Site of %s with %q = %q, want %q", tc.url, tc.domains, got, tc.want)
			}
		})
	}
}

// Two calls that differ never have the same words.
func FuzzSteps(f *testing.F) {
	f.Add(`[{"do":"type","ref":"e1","text":"a"}]`, `[{"do":"type","ref":"e1","text":"a\" into e1"}]`)
	f.Add(`[{"do":"wait","text":"a","seconds":1}]`, `[{"do":"wait","text":"a\", at most 1 s"}]`)
	f.Add(`[{"do":"click","ref":"e1"}]`, `[{"do":"click","ref":"e1","text":""}]`)
	f.Fuzz(func(t *testing.T, one, two string) {
		words := func(actions string) (string, string) {
			input, err := strict.Canonical([]byte(`{"actions":` + actions + `}`))
			if err != nil {
				return "", ""
			}
			c := wire.Card{Tool: "browse_web", Input: input}
			return string(input), strings.Join(c.Steps(), "\n")
		}
		inputOne, wordsOne := words(one)
		inputTwo, wordsTwo := words(two)
		if wordsOne != "" && wordsOne == wordsTwo && inputOne != inputTwo {
			t.Errorf("%s and %s have the same words: %q", inputOne, inputTwo, wordsOne)
		}
	})
}
