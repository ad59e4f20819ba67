//go:build docker

package e2e

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/secureclaw/secureclaw/internal/fake"
	"github.com/secureclaw/secureclaw/internal/wire"
)

// talker is one terminal with a conversation of its own.
type talker struct {
	w       *world
	conn    *wire.Conn
	session string
}

func (w *world) talker(session string) *talker {
	w.t.Helper()
	conn, err := wire.Dial(w.t.Context(), w.path("run/gateway.sock"), wire.Hello{Role: "terminal", Program: "test"})
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { _ = conn.Close() })
	return &talker{w, conn, session}
}

// says sends a message and returns its reply, and how long that took.
func (t *talker) says(text string) (*wire.Reply, time.Duration, error) {
	began := time.Now()
	id := t.session + "-" + strconv.FormatInt(began.UnixNano(), 36)
	if err := t.conn.Send(wire.Up{Message: &wire.Message{ID: id, Session: t.session, Text: text}}); err != nil {
		return nil, 0, err
	}
	for {
		var down wire.Down
		if err := t.conn.Receive(&down); err != nil {
			return nil, 0, err
		}
		switch {
		case down.Fault != nil:
			return nil, 0, fmt.Errorf("%s: %s", down.Fault.Code, down.Fault.What)
		case down.Reply != nil && down.Reply.Message == id:
			return down.Reply, time.Since(began), nil
		}
	}
}

// ofProc is how much memory a process holds, and how many open files.
func ofProc(t *testing.T, pid int) (residentMB float64, files int) {
	t.Helper()
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(data)) {
		if rest, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			kb, _ := strconv.Atoi(strings.Fields(rest)[0])
			residentMB = float64(kb) / 1024
		}
	}
	fds, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid))
	if err != nil {
		t.Fatal(err)
	}
	return residentMB, len(fds)
}

// quantile of a list, which it sorts.
func quantile(list []float64, q float64) float64 {
	slices.Sort(list)
	return list[min(len(list)-1, int(q*float64(len(list))))]
}

// A hundred people at once on one machine: every call of every conversation runs, who asked for three is
// served as soon as his neighbours, and neither memory nor files are left over.
func TestAHundredConversationsAtOnce(t *testing.T) {
	const crowd, each, alone = 100, 3, 8
	model := fake.NewAnthropic(t)
	model.Play(func(r fake.Request) fake.Step {
		if last := r.Turns[len(r.Turns)-1]; len(last.Results) > 0 {
			for _, result := range last.Results {
				if result.IsError {
					return says("failed: " + result.Content)
				}
			}
			return says("done")
		}
		if strings.HasSuffix(r.Turns[len(r.Turns)-1].Text, "one") {
			return calls(shell("echo one", 20))
		}
		return calls(shell("echo one", 20), shell("echo two", 20), fake.Call{Tool: "list_directory", Input: `{"path":"."}`})
	})

	// One person first, one call after the other, each of which starts its container: no more than that is the
	// engine's part of what the crowd takes.
	w := startWorld(t, setting{model: model})
	first := w.talker("alone")
	if _, _, err := first.says("one"); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	for range alone {
		if reply, _, err := first.says("one"); err != nil || reply.Text != "done" || len(reply.Calls) != 1 {
			t.Fatalf("alone: %v, %+v", err, reply)
		}
	}
	oneByOne := time.Since(began) / alone
	w.stop()
	if err := os.Remove(w.path("config/secureclaw.yaml")); err != nil {
		t.Fatal(err)
	}
	w.start()
	gateway, runner := w.pid("gateway"), w.pid("runner")

	var mu sync.Mutex
	var waits, ends []float64
	failed := map[string]int{}
	var all sync.WaitGroup
	talkers := make([]*talker, crowd)
	for i := range talkers {
		talkers[i] = w.talker(fmt.Sprint("crowd-", i))
	}
	began = time.Now()
	for _, talker := range talkers {
		all.Go(func() {
			reply, took, err := talker.says("go")
			mu.Lock()
			defer mu.Unlock()
			switch {
			case err != nil:
				failed[err.Error()]++
			case reply.Text != "done" || len(reply.Calls) != each:
				failed[fmt.Sprintf("%d calls, %s", len(reply.Calls), reply.Text)]++
			default:
				ends = append(ends, took.Seconds())
				least := 1e9
				for _, c := range reply.Calls {
					least = min(least, c.WaitedMS)
				}
				waits = append(waits, least/1000)
			}
		})
	}
	peakMB, peakFiles, runnerFiles := 0.0, 0, 0
	done := make(chan struct{})
	go func() { all.Wait(); close(done) }()
	for going := true; going; {
		select {
		case <-done:
			going = false
		case <-time.After(200 * time.Millisecond):
			mb, files := ofProc(t, gateway)
			_, of := ofProc(t, runner)
			peakMB, peakFiles, runnerFiles = max(peakMB, mb), max(peakFiles, files), max(runnerFiles, of)
		}
	}
	total := time.Since(began)
	if len(failed) > 0 {
		t.Fatalf("%d of %d conversations failed: %v", crowd-len(ends), crowd, failed)
	}
	t.Logf("one call alone %v; %d conversations with three at once %v, that is %.2f of one by one; a conversation's first call waited p50 %.2fs p95 %.2fs most %.2fs; ended p5 %.2fs p50 %.2fs most %.2fs; gateway %.0f MB, %d files; runner %d files",
		oneByOne.Round(time.Millisecond), crowd, total.Round(time.Millisecond), total.Seconds()/(crowd*each*oneByOne.Seconds()),
		quantile(waits, .5), quantile(waits, .95), quantile(waits, 1), quantile(ends, .05), quantile(ends, .5), quantile(ends, 1), peakMB, peakFiles, runnerFiles)
	if limit := 1.2 * crowd * each * oneByOne.Seconds(); total.Seconds() > limit {
		t.Errorf("%d conversations at once took %v, want at most 1.2 times what their calls take one by one: %.1fs", crowd, total, limit)
	}
	// A round serves one call of everybody, and there are three: the first call of the last comes after the first round.
	if most := quantile(waits, 1); most > total.Seconds()*0.6 {
		t.Errorf("one conversation waited %.1fs of %v for its first call, want at most one round of three", most, total)
	}
	if peakMB > 200 || peakFiles > 600 || runnerFiles > 300 {
		t.Errorf("gateway at most %.0f MB and %d files, runner %d files; want 200, 600 and 300", peakMB, peakFiles, runnerFiles)
	}
}
