package gate_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/secureclaw/secureclaw/gateway/internal/audit"
	"github.com/secureclaw/secureclaw/gateway/internal/claw"
	"github.com/secureclaw/secureclaw/gateway/internal/gate"
	"github.com/secureclaw/secureclaw/gateway/internal/sqlite"
)

// The test binary runs again as a gateway that kills itself (SIGKILL, no goodbyes) at one step.
const (
	crashDir  = "GATE_UNDER_TEST_DIR"
	crashStep = "GATE_UNDER_TEST_STEP"
	crashTool = "GATE_UNDER_TEST_TOOL"
	// inTool is the step after the effect and before the tool returns.
	inTool = "in the tool"
	// resume makes the life answer and run what an earlier one left, instead of asking anew.
	resume = "resume"
)

func TestMain(m *testing.M) {
	if dir := os.Getenv(crashDir); dir != "" {
		if err := liveAndDie(dir, os.Getenv(crashTool), os.Getenv(crashStep)); err != nil {
			fmt.Fprintln(os.Stderr, err)
		}
		os.Exit(1) // it should have been killed
	}
	os.Exit(m.Run())
}

// auditKey is a fixed key, so that every life signs alike.
func auditKey() ed25519.PrivateKey {
	seed := sha256.Sum256([]byte("audit key of the crash tests"))
	return ed25519.NewKeyFromSeed(seed[:])
}

// life is a gateway on the directory of a crash test: real store, real log.
type life struct {
	db   *sqlite.DB
	log  *audit.Log
	desk *desk
	gate *gate.Gate
}

func newLife(ctx context.Context, dir string, step func(string)) (*life, error) {
	l := &life{desk: newDesk()}
	var err error
	if l.db, err = sqlite.Open(ctx, filepath.Join(dir, "state")); err != nil {
		return nil, err
	}
	if l.log, err = audit.Open(filepath.Join(dir, "audit"), audit.Options{Key: auditKey()}); err != nil {
		return nil, errors.Join(err, l.db.Close())
	}
	o := gate.Options{Store: l.db.Approvals(), Audit: l.log, Asker: l.desk, Step: step}
	for _, name := range []string{askNote, autoNote} {
		o.Tools = append(o.Tools, &noteTool{name: name, file: filepath.Join(dir, "effects"), hook: func(context.Context) { step(inTool) }})
	}
	if o.Policy, err = noteRules(); err != nil {
		return nil, err
	}
	l.gate, err = gate.New(o)
	return l, err
}

func (l *life) inDoubt() []string {
	var ids []string
	for _, r := range l.log.InDoubt() {
		ids = append(ids, r.Call)
	}
	return ids
}

func (l *life) close() error { return errors.Join(l.log.Close(), l.db.Close()) }

// liveAndDie makes one call and is killed at the step.
func liveAndDie(dir, tool, step string) error {
	ctx := context.Background()
	l, err := newLife(ctx, dir, func(at string) {
		if at == step {
			// Nothing runs after this: no deferred call, no flush.
			syscall.Kill(os.Getpid(), syscall.SIGKILL)
			select {}
		}
	})
	if err != nil {
		return err
	}
	go l.gate.RunExpiry(ctx)
	if tool == resume {
		if _, err := l.gate.Recover(ctx, l.inDoubt()); err != nil {
			return err
		}
		<-l.desk.resumedOne
		return errors.New("survived the resumed call")
	}
	go func() {
		a := <-l.desk.asked
		if _, err := l.gate.Decide(ctx, a.ID, yes()); err != nil {
			fmt.Fprintln(os.Stderr, err)
		}
	}()
	return fmt.Errorf("survived: %+v", l.gate.Run(ctx, newCall("c1"), tool, text("c1")))
}

// crash runs a life that must end by SIGKILL.
func crash(t *testing.T, dir, tool, step string) {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), exe)
	cmd.Env = append(os.Environ(), crashDir+"="+dir, crashTool+"="+tool, crashStep+"="+step)
	out, err := cmd.CombinedOutput()
	if exit, ok := errors.AsType[*exec.ExitError](err); !ok || exit.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL {
		t.Fatalf("the life at step %q ended with %v, want it killed\n%s", step, err, out)
	}
}

func TestKilledAtEachStep(t *testing.T) {
	type want struct {
		before  int          // effects when the process was killed
		outcome gate.Outcome // what Recover reports, "" for nothing
		state   gate.State   // of the approval after recovery, "" for none
		after   int          // effects after recovery
	}
	for name, tc := range map[string]struct {
		tool, step string
		want       want
	}{
		"asked":          {askNote, gate.StepAsked, want{0, "", gate.Pending, 0}},
		"decided":        {askNote, gate.StepDecided, want{0, gate.Resumes, gate.Done, 1}},
		"started":        {askNote, gate.StepStarted, want{0, gate.LeftUnknown, gate.Unknown, 0}},
		"intent written": {askNote, gate.StepIntent, want{0, gate.LeftUnknown, gate.Unknown, 0}},
		"in the tool":    {askNote, inTool, want{1, gate.LeftUnknown, gate.Unknown, 1}},
		"ran":            {askNote, gate.StepRan, want{1, gate.LeftUnknown, gate.Unknown, 1}},
		"result stored":  {askNote, gate.StepDone, want{1, gate.Finished, gate.Done, 1}},
		"result written": {askNote, gate.StepResult, want{1, "?finished", gate.Done, 1}},
		"auto, intent":   {autoNote, gate.StepIntent, want{0, gate.LeftUnknown, "", 0}},
		"auto, in it":    {autoNote, inTool, want{1, gate.LeftUnknown, "", 1}},
		"auto, ran":      {autoNote, gate.StepRan, want{1, gate.LeftUnknown, "", 1}},
		"auto, recorded": {autoNote, gate.StepResult, want{1, "?unknown", "", 1}},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			crash(t, dir, tc.tool, tc.step)
			if got := effects(t, dir); got != tc.want.before {
				t.Errorf("killed with %d effects, want %d", got, tc.want.before)
			}
			wantOutcome(t, dir, tc.want.outcome, tc.want.state)
			if got := effects(t, dir); got != tc.want.after {
				t.Errorf("%d effects after recovery, want %d", got, tc.want.after)
			}
			// Whatever was settled stays settled.
			wantOutcome(t, dir, "", tc.want.state)
			checkLog(t, dir, tc.want.after)
		})
	}
}

