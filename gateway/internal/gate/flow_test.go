package gate_test

import (
	"strings"
	"testing"

	"github.com/secureclaw/secureclaw/gateway/internal/claw"
	"github.com/secureclaw/secureclaw/gateway/internal/gate"
	"github.com/secureclaw/secureclaw/internal/strict"
)

// pages makes a noteTool into one that opens the page that its text names, for one host.
func pages(a *claw.Action) {
	var in noteInput
	if err := strict.Decode(a.Input, &in); err != nil {
		panic(err)
	}
	input, err := strict.CanonicalOf(map[string]string{"url": "https://example.com/" + in.Text})
	if err != nil {
		panic(err)
	}
	a.Executor, a.Input, a.Domains = "web", input, []string{"example.com"}
}

// In a conversation that holds text of strangers and something private, what could carry that out asks,
// and the question says so.
func TestWhatCouldCarryOutAsks(t *testing.T) {
	external := claw.Label{Integrity: claw.External, Privacy: claw.Private, Sources: []string{"web evil.test"}}
	yes := func(text string) bool { return text == "https://example.com/given" }
	const why = "; asked because the page's address may carry what this conversation has read"
	for name, tc := range map[string]struct {
		tool   string
		text   string
		seen   claw.Label
		quoted func(string) bool
		asks   string // the rule on the card; empty: it runs
	}{
		"nothing of strangers was read":     {autoNote, "made-up", claw.UserLabel(), nil, ""},
		"nothing private was read":          {autoNote, "made-up", claw.Label{Integrity: claw.External, Privacy: claw.Public}, nil, ""},
		"both, and an address of its own":   {autoNote, "made-up", external, yes, "autoApprove[0]" + why},
		"both, and a tier that tells":       {tellNote, "made-up", external, yes, "notify[0]" + why},
		"both, and one that was given":      {autoNote, "given", external, yes, ""},
		"both, and nobody knows what is":    {autoNote, "given", external, nil, "autoApprove[0]" + why},
		"no label":                          {autoNote, "given", claw.Label{}, nil, "autoApprove[0]" + why},
		"asks anyway, and says why":         {askNote, "made-up", external, yes, "default" + why},
		"asks anyway, about what was given": {askNote, "given", external, yes, "default"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, func(o *gate.Options) {
				for _, tool := range o.Tools {
					tool.(*noteTool).shape = pages
				}
			})
			call := newCall("c1")
			call.Label, call.Quoted = tc.seen, tc.quoted
			out := make(chan claw.ToolResult, 1)
			done := make(chan struct{})
			go func() {
				defer close(done)
				out <- w.gate.Run(t.Context(), call, tc.tool, text(tc.text))
			}()
			t.Cleanup(func() { <-done }) // before the store is closed
			if tc.asks == "" {
				select {
				case got := <-out:
					if got.Tier == claw.Ask || strings.Contains(got.Rule, "because") {
						t.Errorf("Run = %+v, want it run unasked", got)
					}
				case a := <-w.desk.asked:
					t.Errorf("asked by %q, want it run unasked", a.Rule)
				}
				return
			}
			var a gate.Approval
			select {
			case a = <-w.desk.asked:
			case got := <-out:
				t.Fatalf("Run = %+v, want a question by %q", got, tc.asks)
			}
			if a.Rule != tc.asks {
				t.Errorf("asked by %q, want %q", a.Rule, tc.asks)
			}
			if _, err := w.gate.Decide(t.Context(), a.ID, gate.Decision{By: "1000", Channel: "terminal"}); err != nil {
				t.Fatal(err)
			}
			if got := <-out; got.Status != claw.Denied {
				t.Errorf("Run = %+v, want it denied", got)
			}
			w.wantEffects()
		})
	}
}

// What may pass is asked when the call is judged, and no part of what is kept.
func TestQuotedIsNotStored(t *testing.T) {
	w := newWorld(t, nil)
	call := newCall("c1")
	call.Quoted = func(string) bool { return true }
	go w.gate.Run(t.Context(), call, askNote, text("c1"))
	a := w.question()
	if a.Call.Quoted != nil {
		t.Error("the card has what was quoted")
	}
	stored, err := w.gate.Approval(t.Context(), a.ID)
	if err != nil || stored.Call.Quoted != nil {
		t.Errorf("the stored question has what was quoted (%v)", err)
	}
	if _, err := w.gate.Decide(t.Context(), a.ID, no()); err != nil {
		t.Fatal(err)
	}
}
