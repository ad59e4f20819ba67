// Package agent turns one message into one answer: it asks the model, runs the tool calls that the
// model wants through the gate, and asks again, for at most a fixed number of rounds.
//
// It trusts nothing the model says and decides nothing about a call: [Hands] does. Every turn is
// stored before its effects begin, so that a restart finds the conversation as it was; see
// [Agent.Answer] and [Agent.Continue]. Whatever happens, there is exactly one [Answer].
package agent

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/secureclaw/secureclaw/gateway/internal/claw"
	"github.com/secureclaw/secureclaw/gateway/internal/gate"
	"github.com/secureclaw/secureclaw/gateway/internal/llm"
)

// MaxCalls is how many tool calls of one model answer are run; the rest are refused.
const MaxCalls = 32

// Model answers one request. On a non-nil error nothing of the reply is used; onText gets the
// text as it comes, in order, from one goroutine.
type Model interface {
	Ask(ctx context.Context, req llm.Request, onText func(string)) (llm.Reply, error)
	Name() string
}

// Hands runs one tool call to its end, whatever that takes: rules, a human, a container. A refusal is a result.
type Hands interface {
	Tools() []claw.Tool
	Run(ctx context.Context, call gate.Call, tool string, input []byte) claw.ToolResult
}

// History keeps conversations. What AppendTurn returned for survives a crash of this process.
type History interface {
	// TurnsAfter returns the turns behind a number, and the number of the first one: at most limit of the
	// newest, or all if it is zero, and no more than a process should hold. Numbers begin at 1, without gaps.
	TurnsAfter(ctx context.Context, session claw.SessionID, after, limit int) (turns []claw.Turn, first int, err error)
	// Rewrites counts how often words were taken out of turns that were stored already: what was read before
	// the count changed may still have them.
	Rewrites() int64
	// Summary returns the one that stands for the most turns, and false if there is none.
	Summary(ctx context.Context, session claw.SessionID) (claw.Summary, bool, error)
	AddSummary(ctx context.Context, s claw.Summary) error
	AppendTurn(ctx context.Context, session claw.SessionID, turn claw.Turn) error
	Label(ctx context.Context, session claw.SessionID) (claw.Label, error)
	SetLabel(ctx context.Context, session claw.SessionID, label claw.Label) error
	AddUsage(ctx context.Context, call claw.ModelCall) error
}

// Recall finds what is remembered beyond a conversation.
type Recall interface {
	// Recall returns the few memories that are of use for a message, the most useful first.
	Recall(ctx context.Context, origin claw.Origin, text string) ([]claw.Memory, error)
	// Recalled returns those of the ids that are still there, and are of the person who set the run in motion.
	Recalled(ctx context.Context, origin claw.Origin, ids []int64) ([]claw.Memory, error)
}

// Steady is a [Recall] that says when memories may read differently: as long as the state for an origin is the
// same, Recalled gives the same for the same ids.
type Steady interface {
	State(origin claw.Origin) string
}

// Budget says whether one more question may be put to the model. A why that is not empty is the
// sentence for the user, and the run pauses.
type Budget interface {
	Spend(ctx context.Context, session claw.SessionID, origin claw.Origin) (why string, err error)
}

// ErrWaiting ends a run without an answer: its message waits for a human, or was answered meanwhile.
var ErrWaiting = errors.New("nothing to answer now")

// Watcher sees a run while it goes on. Its methods must not block; they may be called from several goroutines.
type Watcher interface {
	Progress(p claw.Progress)
	Text(delta string)
	Began(call claw.ToolCall)
	Ended(call claw.ToolCall, result claw.ToolResult)
}

// Outcome is how a run ended.
type Outcome string

// The ends of a run.
const (
	Done    Outcome = "done"
	Stopped Outcome = "stopped"
	Limit   Outcome = "limit"
	Failed  Outcome = "failed"
	Paused  Outcome = "paused"  // a limit of tokens is reached
	Planned Outcome = "planned" // the model asked for a plan; there is no answer yet, and none is stored
)

// Answer is the one outcome of a message.
type Answer struct {
	Outcome Outcome
	Text    string
	Model   string
	Results []claw.ToolResult
	Usage   claw.Usage
	Rounds  int
}

