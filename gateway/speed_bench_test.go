package gateway_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/secureclaw/secureclaw/gateway"
	"github.com/secureclaw/secureclaw/gateway/internal/claw"
	"github.com/secureclaw/secureclaw/gateway/internal/memory"
	"github.com/secureclaw/secureclaw/gateway/internal/sqlite"
	"github.com/secureclaw/secureclaw/internal/config"
	"github.com/secureclaw/secureclaw/internal/wire"
)

// stopwatch is a model's server that says when it was asked and when it wrote. It is as thin as can be, for
// its own work counts in what is measured.
type stopwatch struct {
	*httptest.Server
	asked chan time.Time // the whole question is there
	say   chan string    // what to write next; empty ends the answer
	wrote chan time.Time // just before it is written
}

func newStopwatch(tb testing.TB) *stopwatch {
	s := &stopwatch{asked: make(chan time.Time, 1), say: make(chan string), wrote: make(chan time.Time, 1)}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, err := io.Copy(io.Discard, r.Body); err != nil {
			return
		}
		s.asked <- time.Now()
		w.Header().Set("Content-Type", "text/event-stream")
		event := func(kind, data string) {
			fmt.Fprintf(w, "event: %s\ndata: {\"type\":%q,%s}\n\n", kind, kind, data)
			_ = http.NewResponseController(w).Flush()
		}
		event("message_start", `"message":{"id":"m","type":"message","role":"assistant","model":"x","content":[],"usage":{"input_tokens":1,"output_tokens":1}}`)
		event("content_block_start", `"index":0,"content_block":{"type":"text","text":""}`)
		for text := range s.say {
			if text == "" {
				break
			}
			s.wrote <- time.Now()
			event("content_block_delta", fmt.Sprintf(`"index":0,"delta":{"type":"text_delta","text":%q}`, text))
		}
		event("content_block_stop", `"index":0`)
		event("message_delta", `"delta":{"stop_reason":"end_turn"},"usage":{"output_tokens":1}`)
		event("message_stop", `"x":0`)
	}))
	tb.Cleanup(s.Close)
	return s
}

// whole is a gateway without a runner, with a terminal on its socket.
func whole(b *testing.B, dir string, model *stopwatch) *wire.Conn {
	b.Helper()
	cfg, _, err := config.Load(filepath.Join(dir, "secureclaw.yaml"), config.LoadOptions{Dirs: config.Dirs{Home: dir}, Env: func(string) string { return "" }})
	if err != nil {
		b.Fatal(err)
	}
	cfg.LLM.BaseURL, cfg.LLM.Context = model.URL, 1_000_000
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	socket := filepath.Join(dir, "run", "g.sock")
	go func() {
		done <- gateway.Run(ctx, gateway.Options{
			Config: cfg, Secrets: config.Secrets{CapabilitySecret: key, AnthropicAPIKey: "sk-test"}, State: filepath.Join(dir, "state"),
			Socket: socket, RunnerSocket: filepath.Join(dir, "run", "r.sock"), Version: "test", Now: time.Now, Log: slog.New(slog.DiscardHandler),
		})
	}()
	b.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			b.Errorf("Run: %v", err)
		}
	})
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(time.Millisecond) {
		conn, err := wire.Dial(ctx, socket, wire.Hello{Role: "terminal", Program: "test"})
		if err == nil {
			b.Cleanup(func() { _ = conn.Close() })
			return conn
		}
		if time.Now().After(deadline) {
			b.Fatal(err)
		}
	}
}

// await reads frames up to one that is looked for.
func await(b *testing.B, conn *wire.Conn, is func(wire.Down) bool) wire.Down {
	b.Helper()
	for {
		var d wire.Down
		if err := conn.Receive(&d); err != nil {
			b.Fatal(err)
		}
		if d.Fault != nil {
			b.Fatalf("fault: %+v", d.Fault)
		}
		if is(d) {
			return d
		}
	}
}

// spoken draws words as people use them: the nth most common one 1/n as often as the first.
func spoken(seed uint64) func(n int) string {
	r := rand.New(rand.NewPCG(seed, 1))
	zipf := rand.NewZipf(r, 1.07, 2.7, 19_999)
	return func(n int) string {
		words := make([]string, n)
		for i := range words {
			words[i] = "w" + strings.Map(func(d rune) rune { return d - '0' + 'b' }, fmt.Sprint(zipf.Uint64()))
		}
		return strings.Join(words, " ")
	}
}

