package domain_test

import (
	"encoding/json"
	"os"
	"strings"
	"testing"

	"github.com/secureclaw/secureclaw/internal/domain"
)

// attack is one line of testdata/ssrf-cases.json: what somebody tries, and what must come of it.
type attack struct {
	ID, Kind, Expect, Why string
	Input                 json.RawMessage
}

// attacks returns the cases of a kind. Packages that own other kinds read the same file.
func attacks(t *testing.T, kind string) (list domain.List, cases []attack) {
	t.Helper()
	raw, err := os.ReadFile("testdata/ssrf-cases.json")
	if err != nil {
		t.Fatal(err)
	}
	var all []attack
	if err := json.Unmarshal(raw, &all); err != nil {
		t.Fatal(err)
	}
	var conventions struct{ Allow []string }
	if err := json.Unmarshal(all[0].Input, &conventions); err != nil {
		t.Fatal(err)
	}
	if list, err = domain.ParseList(conventions.Allow); err != nil || len(list) == 0 {
		t.Fatalf("ParseList(%q) = %v, %v", conventions.Allow, list, err)
	}
	for _, a := range all {
		if a.Kind == kind {
			cases = append(cases, a)
		}
	}
	if len(cases) == 0 {
		t.Fatalf("no case of kind %s", kind)
	}
	return list, cases
}

func text(t *testing.T, a attack) string {
	t.Helper()
	var s string
	if err := json.Unmarshal(a.Input, &s); err != nil {
		t.Fatal(err)
	}
	return s
}

// outcome is err, or else whether the list covers the name, in the words of the file.
func outcome(list domain.List, name domain.Name, err error) string {
	switch {
	case err != nil:
		return "deny:" + string(domain.CodeOf(err))
	case !list.Covers(name):
		return "deny:" + string(domain.CodeNotAllowed)
	}
	return "allow"
}

func TestCasesConnect(t *testing.T) {
	list, cases := attacks(t, "connect")
	for _, a := range cases {
		t.Run(a.ID, func(t *testing.T) {
			in := text(t, a)
			name, err := domain.ParseAuthority(in)
			if got := outcome(list, name, err); got != a.Expect {
				t.Errorf("ParseAuthority(%q) = %q, %v, that is %s, want %s (%s)", in, name, err, got, a.Expect, a.Why)
			}
		})
	}
}

func TestCasesConfig(t *testing.T) {
	_, cases := attacks(t, "config")
	for _, a := range cases {
		t.Run(a.ID, func(t *testing.T) {
			in := text(t, a)
			pattern, err := domain.ParsePattern(in)
			got := "allow"
			if err != nil {
				got = "deny:" + string(domain.CodeOf(err))
			}
			if got != a.Expect {
				t.Errorf("ParsePattern(%q) = %q, %v, that is %s, want %s (%s)", in, pattern, err, got, a.Expect, a.Why)
			}
		})
	}
}

func TestCasesURL(t *testing.T) {
	list, cases := attacks(t, "url")
	for _, a := range cases {
		t.Run(a.ID, func(t *testing.T) {
			// A case may say what stands in a place instead of writing it out.
			in := strings.NewReplacer("<4 KiB base64 of private data>", strings.Repeat("c2VjcmV0", 512)).Replace(text(t, a))
			u, err := domain.ParseURL(in)
			got := outcome(list, u.Host, err)
			if a.Expect == "deny:needs_approval" {
				// Where a URL comes from is judged by the gate. One as long as this is not even asked about.
				if err == nil {
					t.Errorf("ParseURL(%.60q…) = %q, want a refusal (%s)", in, u.Text, a.Why)
				}
				return
			}
			if got != a.Expect {
				t.Errorf("ParseURL(%.100q) = %q, %v, that is %s, want %s (%s)", in, u.Text, err, got, a.Expect, a.Why)
			}
		})
	}
}

// Each hop of a redirect is read again, as a URL by the browser's policy and as CONNECT by the proxy.
func TestCasesRedirect(t *testing.T) {
	list, cases := attacks(t, "redirect")
	for _, a := range cases {
		t.Run(a.ID, func(t *testing.T) {
			var in struct{ Start, Location string }
			if err := json.Unmarshal(a.Input, &in); err != nil {
				t.Fatal(err)
			}
			// Some locations are sentences that end in the URL.
			location := in.Location[strings.LastIndexByte(in.Location, ' ')+1:]
			start, err := domain.ParseURL(in.Start)
			if got := outcome(list, start.Host, err); got != "allow" {
				t.Fatalf("ParseURL(%q) = %s, want allow", in.Start, got)
			}
			u, err := domain.ParseURL(location)
			if got := outcome(list, u.Host, err); got != a.Expect {
				t.Errorf("ParseURL(%q) = %q, %v, that is %s, want %s (%s)", location, u.Text, err, got, a.Expect, a.Why)
			}
		})
	}
}