// Options is what an Agent is made of; all fields are required but Log and Step.
type Options struct {
	Model   Model
	Hands   Hands
	History History
	Prompt  Prompt
	// Recall is optional: without it nothing is remembered. So is Budget: without it there is no limit.
	Recall Recall
	Budget Budget
	// Leave names the tool whose success ends a run as Planned; empty for none.
	Leave string
	// Context is about how many tokens of a conversation a question carries; zero means 100,000.
	Context int
	// MaxTokens is the most tokens of one model answer, Rounds the most model calls for one message.
	MaxTokens int
	Rounds    int
	Now       func() time.Time
	Log       *slog.Logger
	// Step is called at each named step, so that a test can end the process there. Nil means none.
	Step func(step string)
}

// The steps of one round, in their order. A round without calls ends with answered.
const (
	StepAsking   = "agent.asking"   // the conversation is stored, the model is not asked yet
	StepAnswered = "agent.answered" // the model's answer is in hand, nothing of it is stored
	StepCalls    = "agent.calls"    // its calls are stored, none has run
	StepResults  = "agent.results"  // their results are stored
)

// Agent answers messages. One session is answered by one goroutine at a time; sessions are independent.
type Agent struct {
	o      Options
	gauge  gauge
	lately lately
	opened openings
	ahead  ahead
}