// A crash of the life that resumes an allowed call leaves one effect at most, and says so.
func TestKilledWhileResuming(t *testing.T) {
	for step, want := range map[string]struct {
		effects int
		outcome gate.Outcome
		state   gate.State
	}{
		gate.StepStarted: {0, gate.LeftUnknown, gate.Unknown},
		gate.StepIntent:  {0, gate.LeftUnknown, gate.Unknown},
		inTool:           {1, gate.LeftUnknown, gate.Unknown},
		gate.StepDone:    {1, gate.Finished, gate.Done},
	} {
		t.Run(step, func(t *testing.T) {
			dir := t.TempDir()
			crash(t, dir, askNote, gate.StepDecided)
			crash(t, dir, resume, step)
			wantOutcome(t, dir, want.outcome, want.state)
			if got := effects(t, dir); got != want.effects {
				t.Errorf("%d effects, want %d", got, want.effects)
			}
			checkLog(t, dir, want.effects)
		})
	}
}

// A question that was open at the kill takes an answer in the next life, once.
func TestAnswerAfterAKill(t *testing.T) {
	dir := t.TempDir()
	crash(t, dir, askNote, gate.StepAsked)
	l, stop := revive(t, dir)
	pending, err := l.gate.Pending(t.Context())
	if err != nil || len(pending) != 1 {
		t.Fatalf("Pending = %+v, %v, want the question", pending, err)
	}
	if _, err := l.gate.Decide(t.Context(), pending[0].Code, yes()); err != nil {
		t.Fatal(err)
	}
	<-l.desk.resumedOne
	if got := l.desk.results("c1"); len(got) != 1 || got[0].Status != claw.OK || got[0].ModelID != "toolu_c1" {
		t.Errorf("resumed with %+v, want ok once", got)
	}
	if _, err := l.gate.Decide(t.Context(), pending[0].ID, yes()); !errors.Is(err, gate.ErrDecided) {
		t.Errorf("second Decide = %v, want ErrDecided", err)
	}
	stop()
	if got := effects(t, dir); got != 1 {
		t.Errorf("%d effects, want 1", got)
	}
	checkLog(t, dir, 1)
}

// revive starts a life in this process; stop ends it in order.
func revive(t *testing.T, dir string) (l *life, stop func()) {
	t.Helper()
	l, err := newLife(t.Context(), dir, func(string) {})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	owner := make(chan error, 1)
	go func() { owner <- l.gate.RunExpiry(ctx) }()
	return l, func() {
		t.Helper()
		cancel()
		if err := errors.Join(<-owner, l.close()); err != nil {
			t.Error(err)
		}
	}
}

// wantOutcome recovers in a new life and compares what it reports of the one call.
func wantOutcome(t *testing.T, dir string, outcome gate.Outcome, state gate.State) {
	t.Helper()
	l, stop := revive(t, dir)
	defer stop()
	got, err := l.gate.Recover(t.Context(), l.inDoubt())
	if err != nil {
		t.Fatal(err)
	}
	if may, ok := strings.CutPrefix(string(outcome), "?"); ok {
		// The result was handed to the log, which had not promised to have it on disk.
		if outcome = gate.Outcome(may); len(got) == 0 {
			outcome = ""
		}
	}
	if outcome == "" && len(got) != 0 || outcome != "" && (len(got) != 1 || got[0].Outcome != outcome || got[0].Call != "c1") {
		t.Errorf("Recover = %+v, want %q for c1", got, outcome)
	}
	if state != "" && outcome != "" {
		<-l.desk.resumedOne
	}
	history, err := l.gate.History(t.Context(), 2)
	if err != nil {
		t.Fatal(err)
	}
	if state == "" && len(history) != 0 || state != "" && (len(history) != 1 || history[0].State != state) {
		t.Errorf("approvals after recovery = %+v, want one %s", history, state)
	}
}

func effects(t *testing.T, dir string) int {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(dir, "effects"))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	return bytes.Count(data, []byte("\n"))
}

// checkLog verifies the log and wants no effect without an intent before it.
func checkLog(t *testing.T, dir string, effects int) {
	t.Helper()
	where := filepath.Join(dir, "audit")
	if _, err := audit.Verify(t.Context(), where, auditKey().Public().(ed25519.PublicKey), audit.VerifyOptions{}); err != nil {
		t.Errorf("the log does not verify: %v", err)
	}
	intents, results := 0, 0
	for e, err := range audit.Query(t.Context(), where, audit.Filter{Call: "c1"}) {
		if err != nil {
			t.Fatal(err)
		}
		switch e.Kind {
		case audit.KindIntent:
			intents++
		case audit.KindResult:
			results++
		}
	}
	if intents < effects || intents > 1 || results < intents {
		t.Errorf("%d effects with %d intents and %d results", effects, intents, results)
	}
}
