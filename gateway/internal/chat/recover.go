package chat

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/secureclaw/secureclaw/gateway/internal/agent"
	"github.com/secureclaw/secureclaw/gateway/internal/claw"
)

// This file goes on where a gateway that died left off. What can be found in the store:
//
//	message accepted, not yet a turn        → it runs from the start
//	message is a turn, no call is open      → the model is asked again; nothing had an effect yet, or
//	                                          its results are turns
//	the last turn has calls without results → each call's end is looked up (the gate knows the asked
//	                                          ones); one that waits for a human keeps the message
//	                                          waiting, any other is told as unknown and never repeated
//	the last turn is the model's answer     → that is the reply; the model is not asked again, for its
//	                                          second answer could be a call, and an effect twice
//	reply stored                            → nothing: the item that shows it was stored with it
//	the message has a task                  → the task knows where it stands, see [Tasks]
//
// An open question is answered later: the gate runs the call once and hands its result to the
// board, and resumeLoop goes on from there. Commands are carried out again: each of them may be.

// Tasks are messages that are answered in several turns, each in a conversation of its own that works
// for that of the message.
type Tasks interface {
	// Resume goes on with the task of a message, or returns the answer that it has; false when there is no task.
	// It returns agent.ErrWaiting while a human is asked.
	Resume(ctx context.Context, msg claw.Message, run claw.RunID, w agent.Watcher) (agent.Answer, bool, error)
	// Stop ends the task of a message that nothing works on, without asking the model.
	Stop(ctx context.Context, msg claw.Message, w agent.Watcher) (agent.Answer, bool, error)
	// Root is the conversation that a session works for: itself, when it works for none.
	Root(ctx context.Context, session claw.SessionID) (claw.SessionID, error)
	// Iteration is the session that works for a conversation now, empty when none does.
	Iteration(ctx context.Context, session claw.SessionID) (claw.SessionID, error)
}

// root is the conversation that a session works for.
func (d *Desk) root(ctx context.Context, session claw.SessionID) (claw.SessionID, error) {
	if d.o.Tasks == nil {
		return session, nil
	}
	return d.o.Tasks.Root(ctx, session)
}

// project puts the card of every open question into the outbox. Those that are there stay as they
// are; one that an earlier life could not put any more is shown now.
func (d *Desk) project(ctx context.Context) error {
	if len(d.users()) == 0 {
		return nil
	}
	pending, err := d.o.Gate.Pending(ctx)
	if err != nil {
		return err
	}
	for _, a := range pending {
		for _, item := range d.o.Board.cards(a, "card:"+a.ID) {
			if err := d.o.Board.o.Outbox.Put(ctx, item, nil); err != nil {
				return err
			}
		}
	}
	return nil
}

// recover goes on with every message that an earlier gateway accepted and did not answer.
func (d *Desk) recover(ctx context.Context) error {
	messages, err := d.o.Store.Unanswered(ctx)
	if err != nil {
		return err
	}
	// A stop that was not answered stops what was said before it, and nothing that came after.
	stopped := map[int]bool{}
	for i, msg := range messages {
		if !msg.Command || commandName(msg.Text) != "stop" {
			continue
		}
		for j, before := range messages[:i] {
			if forModel(before) && d.endsFor(addressee{msg.Origin.Channel, msg.Origin.User}, before.Origin) {
				stopped[j] = true
			}
		}
	}
	for i, msg := range messages {
		switch {
		case stopped[i]:
			if err := d.withdraw(ctx, msg.Session); err != nil {
				return err
			}
			d.enqueue(ctx, d.abandonJob(msg))
		case forModel(msg):
			d.enqueue(ctx, d.reviveJob(msg))
		default:
			d.carryOut(ctx, msg)
		}
	}
	return nil
}

// resumeLoop continues conversations whose calls were decided after a restart.
func (d *Desk) resumeLoop(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-d.o.Board.wake:
		}
		for _, session := range d.o.Board.takeResumed() {
			var waiting []claw.Message
			d.persist(ctx, "that "+string(session)+" goes on", func(ctx context.Context) (err error) {
				waiting, err = d.waitingMessages(ctx, session)
				return err
			})
			for _, msg := range waiting {
				d.enqueue(ctx, d.reviveJob(msg))
			}
		}
	}
}

// waitingMessages are those that have no answer yet, of a session or of the one that it works for. A call
// that ended may be of any of them; the others wait on.
func (d *Desk) waitingMessages(ctx context.Context, session claw.SessionID) ([]claw.Message, error) {
	session, err := d.root(ctx, session)
	if err != nil {
		return nil, err
	}
	messages, err := d.o.Store.Unanswered(ctx)
	return slices.DeleteFunc(messages, func(m claw.Message) bool { return m.Session != session || !forModel(m) }), err
}