// New checks the options.
func New(o Options) (*Agent, error) {
	switch {
	case o.Model == nil || o.Hands == nil || o.History == nil || o.Now == nil:
		return nil, errors.New("agent: model, hands, history and clock are required")
	case o.Rounds < 1:
		return nil, errors.New("agent: at least one round is required")
	case o.MaxTokens < 1:
		return nil, errors.New("agent: maxTokens must be positive")
	}
	if o.Context <= 0 {
		o.Context = defaultContext
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Step == nil {
		o.Step = func(string) {}
	}
	return &Agent{o: o}, nil
}

// ModelName says who answers, for humans.
func (a *Agent) ModelName() string { return a.o.Model.Name() }

// Answer stores the message and runs it to its end. When ctx ends with [gate.ErrShutdown] it
// returns that error and leaves the conversation as it stands, for the next gateway to go on with.
func (a *Agent) Answer(ctx context.Context, msg claw.Message, run claw.RunID, w Watcher) (Answer, error) {
	if err := a.Hear(ctx, msg); err != nil {
		return Answer{}, err
	}
	return a.loop(ctx, msg.Session, msg.Origin, run, w, nil)
}

// Hear stores a message as the next turn of its conversation, with all that belongs to it, and asks
// nothing yet; [Agent.Continue] without results does.
func (a *Agent) Hear(ctx context.Context, msg claw.Message) error {
	ids, label := a.recall(ctx, msg)
	keep := context.WithoutCancel(ctx)
	// The label first: a session that was shown less than it says is safe, the other way round it is not.
	if err := a.joinLabel(keep, msg.Session, label); err != nil {
		return err
	}
	turn := claw.Turn{Role: claw.User, Message: msg.ID, Text: msg.Text, Notes: msg.Notes, At: a.o.Now().UTC().Truncate(time.Second), Recalled: ids}
	if err := a.o.History.AppendTurn(keep, msg.Session, turn); err != nil {
		return fmt.Errorf("store message: %w", err)
	}
	return nil
}

// Settle stores how the open calls of a session ended, and asks nothing.
func (a *Agent) Settle(ctx context.Context, session claw.SessionID, results []claw.ToolResult) error {
	return a.storeResults(ctx, session, results)
}

// Continue goes on with a session whose last turn is one of tool calls, now that every one of
// them has a result. It is how a conversation survives a restart in the middle of its calls.
func (a *Agent) Continue(ctx context.Context, session claw.SessionID, origin claw.Origin, run claw.RunID, results []claw.ToolResult, w Watcher) (Answer, error) {
	if len(results) > 0 {
		if err := a.storeResults(ctx, session, results); err != nil {
			return Answer{}, err
		}
	}
	return a.loop(ctx, session, origin, run, w, results)
}

// Abandon stores how the open calls of a session ended and answers that it was stopped, without asking the model.
func (a *Agent) Abandon(ctx context.Context, session claw.SessionID, results []claw.ToolResult) (Answer, error) {
	answer := Answer{Outcome: Stopped, Text: "Stopped.", Model: a.o.Model.Name(), Results: results}
	if len(results) > 0 {
		if err := a.storeResults(ctx, session, results); err != nil {
			return answer, err
		}
	}
	return answer, a.o.History.AppendTurn(context.WithoutCancel(ctx), session, claw.Turn{Role: claw.Assistant, Text: answer.Text, Outcome: string(Stopped)})
}

func (a *Agent) loop(ctx context.Context, session claw.SessionID, origin claw.Origin, run claw.RunID, w Watcher, before []claw.ToolResult) (Answer, error) {
	answer := Answer{Model: a.o.Model.Name(), Results: before}
	t := &talk{session: session, origin: origin, run: run}
	finish := func(outcome Outcome, text string) (Answer, error) {
		if t.unsummed && a.gauge.tell(session) {
			text = joinText(text, unsummed)
		}
		answer.Outcome, answer.Text = outcome, text
		turn := claw.Turn{Role: claw.Assistant, Text: text}
		if outcome != Done {
			turn.Outcome = string(outcome)
		}
		if err := a.o.History.AppendTurn(context.WithoutCancel(ctx), session, turn); err != nil {
			return answer, fmt.Errorf("store answer: %w", err)
		}
		return answer, nil
	}
	for answer.Rounds < a.o.Rounds {
		reply, upto, err := a.ask(ctx, t, w)
		answer.Rounds++
		answer.Usage = answer.Usage.Add(reply.Usage).Add(t.spent)
		t.spent = claw.Usage{}
		if reply.Model != "" {
			answer.Model = reply.Model
		}
		// Looked at once: between two looks the reason can appear, and a shutdown would pass for the user's stop.
		switch cause := context.Cause(ctx); {
		case errors.Is(cause, gate.ErrShutdown):
			return answer, gate.ErrShutdown
		case cause != nil:
			return finish(Stopped, "Stopped.")
		case err != nil:
			if p, ok := errors.AsType[*Pause](err); ok {
				return finish(Paused, p.Why)
			}
			if e, ok := errors.AsType[*llm.Error](err); ok {
				return finish(Failed, sentenceOf(e))
			}
			return answer, err
		case reply.Stop == llm.StopLength:
			return finish(Done, joinText(reply.Text, "(The answer was cut: it reached llm.maxTokens.)"))
		case reply.Stop == llm.StopRefusal:
			return finish(Done, joinText(reply.Text, "(The model declined to answer this.)"))
		case len(reply.Calls) == 0 && strings.TrimSpace(reply.Text) == "":
			return finish(Failed, "The model gave an empty answer. Try to ask again, or in other words.")
		case len(reply.Calls) == 0:
			return finish(Done, reply.Text)
		}
		call := gate.Call{Session: session, Run: run, Origin: origin, Step: answer.Rounds, Quoted: quotedIn(func() []claw.Turn { return a.saidUpto(ctx, session, upto) })}
		results, err := a.step(ctx, call, reply, w)
		if err != nil {
			return answer, err
		}
		answer.Results = append(answer.Results, results...)
		if a.leaves(results) {
			answer.Outcome = Planned
			return answer, nil
		}
		switch cause := context.Cause(ctx); {
		case errors.Is(cause, gate.ErrShutdown):
			return answer, gate.ErrShutdown // the results are stored: the next gateway goes on from them
		case cause != nil:
			return finish(Stopped, "Stopped.")
		}
	}
	return finish(Limit, fmt.Sprintf("I stopped: %d rounds of tool calls did not lead to an answer. %s Say \"go on\" if you want me to continue.",
		a.o.Rounds, summary(answer.Results)))
}

// ask puts the stored conversation to the model once. Upto is the number of the last turn that it was shown.
func (a *Agent) ask(ctx context.Context, t *talk, w Watcher) (reply llm.Reply, upto int, err error) {
	req, p, err := a.question(ctx, t)
	if err != nil {
		return llm.Reply{}, 0, err
	}
	a.o.Step(StepAsking)
	shown := req.Turns
	pictures := false
	req.Turns, pictures = pictured(shown, maxPictured, pictureGone)
	reply, err = a.put(ctx, t, req, w.Text)
	if e, ok := errors.AsType[*llm.Error](err); ok && e.Kind == llm.BadRequest && pictures {
		// A picture that a provider does not take stays in the history, and every later question would fail.
		a.o.Log.Warn("asking again without pictures", "err", err)
		req.Turns, _ = pictured(shown, 0, pictureRefused)
		reply, err = a.put(ctx, t, req, w.Text)
	}
	a.o.Step(StepAnswered)
	a.measure(t.session, p, reply.Usage)
	return reply, p.last(), err
}

// step stores the model's calls, runs them side by side, and stores their results. In gives what they have in common.
func (a *Agent) step(ctx context.Context, in gate.Call, reply llm.Reply, w Watcher) ([]claw.ToolResult, error) {
	for i := range reply.Calls {
		reply.Calls[i].ID = NewCallID()
	}
	// The calls are stored before any of them runs: a restart must know what was asked for.
	turn := claw.Turn{Role: claw.Assistant, Text: reply.Text, Calls: reply.Calls}
	if err := a.o.History.AppendTurn(context.WithoutCancel(ctx), in.Session, turn); err != nil {
		return nil, fmt.Errorf("store calls: %w", err)
	}
	a.o.Step(StepCalls)
	var err error
	if in.Label, err = a.o.History.Label(ctx, in.Session); err != nil && ctx.Err() == nil {
		return nil, fmt.Errorf("label: %w", err)
	}
	results := make([]claw.ToolResult, len(reply.Calls))
	var wg sync.WaitGroup
	for i, c := range reply.Calls {
		if i >= MaxCalls {
			results[i] = claw.ToolResult{Call: c.ID, ModelID: c.ModelID, Tool: c.Tool, Status: claw.Refused,
				Content: fmt.Sprintf("Not run: at most %d calls in one answer.", MaxCalls)}
			continue
		}
		wg.Go(func() {
			w.Began(c)
			call := in
			call.ID, call.ModelID = c.ID, c.ModelID
			results[i] = a.o.Hands.Run(ctx, call, c.Tool, []byte(c.Input))
			results[i].Call, results[i].ModelID = c.ID, c.ModelID
			w.Ended(c, results[i])
		})
	}
	wg.Wait()
	if shutdown(ctx) {
		// The next gateway finds the calls without results, and learns from the gate how each ended
		// or that it still waits for its human. What we know now is less than that.
		return nil, gate.ErrShutdown
	}
	if err := a.storeResults(ctx, in.Session, results); err != nil {
		return results, err
	}
	return results, nil
}

// leaves reports whether the model asked for a plan, and got it.
func (a *Agent) leaves(results []claw.ToolResult) bool {
	return a.o.Leave != "" && slices.ContainsFunc(results, func(r claw.ToolResult) bool { return r.Tool == a.o.Leave && r.Status == claw.OK })
}

// shutdown reports whether the whole gateway stops, and not only this run.
func shutdown(ctx context.Context) bool { return errors.Is(context.Cause(ctx), gate.ErrShutdown) }

func (a *Agent) storeResults(ctx context.Context, session claw.SessionID, results []claw.ToolResult) error {
	keep := context.WithoutCancel(ctx)
	for _, r := range results {
		if r.Status == claw.Refused || r.Status == claw.Denied || r.Status == claw.Expired {
			continue // our own words, nothing was read
		}
		if err := a.joinLabel(keep, session, r.Label); err != nil {
			return err
		}
	}
	if err := a.o.History.AppendTurn(keep, session, claw.Turn{Role: claw.User, Results: results}); err != nil {
		return fmt.Errorf("store results: %w", err)
	}
	a.o.Step(StepResults)
	return nil
}

func (a *Agent) joinLabel(ctx context.Context, session claw.SessionID, label claw.Label) error {
	old, err := a.o.History.Label(ctx, session)
	if err != nil {
		return fmt.Errorf("label: %w", err)
	}
	joined := old.Join(label)
	if joined.Integrity == old.Integrity && joined.Privacy == old.Privacy && slices.Equal(joined.Sources, old.Sources) {
		return nil
	}
	if err := a.o.History.SetLabel(ctx, session, joined); err != nil {
		return fmt.Errorf("label: %w", err)
	}
	return nil
}

// NewCallID returns a fresh id, unique over all sessions.
func NewCallID() claw.CallID { return claw.CallID("call_" + rand.Text()[:20]) }

// NewRunID returns a fresh id for one message on its way to one answer.
func NewRunID() claw.RunID { return claw.RunID("run_" + rand.Text()[:20]) }

func sentenceOf(e *llm.Error) string {
	text := "The model could not answer: " + e.What + "."
	if e.Fix != "" {
		text += " To fix it: " + e.Fix + "."
	}
	return text
}

func joinText(text, note string) string {
	if strings.TrimSpace(text) == "" {
		return note
	}
	return text + "\n\n" + note
}

// summary counts results by status, for the honest stop.
func summary(results []claw.ToolResult) string {
	counts := map[claw.Status]int{}
	for _, r := range results {
		counts[r.Status]++
	}
	var parts []string
	for _, s := range []claw.Status{claw.OK, claw.Failed, claw.Refused, claw.Denied, claw.Expired, claw.TimedOut, claw.Cancelled, claw.Unknown} {
		if counts[s] > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", counts[s], s))
		}
	}
	return fmt.Sprintf("The calls so far: %s.", strings.Join(parts, ", "))
}
