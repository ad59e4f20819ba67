package chat_test

import (
	"context"
	"errors"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/secureclaw/secureclaw/gateway/internal/agent"
	"github.com/secureclaw/secureclaw/gateway/internal/chat"
	"github.com/secureclaw/secureclaw/gateway/internal/claw"
	"github.com/secureclaw/secureclaw/gateway/internal/gate"
	"github.com/secureclaw/secureclaw/gateway/internal/heartbeat"
	"github.com/secureclaw/secureclaw/gateway/internal/llm"
	"github.com/secureclaw/secureclaw/gateway/internal/sqlite"
	"github.com/secureclaw/secureclaw/internal/wire"
)

// withClock puts a real clock with the heartbeat "day" into a house; prompt is what it says.
func withClock(t *testing.T, h *house, prompt string) {
	h.wrap = func(db *sqlite.DB) store {
		c, err := heartbeat.New(heartbeat.Options{
			Heartbeats: []claw.Heartbeat{{Name: "day", Schedule: "0 8 * * *", Timezone: "UTC", Prompt: prompt, Missed: "once", Enabled: true}},
			Store:      db, Now: h.now, Log: testLog(t), Step: func(s string) { h.step(s) },
			Beat: func(ctx context.Context, msg claw.Message) error { return h.desk.Beat(ctx, msg) },
		})
		if err != nil {
			t.Fatal(err)
		}
		h.clock = c
		return db
	}
}

func (h *house) beats() *heartbeat.Clock { return h.clock.(*heartbeat.Clock) }

// tick runs the clock until the test is over.
func (h *house) tick() {
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() { _ = h.beats().Run(ctx) })
	stop := h.stop
	h.stop = sync.OnceFunc(func() { cancel(); wg.Wait(); stop() })
}

func (h *house) trigger() claw.Beat {
	h.t.Helper()
	b, err := h.beats().Trigger(h.t.Context(), "day")
	if err != nil {
		h.t.Fatal(err)
	}
	return b
}

// ended waits for the end of the last beat.
func (h *house) ended() claw.Beat {
	h.t.Helper()
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(2 * time.Millisecond) {
		last, err := h.beats().Beats(context.Background(), "day", 1)
		if err != nil {
			h.t.Fatal(err)
		}
		if len(last) == 1 && last[0].Outcome != "" {
			if _, found, err := h.db.Reply(context.Background(), claw.HeartbeatChannel, string(last[0].Session)); err == nil && found {
				return last[0]
			}
		}
		if time.Now().After(deadline) {
			h.t.Fatalf("the beat does not end: %+v", last)
		}
	}
}

func says(text string) func(llm.Request) (llm.Reply, bool) {
	return func(llm.Request) (llm.Reply, bool) {
		return llm.Reply{Text: text, Stop: llm.StopEnd, Usage: claw.Usage{Input: 7, Output: 3}}, true
	}
}

func TestBeatIsToldToTheOwner(t *testing.T) {
	h := furnish(t, func(h *house) { withClock(t, h, "What is new?"); h.model.think = says("[SILENT] Two *mails*.") })
	b, c := h.bridge(), h.connect()
	h.trigger()
	if m := b.shows("Two *mails*."); m.text != "**day**\n\nTwo *mails*." {
		t.Errorf("the owner is shown %q", m.text)
	}
	if n := until(c, func(d wire.Down) *wire.Notice { return d.Notice }); n.Text != "day: Two *mails*." || n.Session != "" {
		t.Errorf("terminals hear %+v", n)
	}
	if got := h.ended(); got.Outcome != "done" || got.Silent || got.Usage != (claw.Usage{Input: 7, Output: 3}) {
		t.Errorf("the beat = %+v", got)
	}
	if n := b.count(ben, wire.SendText); n != 0 {
		t.Errorf("another user is told, %d times", n)
	}
	req := h.model.asked[0]
	if text := req.Turns[len(req.Turns)-1].Text; !strings.HasPrefix(text, "What is new?\n\n[heartbeat \"day\": the user asked for it") {
		t.Errorf("the model reads %q", text)
	}
}

