package agent_test

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/secureclaw/secureclaw/gateway/internal/agent"
	"github.com/secureclaw/secureclaw/gateway/internal/claw"
	"github.com/secureclaw/secureclaw/gateway/internal/llm"
	"github.com/secureclaw/secureclaw/gateway/internal/sqlite"
)

// kept opens a store on disk with one empty conversation, "s".
func kept(t testing.TB, dir string) *sqlite.DB {
	t.Helper()
	db, err := sqlite.Open(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	label := claw.Label{Integrity: claw.ByUser, Privacy: claw.Public}
	if _, err := db.CreateSession(t.Context(), claw.Session{ID: "s", Channel: "terminal", User: "1000", Created: noon(), Label: label}); err != nil {
		t.Fatal(err)
	}
	return db
}

// From a message that is in hand to the question that a model is asked, with a history on disk of so many messages,
// each with its answer. Most of the first figure is the disk's, which has the message before anybody is asked.
func BenchmarkMessageToQuestion(b *testing.B) {
	for _, messages := range []int{1, 500, 1000} {
		b.Run(fmt.Sprint(messages), func(b *testing.B) {
			db := kept(b, b.TempDir())
			for i := range messages {
				for _, turn := range []claw.Turn{
					{Role: claw.User, Message: fmt.Sprint("m", i), Text: fmt.Sprintf("Message %d: which train do I take to get to the meeting in time?", i), At: noon(), Recalled: []int64{int64(i % 50), 60}},
					{Role: claw.Assistant, Text: "The one at 9:12 from platform 4; it is on time, and you have nine minutes to change."},
				} {
					if err := db.AppendTurn(b.Context(), "s", turn); err != nil {
						b.Fatal(err)
					}
				}
			}
			s := trains()
			for i := range int64(70) {
				s.kept[i] = claw.Memory{ID: i, Category: "fact", Content: fmt.Sprintf("Fact %d about trains and meetings.", i), Source: "terminal", Created: noon(), Label: claw.UserLabel()}
			}
			var asked, began time.Time
			var took []time.Duration
			model := &script{replies: []replyFunc{func(context.Context, func(string)) (llm.Reply, error) {
				asked = time.Now()
				return llm.Reply{Text: "ok", Stop: llm.StopEnd}, nil
			}}}
			a := remembering(b, model, db, s, func(o *agent.Options) { o.Context = 1_000_000 })
			for b.Loop() {
				began = time.Now()
				if _, err := a.Answer(b.Context(), message("Which train do I take?"), "run_1", &watcher{}); err != nil {
					b.Fatal(err)
				}
				took = append(took, asked.Sub(began))
				model.asked = nil
			}
			slices.Sort(took)
			b.ReportMetric(float64(took[len(took)/2].Microseconds()), "µs-p50")
			b.ReportMetric(float64(took[len(took)*9/10].Microseconds()), "µs-p90")
		})
	}
}
