package gateway_test

import (
	"context"
	"log/slog"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/secureclaw/secureclaw/gateway"
	"github.com/secureclaw/secureclaw/internal/config"
	"github.com/secureclaw/secureclaw/internal/fake"
	"github.com/secureclaw/secureclaw/internal/wire"
)

// hand is a clock that the test sets.
type hand struct {
	mu sync.Mutex
	at time.Time
}

func (h *hand) now() time.Time { h.mu.Lock(); defer h.mu.Unlock(); return h.at }

func (h *hand) add(d time.Duration) { h.mu.Lock(); defer h.mu.Unlock(); h.at = h.at.Add(d) }

// startWith runs a gateway on a scripted model and a clock.
func (h *home) startWith(model *fake.Server, clock *hand, limits config.Limits) {
	t := h.t
	t.Helper()
	cfg, _, err := config.Load(filepath.Join(h.dir, "secureclaw.yaml"), config.LoadOptions{Dirs: config.Dirs{Home: h.dir}, Env: func(string) string { return "" }})
	if err != nil {
		t.Fatal(err)
	}
	cfg.LLM.BaseURL, cfg.Limits = model.URL, limits
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() {
		done <- gateway.Run(ctx, gateway.Options{
			Config: cfg, Secrets: config.Secrets{CapabilitySecret: key, AnthropicAPIKey: "sk-test", AllowedUserIDs: []int64{owner}},
			State: filepath.Join(h.dir, "state"), Socket: filepath.Join(h.dir, "run", "g.sock"), RunnerSocket: filepath.Join(h.dir, "run", "r.sock"),
			Version: "test", Now: clock.now, Log: slog.New(slog.NewTextHandler(t.Output(), nil)),
		})
	}()
	h.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	t.Cleanup(h.stop)
	h.listens()
}

// say sends a message from a terminal and returns its reply.
func (h *home) say(conn *wire.Conn, session, id, text string) wire.Reply {
	h.t.Helper()
	if err := conn.Send(wire.Up{Message: &wire.Message{ID: id, Session: session, Text: text}}); err != nil {
		h.t.Fatal(err)
	}
	var reply wire.Reply
	h.await(conn, "the reply to "+id, func(d wire.Down) bool {
		if d.Reply != nil && d.Reply.Message == id {
			reply = *d.Reply
			return true
		}
		return false
	})
	return reply
}

// The day's limit is reached in the middle of a run: it pauses after the call that it was at and says so,
// nothing asks the model until midnight, and after that "go on" goes on, also behind a restart.
func TestADayThatIsSpentPauses(t *testing.T) {
	zone, err := time.LoadLocation("America/New_York")
	if err != nil {
		t.Fatal(err)
	}
	clock := &hand{at: time.Date(2026, 11, 23, 22, 0, 0, 0, zone)}
	model := fake.NewAnthropic(t)
	model.Script(
		fake.Answer{Calls: []fake.Call{{ID: "c1", Tool: "search_memory", Input: `{"query":"tea"}`}}, Usage: fake.Usage{Input: 900, Output: 50, CacheRead: 49, CacheWrite: 1}},
		fake.Answer{Text: "You like green tea.", Usage: fake.Usage{Input: 10, Output: 1}},
	)
	h := newHome(t)
	h.startWith(model, clock, config.Limits{TokensPerDay: 1000})
	terminal, onlooker := h.dial("terminal"), h.dial("terminal")
	r := h.say(terminal, "s", "m1", "What do I like?")
	if r.Outcome != wire.ReplyPaused || !strings.Contains(r.Text, "1,000 tokens were spent today") || !strings.Contains(r.Text, "in 2 h 0 min") || len(r.Calls) != 1 {
		t.Errorf("the reply at the limit is %+v, want a pause that says what, how much and when, after one call", r)
	}
	h.await(onlooker, "the notice", func(d wire.Down) bool {
		return d.Notice != nil && strings.Contains(d.Notice.Text, "1,000") && strings.Contains(d.Notice.Text, "heartbeats")
	})
	if r := h.say(terminal, "s", "m2", "go on"); r.Outcome != wire.ReplyPaused {
		t.Errorf("before midnight: %+v", r)
	}
	if r := h.say(terminal, "another", "m3", "hello"); r.Outcome != wire.ReplyPaused {
		t.Errorf("another conversation before midnight: %+v", r)
	}
	if n := len(model.Requests()); n != 1 {
		t.Errorf("the model was asked %d times, want once", n)
	}
	h.stop()
	h.startWith(model, clock, config.Limits{TokensPerDay: 1000})
	terminal = h.dial("terminal")
	if r := h.say(terminal, "s", "m4", "go on"); r.Outcome != wire.ReplyPaused {
		t.Errorf("after a restart before midnight: %+v", r)
	}
	clock.add(2 * time.Hour)
	r = h.say(terminal, "s", "m5", "go on")
	if r.Outcome != wire.ReplyDone || r.Text != "You like green tea." {
		t.Errorf("after midnight: %+v", r)
	}
	asked := model.Requests()
	if len(asked) != 2 {
		t.Fatalf("the model was asked %d times, want twice", len(asked))
	}
	found := false
	for _, turn := range asked[1].Turns {
		found = found || len(turn.Results) == 1
	}
	if !found {
		t.Errorf("what the run had done before the pause is not in the next question: %+v", asked[1].Turns)
	}
	if err := terminal.Send(wire.Up{Query: &wire.Query{Ref: "s", What: wire.QueryStatus}}); err != nil {
		t.Fatal(err)
	}
	h.await(terminal, "the status", func(d wire.Down) bool {
		if d.Answer == nil || d.Answer.Status == nil {
			return false
		}
		if s := d.Answer.Status; s.Today != 11 || s.TodayMost != 1000 {
			t.Errorf("status: %d of %d tokens today, want 11 of 1000", s.Today, s.TodayMost)
		}
		return true
	})
}