// lived is the state of a gateway that has a conversation "s" of so many messages, and so many memories.
func lived(b *testing.B, dir string, messages, memories int) {
	b.Helper()
	db, err := sqlite.Open(b.Context(), filepath.Join(dir, "state", "gateway"))
	if err != nil {
		b.Fatal(err)
	}
	defer db.Close()
	words := spoken(1)
	at := time.Now().Add(-100_000 * time.Minute).Truncate(time.Millisecond)
	for done := 0; done < memories; {
		rows := make([]memory.Row, 0, 1000)
		for len(rows) < cap(rows) && done < memories {
			done++
			rows = append(rows, memory.RowOf(claw.Memory{Owner: claw.Owner, Category: "note", Content: words(8 + done%24), Author: "import", Source: "test",
				Label: claw.UserLabel(), Created: at.Add(time.Duration(done) * time.Minute)}))
		}
		if err := db.AddMemories(b.Context(), rows); err != nil {
			b.Fatal(err)
		}
	}
	if _, err := db.CreateSession(b.Context(), claw.Session{ID: "s", Channel: "terminal", Created: at, Label: claw.UserLabel()}); err != nil {
		b.Fatal(err)
	}
	for i := range messages {
		turn := claw.Turn{Role: claw.User, Message: fmt.Sprint("old", i), Text: words(12), At: at.Truncate(time.Second)}
		if memories > 0 {
			turn.Recalled = []int64{int64(1 + i%50), int64(1 + i%memories)}
		}
		for _, turn := range []claw.Turn{turn, {Role: claw.Assistant, Text: words(18)}} {
			if err := db.AppendTurn(b.Context(), "s", turn); err != nil {
				b.Fatal(err)
			}
		}
	}
}

// BenchmarkMessage measures from the frame with a message, sent by a terminal, to the whole question at the model's
// server: every wall, both stores and the log with their disk, 1,000 messages of history and 100,000 memories.
func BenchmarkMessage(b *testing.B) {
	for _, size := range []struct{ messages, memories int }{{1, 0}, {1000, 100_000}} {
		b.Run(fmt.Sprintf("%d+%d", size.messages, size.memories), func(b *testing.B) {
			dir := b.TempDir()
			lived(b, dir, size.messages, size.memories)
			model := newStopwatch(b)
			conn := whole(b, dir, model)
			words, n := spoken(2), 0
			var took []time.Duration
			for b.Loop() {
				n++
				began := time.Now()
				if err := conn.Send(wire.Up{Message: &wire.Message{ID: fmt.Sprint("m", n), Session: "s", Text: words(20)}}); err != nil {
					b.Fatal(err)
				}
				took = append(took, (<-model.asked).Sub(began))
				model.say <- ""
				await(b, conn, func(d wire.Down) bool { return d.Reply != nil })
			}
			report(b, "", took[min(len(took)-1, 3):])
		})
	}
}

// BenchmarkDelta measures from a model's server that writes a piece of its answer to the terminal that has it in hand,
// beside one who reads the server's stream and nothing else.
func BenchmarkDelta(b *testing.B) {
	dir := b.TempDir()
	model := newStopwatch(b)
	conn := whole(b, dir, model)
	if err := conn.Send(wire.Up{Message: &wire.Message{ID: "m", Session: "s", Text: "talk"}}); err != nil {
		b.Fatal(err)
	}
	<-model.asked
	plain := newStopwatch(b)
	resp, err := http.Post(plain.URL, "text/plain", nil)
	if err != nil {
		b.Fatal(err)
	}
	defer resp.Body.Close()
	<-plain.asked
	lines := bufio.NewScanner(resp.Body)
	var took, plainly []time.Duration
	for b.Loop() { // by turns
		plain.say <- "word "
		began := <-plain.wrote
		for lines.Scan() && !strings.Contains(lines.Text(), "text_delta") {
		}
		plainly = append(plainly, time.Since(began))
		model.say <- "word "
		began = <-model.wrote
		await(b, conn, func(d wire.Down) bool { return d.Delta != nil })
		took = append(took, time.Since(began))
	}
	report(b, "", took)
	report(b, "plain-", plainly)
	plain.say <- ""
	model.say <- ""
	await(b, conn, func(d wire.Down) bool { return d.Reply != nil })
}

func report(b *testing.B, name string, took []time.Duration) {
	slices.Sort(took)
	for _, p := range []int{50, 95} {
		b.ReportMetric(float64(took[min(len(took)-1, len(took)*p/100)].Microseconds()), fmt.Sprintf("%sµs-p%d", name, p))
	}
}