// reviveJob goes on with a message from wherever the store says that it stands.
func (d *Desk) reviveJob(msg claw.Message) job {
	if d.isStopped(msg) {
		return d.abandonJob(msg)
	}
	run := runOf(msg)
	fresh := d.answerJob(msg, run, nil)
	return job{run: run, msg: msg, revived: true, work: func(ctx context.Context, w *watcher) (agent.Answer, error) {
		if d.isStopped(msg) { // since it was queued
			return d.abandonJob(msg).work(ctx, w)
		}
		if open, err := d.isOpen(ctx, msg); err != nil && context.Cause(ctx) == context.Canceled {
			return d.abandonJob(msg).work(context.WithoutCancel(ctx), w) // stopped by the user: a task must come to its end
		} else if err != nil || !open {
			return agent.Answer{}, cmp.Or(err, agent.ErrWaiting)
		}
		if isMessenger(msg.Origin.Channel) && !d.users().Known(msg.Origin.Channel, msg.Origin.User) {
			d.forbid(msg.Origin, "message", "no longer on the list of users")
			return agent.Answer{Outcome: agent.Failed, Text: "You are not on the list of users any more, so this was not answered."}, nil
		}
		msg, err := d.asBegun(ctx, msg)
		if err != nil {
			return agent.Answer{}, err
		}
		if d.o.Tasks != nil {
			if answer, found, err := d.o.Tasks.Resume(ctx, msg, run, w); err != nil || found {
				return answer, err
			}
		}
		at, err := d.standing(ctx, msg)
		switch {
		case err != nil:
			return agent.Answer{}, err
		case !at.begun:
			return fresh.work(ctx, w)
		case at.answer != "":
			return agent.Answer{Outcome: at.outcome, Text: at.answer}, nil
		case at.past:
			return d.late(ctx, at.turns)
		}
		results, err := d.ends(ctx, at.calls())
		if err != nil {
			return agent.Answer{}, err
		}
		w.working()
		return d.o.Agent.Continue(ctx, msg.Session, msg.Origin, run, results, w)
	}}
}

// standing is where the store says that a message stands.
type standing struct {
	begun   bool          // it is a turn
	turns   []claw.Turn   // what followed it, up to the next message
	past    bool          // there is a next message: the conversation moved on
	answer  string        // the model's last word, when there is one
	outcome agent.Outcome // how the run ended whose last word it is
}

// calls are those that have no results yet.
func (s standing) calls() []claw.ToolCall {
	if len(s.turns) == 0 {
		return nil
	}
	return s.turns[len(s.turns)-1].Calls
}

func (d *Desk) standing(ctx context.Context, msg claw.Message) (standing, error) {
	turns, err := d.o.Store.Turns(ctx, msg.Session, 200)
	if err != nil {
		return standing{}, err
	}
	at := slices.IndexFunc(turns, func(t claw.Turn) bool { return t.Message == msg.ID })
	if at < 0 && (len(turns) == 0 || slices.ContainsFunc(turns, func(t claw.Turn) bool { return t.Message != "" })) {
		return standing{}, nil
	}
	// With no message in sight at all, one message has made more turns than are read at once. It is
	// the one that is not answered: to run it from the start would repeat its effects.
	s := standing{begun: true, turns: turns[at+1:]}
	if next := slices.IndexFunc(s.turns, func(t claw.Turn) bool { return t.Message != "" }); next >= 0 {
		s.turns, s.past = s.turns[:next], true
	}
	if n := len(s.turns); n > 0 && s.turns[n-1].Role == claw.Assistant && len(s.turns[n-1].Calls) == 0 {
		s.answer, s.outcome = s.turns[n-1].Text, agent.Outcome(cmp.Or(s.turns[n-1].Outcome, string(agent.Done)))
	}
	return s, nil
}

// asBegun is a message as its run began with it: one that was late then stays late after a restart, for its
// turn says when that was. Without that turn in sight, its age counts up to now.
func (d *Desk) asBegun(ctx context.Context, msg claw.Message) (claw.Message, error) {
	if !isMessenger(msg.Origin.Channel) || d.o.LateAfter <= 0 {
		return msg, nil
	}
	turns, err := d.o.Store.Turns(ctx, msg.Session, 200)
	began := d.o.Now()
	if at := slices.IndexFunc(turns, func(t claw.Turn) bool { return t.Message == msg.ID }); at >= 0 {
		began = turns[at].At
	}
	return d.aged(msg, began), err
}

// isOpen reports whether a message has no answer yet: two events can queue the same one, and the
// second finds it answered.
func (d *Desk) isOpen(ctx context.Context, msg claw.Message) (bool, error) {
	open, err := d.o.Store.Unanswered(ctx)
	return slices.ContainsFunc(open, func(m claw.Message) bool { return messageKey(m) == messageKey(msg) }), err
}

// late tells how the calls of a message ended although the conversation has moved on since.
func (d *Desk) late(ctx context.Context, turns []claw.Turn) (agent.Answer, error) {
	var lines []string
	for i, t := range turns {
		var results []claw.ToolResult
		var err error
		if i+1 < len(turns) {
			results = turns[i+1].Results // those of the calls of this one
		} else if results, err = d.ends(ctx, t.Calls); err != nil {
			return agent.Answer{}, err
		}
		for _, r := range results {
			lines = append(lines, fmt.Sprintf("%s: %s. %s", r.Tool, r.Status, cut(r.Content, 1000)))
		}
	}
	if len(lines) == 0 {
		lines = []string{"nothing ran"}
	}
	return agent.Answer{Outcome: agent.Done, Text: "SecureClaw was restarted during an earlier message of this conversation. How its calls ended:\n" + strings.Join(lines, "\n")}, nil
}

// ends looks up how each call ended, or returns agent.ErrWaiting while one of them is open.
func (d *Desk) ends(ctx context.Context, calls []claw.ToolCall) ([]claw.ToolResult, error) {
	var results []claw.ToolResult
	for _, c := range calls {
		fate, err := d.o.Gate.Fate(ctx, c.ID)
		if err != nil {
			return nil, err
		}
		result := fate.Result
		switch {
		case fate.Open:
			return nil, agent.ErrWaiting
		case !fate.Asked:
			result = claw.ToolResult{Tool: c.Tool, Status: claw.Unknown, Label: claw.UserLabel(), // these are our own words
				Content: "SecureClaw was restarted while this call ran; whether it had effects is unknown. It is not repeated."}
		}
		result.Call, result.ModelID = c.ID, c.ModelID
		results = append(results, result)
	}
	return results, nil
}
