package gateway

import (
	"context"
	"crypto/ed25519"
	"errors"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/secureclaw/secureclaw/gateway/internal/audit"
	"github.com/secureclaw/secureclaw/gateway/internal/gate"
	"github.com/secureclaw/secureclaw/internal/run"
)

func webIs(problem *run.Refusal) *run.Status {
	return &run.Status{Executors: []run.ExecutorStatus{{Kind: "shell", Problem: &run.Refusal{Code: "canary"}}, {Kind: "web", Problem: problem}}}
}

// Everybody hears once that the wall failed its test, and once that it holds again; nothing that hides
// the answer is taken for one.
func TestBrowsingIsToldOnce(t *testing.T) {
	fell := &run.Refusal{Code: "canary", What: "The way out let an unlisted name through.", Why: "It answered 200."}
	image := &run.Refusal{Code: "image", What: "The image is missing."}
	for name, tc := range map[string]struct {
		was  bool
		sees []*run.Status // nil: no answer
		want []string
	}{
		"all is well":              {false, []*run.Status{webIs(nil), webIs(nil)}, nil},
		"it falls":                 {false, []*run.Status{webIs(nil), webIs(fell), webIs(fell), webIs(fell), webIs(fell)}, []string{"off"}},
		"it is not tested yet":     {false, []*run.Status{webIs(fell), webIs(nil), webIs(nil), webIs(fell), webIs(nil)}, nil},
		"it falls and comes back":  {false, []*run.Status{webIs(fell), webIs(fell), webIs(nil), webIs(nil)}, []string{"off", "on"}},
		"and falls again":          {false, []*run.Status{webIs(fell), webIs(fell), webIs(nil), webIs(fell), webIs(fell)}, []string{"off", "on", "off"}},
		"it was down before":       {true, []*run.Status{webIs(fell), webIs(fell)}, nil},
		"it was down, and is back": {true, []*run.Status{webIs(nil)}, []string{"on"}},
		"the runner is away":       {true, []*run.Status{nil, nil, webIs(fell)}, nil},
		"away in between":          {false, []*run.Status{webIs(fell), nil, webIs(fell)}, []string{"off"}},
		"something else is wrong":  {false, []*run.Status{webIs(image), webIs(nil)}, nil},
		"something else hides it":  {true, []*run.Status{webIs(image), webIs(fell)}, nil},
		"it fell behind something": {false, []*run.Status{webIs(image), webIs(fell), webIs(fell), webIs(image), webIs(nil)}, []string{"off", "on"}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, stop := context.WithCancel(t.Context())
				var said, noted, keys []string
				asked := 0
				b := &browsing{off: tc.was, now: time.Now,
					status: func(context.Context) (*run.Status, error) {
						if asked == len(tc.sees) {
							stop()
							return nil, errors.New("the test is over")
						}
						asked++
						if s := tc.sees[asked-1]; s != nil {
							return s, nil
						}
						return nil, errors.New("no answer")
					},
					announce: func(key, text string) { keys, said = append(keys, key), append(said, text) },
					note:     func(kind string, _ map[string]any) { noted = append(noted, strings.TrimPrefix(kind, "browsing.")) },
				}
				b.run(ctx)
				if diff := cmp.Diff(tc.want, noted); diff != "" || len(said) != len(tc.want) {
					t.Errorf("recorded (-want +got):\n%s\nsaid %q", diff, said)
				}
				if slices.Sort(keys); len(slices.Compact(keys)) != len(said) {
					t.Errorf("two sentences under one key of %q: the second would not be stored", keys)
				}
				for i, text := range said {
					if off := noted[i] == "off"; strings.Contains(text, fell.What) != off || strings.Contains(text, "works again") == off {
						t.Errorf("said %q when browsing went %s", text, noted[i])
					}
				}
			})
		})
	}
}

// newLog is an audit log in a new state folder.
func newLog(t *testing.T) (Options, *audit.Log) {
	t.Helper()
	o := Options{State: t.TempDir(), Now: time.Now, Log: slog.New(slog.NewTextHandler(t.Output(), nil))}
	_, key, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	log, err := audit.Open(filepath.Join(o.State, "audit"), audit.Options{Key: key, Now: o.Now, Log: o.Log})
	if err != nil {
		t.Fatal(err)
	}
	return o, log
}

// A restart knows what was told.
func TestBrowsingIsRemembered(t *testing.T) {
	for name, tc := range map[string]struct {
		kinds []string
		want  bool
	}{
		"nothing":      {nil, false},
		"off":          {[]string{kindBrowsingOff, "message"}, true},
		"off, then on": {[]string{kindBrowsingOff, kindBrowsingOn, "message"}, false},
	} {
		o, log := newLog(t)
		for _, kind := range tc.kinds {
			note(o, log)(kind, map[string]any{})
		}
		if err := log.Close(); err != nil {
			t.Fatal(err)
		}
		if got := wasOff(t.Context(), o); got != tc.want {
			t.Errorf("%s: wasOff = %v, want %v", name, got, tc.want)
		}
	}
}

// What the way out decided is in the log, with whose call it was; the journal says it without the host.
func TestEgressIsRecorded(t *testing.T) {
	o, log := newLog(t)
	write := egress(o, log)
	call := gate.Call{ID: "c1", Session: "s1", Run: "r1"}
	for _, e := range []run.Egress{
		{Name: "bank.example", Allowed: true, Address: "93.184.216.34:443"},
		{Name: "evil.test\x1b[31m", Code: "not_allowed", Text: "it is not on the list", Count: 3},
		{Total: true, Up: 517, Down: 12345, Count: 3},
		{},
	} {
		write(call, e)
	}
	if _, err := log.Append(t.Context(), audit.Record{Kind: kindBrowsingOff, Fields: map[string]any{}}); err != nil { // and with it all before it
		t.Fatal(err)
	}
	lines, _, err := journal(o, log)(t.Context(), 10)
	if err := errors.Join(err, log.Close()); err != nil {
		t.Fatal(err)
	}
	var words []string
	for _, l := range lines {
		_, rest, _ := strings.Cut(l, " ")
		words = append(words, rest)
	}
	if diff := cmp.Diff([]string{
		"a page was let through to a host", "a page was kept from a host (not_allowed)", "a page's connections: 3, 517 bytes out, 12345 bytes in",
		"a page was kept from a host", "browsing was switched off: the test of the way out failed",
	}, words); diff != "" {
		t.Errorf("journal (-want +got):\n%s", diff)
	}
	found := 0
	for e, err := range audit.Query(t.Context(), auditDir(o.State), audit.Filter{Call: "c1"}) {
		if err != nil {
			t.Fatal(err)
		}
		if found++; e.Kind != audit.KindEgress || e.Session != "s1" || e.Run != "r1" || found == 1 && !strings.Contains(string(e.Fields), `"name":"bank.example"`) || strings.Contains(string(e.Fields), "\x1b") {
			t.Errorf("entry %+v", e)
		}
	}
	if found != 4 {
		t.Errorf("%d entries of the call, want 4", found)
	}
}
