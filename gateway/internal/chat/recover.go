package chat

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/secureclaw/secureclaw/gateway/internal/agent"
	"github.com/secureclaw/secureclaw/gateway/internal/claw"
)

// This file goes on where a gateway that died left off. Three things can be found in the store:
//
//	message accepted, not yet a turn        → it runs from the start
//	message is a turn, no call is open      → the model is asked again
//	the last turn has calls without results → each call's end is looked up (the gate knows the asked
//	                                          ones); one that waits for a human keeps the message
//	                                          waiting, any other is told as unknown and never repeated
//
// An open question is answered later: the gate runs the call once and hands its result to the
// board, and resumeLoop goes on from there.

// errWaiting ends a job without a reply: its message waits for a human, or was answered meanwhile.
var errWaiting = errors.New("nothing to answer now")

// recover queues every message that an earlier gateway accepted and did not answer.
func (d *Desk) recover(ctx context.Context) error {
	messages, err := d.o.Store.Unanswered(ctx)
	if err != nil {
		return err
	}
	for _, msg := range messages {
		d.enqueue(ctx, d.reviveJob(msg))
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
			msg, found, err := d.waitingMessage(ctx, session)
			if err != nil {
				d.o.Log.Error("conversation not continued", "session", session, "err", err)
			} else if found {
				d.enqueue(ctx, d.reviveJob(msg))
			}
		}
	}
}

// waitingMessage is the message of a session that has calls and no answer yet.
func (d *Desk) waitingMessage(ctx context.Context, session claw.SessionID) (claw.Message, bool, error) {
	messages, err := d.o.Store.Unanswered(ctx)
	if err != nil {
		return claw.Message{}, false, err
	}
	i := slices.IndexFunc(messages, func(m claw.Message) bool { return m.Session == session })
	if i < 0 {
		return claw.Message{}, false, nil
	}
	return messages[i], true, nil
}

// reviveJob goes on with a message from wherever the store says that it stands.
func (d *Desk) reviveJob(msg claw.Message) job {
	run := agent.NewRunID()
	fresh := d.answerJob(msg, run, nil)
	return job{run: run, session: msg.Session, message: &msg, work: func(ctx context.Context, w agent.Watcher) (agent.Answer, error) {
		if err := d.stillOpen(ctx, msg); err != nil {
			return agent.Answer{}, err
		}
		turns, err := d.o.Store.Turns(ctx, msg.Session, 200)
		if err != nil {
			return agent.Answer{}, err
		}
		at := slices.IndexFunc(turns, func(t claw.Turn) bool { return t.Message == msg.ID })
		if at < 0 {
			return fresh.work(ctx, w)
		}
		rest := turns[at+1:]
		if later := slices.IndexFunc(rest, func(t claw.Turn) bool { return t.Message != "" }); later >= 0 {
			return d.late(ctx, rest[:later])
		}
		if len(rest) == 0 || len(rest[len(rest)-1].Calls) == 0 {
			return d.o.Agent.Continue(ctx, msg.Session, msg.Origin, run, nil, w)
		}
		results, err := d.ends(ctx, rest[len(rest)-1].Calls)
		if err != nil {
			return agent.Answer{}, err
		}
		return d.o.Agent.Continue(ctx, msg.Session, msg.Origin, run, results, w)
	}}
}

// stillOpen is errWaiting for a message that has its answer: two events can queue the same one, and
// the second finds it answered.
func (d *Desk) stillOpen(ctx context.Context, msg claw.Message) error {
	open, err := d.o.Store.Unanswered(ctx)
	if err == nil && !slices.ContainsFunc(open, func(m claw.Message) bool { return m.ID == msg.ID && m.Origin.Channel == msg.Origin.Channel }) {
		return errWaiting
	}
	return err
}

// late tells how the calls of a message ended although the conversation has moved on since.
func (d *Desk) late(ctx context.Context, turns []claw.Turn) (agent.Answer, error) {
	var lines []string
	for _, t := range turns {
		results, err := d.ends(ctx, t.Calls)
		if err != nil {
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

// ends looks up how each call ended, or returns errWaiting while one of them is open.
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
			return nil, errWaiting
		case !fate.Asked:
			result = claw.ToolResult{Tool: c.Tool, Status: claw.Unknown,
				Content: "SecureClaw was restarted while this call ran; whether it had effects is unknown. It is not repeated."}
		}
		result.Call, result.ModelID = c.ID, c.ModelID
		results = append(results, result)
	}
	return results, nil
}

// abandon ends, after /stop, a message that waited for a human since before a restart. It queues
// behind what the session is at: a run that was just stopped answers its message itself.
func (d *Desk) abandon(ctx context.Context, session claw.SessionID) error {
	msg, found, err := d.waitingMessage(ctx, session)
	if err != nil || !found {
		return err
	}
	d.enqueue(ctx, job{run: agent.NewRunID(), session: session, message: &msg, work: func(ctx context.Context, _ agent.Watcher) (agent.Answer, error) {
		if err := d.stillOpen(ctx, msg); err != nil {
			return agent.Answer{}, err
		}
		turns, err := d.o.Store.Turns(ctx, session, 1)
		if err != nil || len(turns) == 0 {
			return agent.Answer{Outcome: agent.Stopped, Text: "Stopped."}, err
		}
		results, err := d.ends(ctx, turns[0].Calls)
		if err != nil {
			return agent.Answer{}, err
		}
		return d.o.Agent.Abandon(ctx, session, results)
	}})
	return nil
}