func TestSilentBeat(t *testing.T) {
	h := furnish(t, func(h *house) { withClock(t, h, "What is new?"); h.model.think = says(" [SILENT]\n") })
	b := h.bridge()
	h.trigger()
	if got := h.ended(); got.Outcome != "done" || !got.Silent || got.Usage.Input != 7 {
		t.Errorf("the beat = %+v", got)
	}
	b.say("m1", anna, "hello") // what came before it would be shown before
	b.shows("[SILENT]")
	if n := b.count(anna, wire.SendText); n != 1 {
		t.Errorf("%d texts are shown, want only the answer to hello", n)
	}
}

// A run that fails is told, with its outcome kept.
func TestFailedBeat(t *testing.T) {
	h := furnish(t, func(h *house) { withClock(t, h, "What is new?"); h.deaf = errors.New("no space") })
	b := h.bridge()
	h.trigger()
	b.shows("the audit log cannot be written")
	if got := h.ended(); got.Outcome != "failed" || got.Silent || !strings.Contains(got.Note, "the audit log cannot be written") {
		t.Errorf("the beat = %+v", got)
	}
}

// A beat has no more rights than a message: its call asks, the owner alone may answer, and the answer goes on
// with it, after a restart too.
func TestBeatAsks(t *testing.T) {
	for name, restart := range map[string]bool{"at once": false, "after a restart": true} {
		t.Run(name, func(t *testing.T) {
			h := furnish(t, func(h *house) {
				withClock(t, h, "Write to Ada.")
				h.model.think = func(req llm.Request) (llm.Reply, bool) {
					if len(req.Turns[len(req.Turns)-1].Results) > 0 {
						return llm.Reply{}, false
					}
					return llm.Reply{Stop: llm.StopTools, Calls: []claw.ToolCall{{ModelID: "t1", Tool: "send_mail", Input: `{"to":"ada"}`}}}, true
				}
			})
			b := h.bridge()
			started := h.trigger()
			card := b.card(anna, "pending")
			if !strings.HasPrefix(card.card.Origin, "heartbeat") {
				t.Errorf("the card says origin %q", card.card.Origin)
			}
			if n := b.count(ben, wire.SendCard); n != 0 {
				t.Errorf("another user is asked, %d times", n)
			}
			if restart {
				h.stop()
				h.start()
				h.tick()
				b = h.bridge() // it shows the card already
			}
			if _, err := h.beats().Trigger(t.Context(), "day"); err == nil {
				t.Error("a second beat runs while the first one waits")
			}
			if f := b.press(ben, card, true); f == nil {
				t.Error("another user may answer")
			}
			b.tap(anna, card, true)
			b.shows("**day**\n\nok: sent")
			if got := h.ended(); got.Outcome != "done" || got.Session != started.Session || h.tool.count() != 1 {
				t.Errorf("the beat = %+v, %d mails; want %s done and one mail", got, h.tool.count(), started.Session)
			}
		})
	}
}

// A beat is stopped like any other run, and its question is withdrawn.
func TestStoppedBeat(t *testing.T) {
	h := furnish(t, func(h *house) {
		withClock(t, h, "Write to Ada.")
		h.model.think = func(llm.Request) (llm.Reply, bool) {
			return llm.Reply{Stop: llm.StopTools, Calls: []claw.ToolCall{{ModelID: "t1", Tool: "send_mail", Input: `{"to":"ada"}`}}}, true
		}
	})
	c := h.connect()
	started := h.trigger()
	until(c, aCard)
	c.send(wire.Up{Stop: &wire.Stop{Ref: "s", Session: string(started.Session)}})
	until(c, anAnswer)
	if got := h.ended(); got.Outcome != "stopped" || h.tool.count() != 0 {
		t.Errorf("the beat = %+v, %d mails", got, h.tool.count())
	}
}

// The owner's "/stop" ends his heartbeats too, for he is asked for them and told of them there; nobody else's does.
func TestStopReachesABeat(t *testing.T) {
	for _, name := range []string{"in one life", "after a restart", "that died before it"} {
		t.Run(name, func(t *testing.T) {
			h := furnish(t, func(h *house) { withClock(t, h, errand); h.model.think = works })
			b := h.bridge()
			h.trigger()
			card := b.card(anna, "pending")
			b.say("m1", ben, "/stop")
			if m := b.showsTo(ben, "running"); m.text != "Nothing was running." {
				t.Errorf("the stop of another user is answered %q", m.text)
			}
			if a, err := h.db.Approvals().Load(t.Context(), card.card.ID); err != nil || a.State != gate.Pending {
				t.Errorf("behind the stop of another user the question is %q (%v)", a.State, err)
			}
			if name != "in one life" {
				b.gone(h)
				h.stop()
				if name == "that died before it" {
					db, err := sqlite.Open(t.Context(), filepath.Join(h.dir, "db"))
					if err != nil {
						t.Fatal(err)
					}
					_, err = db.AcceptMessage(t.Context(), claw.Message{
						ID: "m2", Session: "telegram-" + anna, Text: "/stop", Command: true, Origin: claw.Origin{Channel: "telegram", User: anna}, At: time.Now().Add(-time.Second),
					})
					if err := errors.Join(err, db.Close()); err != nil {
						t.Fatal(err)
					}
				}
				h.start()
				b = h.bridge()
			}
			b.say("m2", anna, "/stop")
			b.shows("Stopped")
			if got := h.ended(); got.Outcome != "stopped" || h.tool.count() != 0 {
				t.Errorf("the beat = %+v, %d mails; want it stopped", got, h.tool.count())
			}
			if pending, err := h.db.Approvals().List(t.Context(), gate.Query{States: []gate.State{gate.Pending}}); err != nil || len(pending) != 0 {
				t.Errorf("behind the stop there is %+v (%v)", pending, err)
			}
		})
	}
}

// A gateway dies at each step of a beat. The next one, which knows what is on disk, tells the owner once.
func TestBeatSurvivesACrash(t *testing.T) {
	for _, step := range []string{
		heartbeat.StepKept, chat.StepAccepted, heartbeat.StepHanded, agent.StepAsking, agent.StepAnswered, agent.StepCalls,
		gate.StepAsked, gate.StepDecided, gate.StepDone, agent.StepResults, chat.StepAnswered,
	} {
		t.Run(step, func(t *testing.T) {
			ask := func(req llm.Request) (llm.Reply, bool) {
				if last := req.Turns[len(req.Turns)-1]; len(last.Results) > 0 || !strings.HasPrefix(last.Text, "Write to Ada.") {
					return llm.Reply{}, false
				}
				return llm.Reply{Stop: llm.StopTools, Calls: []claw.ToolCall{{ModelID: "t1", Tool: "send_mail", Input: `{"to":"ada"}`}}}, true
			}
			var once sync.Once
			died := make(chan struct{})
			left := ""
			h := furnish(t, func(h *house) {
				withClock(t, h, "Write to Ada.")
				h.model.think = ask
				h.step = func(s string) {
					if s == step {
						once.Do(func() { left = h.snapshot(); close(died) })
					}
				}
			})
			approve := func(h *house, died <-chan struct{}) {
				c := h.connect()
				go func() {
					for {
						pending, err := h.db.Approvals().List(context.Background(), gate.Query{States: []gate.State{gate.Pending}})
						if err != nil {
							return
						}
						if len(pending) > 0 {
							_ = c.conn.Send(wire.Up{Decide: &wire.Decide{Ref: "d", Approval: pending[0].ID, Allow: true}})
							return
						}
						select {
						case <-died:
							return
						case <-time.After(5 * time.Millisecond):
						}
					}
				}()
			}
			approve(h, died)
			h.trigger()
			select {
			case <-died:
			case <-time.After(20 * time.Second):
				t.Fatalf("nobody came to %s", step)
			}
			h.stop()
			next := furnish(t, func(n *house) { n.dir = left; withClock(t, n, "Write to Ada."); n.model.think = ask })
			next.tick()
			over := make(chan struct{})
			defer close(over)
			approve(next, over)
			b := next.bridge()
			isText := func(m *onShow) bool { return m.kind == wire.SendText }
			if m := b.find("the answer", anna, isText); !strings.HasPrefix(m.text, "**day**\n\nok: sent") && !strings.Contains(m.text, "unknown") {
				t.Errorf("the owner is told %q", m.text)
			}
			if got := next.ended(); got.Outcome != "done" {
				t.Errorf("the beat = %+v", got)
			}
			c := next.connect()
			c.say("t1", "s", "is all quiet?")
			until(c, aReply)
			if n := b.count(anna, wire.SendText); n != 1 {
				t.Errorf("told %d times, want once", n)
			}
			if last, err := next.beats().Beats(context.Background(), "day", 9); err != nil || len(last) != 1 {
				t.Errorf("beats = %v, %v; want one", last, err)
			}
		})
	}
}
