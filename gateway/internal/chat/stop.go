package chat

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/secureclaw/secureclaw/gateway/internal/agent"
	"github.com/secureclaw/secureclaw/gateway/internal/claw"
	"github.com/secureclaw/secureclaw/internal/wire"
)

// halt is what a stop ended.
type halt struct {
	runs, waiting, questions int
	over                     []<-chan struct{} // closed when each run has given its reply
}

// stop is a terminal's: it cancels what runs and what waits in a session, and withdraws its questions.
func (d *Desk) stop(ctx context.Context, m *member, in wire.Stop) {
	session, err := d.root(ctx, claw.SessionID(in.Session))
	if err == nil {
		err = d.stopSession(ctx, session, &halt{})
	}
	if err != nil {
		m.send(wire.Down{Fault: &wire.Fault{Ref: in.Ref, Code: "store", What: "open questions could not be withdrawn: " + err.Error()}})
		return
	}
	m.send(wire.Down{Answer: &wire.Answer{Ref: in.Ref}})
}

// StopSession stops a conversation and the tasks in it, given itself or one that works for it, and says in
// words what it stopped.
func (d *Desk) StopSession(ctx context.Context, session claw.SessionID) (string, error) {
	session, err := d.root(ctx, session)
	if err != nil {
		return "", err
	}
	at := []claw.SessionID{session}
	if child, err := d.iteration(ctx, session); err != nil {
		return "", err
	} else if child != "" {
		at = append(at, child)
	}
	pending, err := d.o.Gate.Pending(ctx)
	if err != nil {
		return "", err
	}
	var h halt
	for _, a := range pending {
		if slices.Contains(at, a.Call.Session) {
			h.questions++
		}
	}
	if err := d.stopSession(ctx, session, &h); err != nil {
		return "", err
	}
	h.wait(ctx)
	return h.words(), nil
}

// iteration is the session that works for a conversation now, empty when none does.
func (d *Desk) iteration(ctx context.Context, session claw.SessionID) (claw.SessionID, error) {
	if d.o.Tasks == nil {
		return "", nil
	}
	return d.o.Tasks.Iteration(ctx, session)
}

// withdraw cancels the questions of a conversation, and those of the iteration that works for it.
func (d *Desk) withdraw(ctx context.Context, session claw.SessionID) error {
	child, err := d.iteration(ctx, session)
	if err == nil && child != "" {
		err = d.o.Gate.Cancel(ctx, child)
	}
	return errors.Join(err, d.o.Gate.Cancel(ctx, session))
}

// stopUser stops all conversations of a messenger's user, and the owner's heartbeats. The runs are cancelled when it returns.
func (d *Desk) stopUser(ctx context.Context, who addressee) (halt, error) {
	var sessions []claw.SessionID
	d.mu.Lock()
	for id, l := range d.lanes {
		mine := func(j job) bool { return d.endsFor(who, j.msg.Origin) }
		if l.running != nil && mine(*l.running) || slices.ContainsFunc(l.waiting, mine) {
			sessions = append(sessions, id)
		}
	}
	d.mu.Unlock()
	// What was asked before a restart has no lane.
	open, err := d.o.Store.Unanswered(ctx)
	for _, msg := range open {
		if d.endsFor(who, msg.Origin) && forModel(msg) {
			sessions = append(sessions, msg.Session)
		}
	}
	var h halt
	pending, err2 := d.o.Gate.Pending(ctx)
	errs := []error{err, err2}
	for _, a := range pending {
		if d.endsFor(who, a.Call.Origin) {
			session, err := d.root(ctx, a.Call.Session)
			errs = append(errs, err)
			sessions = append(sessions, session)
			h.questions++
		}
	}
	slices.Sort(sessions)
	for _, id := range slices.Compact(sessions) {
		errs = append(errs, d.stopSession(ctx, id, &h))
	}
	return h, errors.Join(errs...)
}

// endsFor reports whether what somebody set in motion ends at this user's "/stop": what he said himself, and the
// heartbeats if he is the owner, who is asked for them and told of them here.
func (d *Desk) endsFor(who addressee, origin claw.Origin) bool {
	return origin.Channel == who.channel && origin.User == who.user ||
		origin.Channel == claw.HeartbeatChannel && slices.Contains(d.users().owners(), who)
}

// forModel reports whether a model answers a message.
func forModel(msg claw.Message) bool { return !msg.Command && msg.Denies == "" && !msg.Stopped }

// lastStop is a user's last "/stop": where it stands in what he said, and when.
type lastStop struct {
	seq  int64
	sent time.Time
}

// noteStop remembers a "/stop", and stoppedBefore reports whether a message was said before the last one. The
// messenger's numbers can begin anew, so the time must agree. Both are called in the order of arrival.
func (d *Desk) noteStop(who addressee, in wire.Message) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if in.Seq > 0 && in.Seq >= d.stops[who].seq || in.Sent.After(d.stops[who].sent) {
		d.stops[who] = lastStop{in.Seq, in.Sent}
	}
}

func (d *Desk) stoppedBefore(who addressee, in wire.Message) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	last := d.stops[who]
	return in.Seq > 0 && in.Seq < last.seq && !in.Sent.After(last.sent)
}

// stopSession cancels what runs and what waits in a session, and withdraws its questions.
//
// Its messages are marked before anything is looked at: what is queued up to then is in the lane, and what is
// queued later finds the mark. A call that ends at this moment revives its message in between.
func (d *Desk) stopSession(ctx context.Context, session claw.SessionID, h *halt) error {
	open, err := d.o.Store.Unanswered(ctx)
	open = slices.DeleteFunc(open, func(m claw.Message) bool { return m.Session != session || !forModel(m) })
	d.mu.Lock()
	before := map[string]bool{}
	for _, msg := range open {
		before[messageKey(msg)] = d.stopped[messageKey(msg)]
		d.stopped[messageKey(msg)] = true
	}
	var dropped []job
	if l := d.lanes[session]; l != nil {
		dropped, l.waiting = l.waiting, nil
		if l.cancel != nil {
			l.cancel()
			h.runs++
			h.over = append(h.over, l.over)
		}
	}
	dropped = slices.DeleteFunc(dropped, func(j job) bool { return before[messageKey(j.msg)] })
	d.mu.Unlock()
	h.waiting += len(dropped)
	for _, j := range dropped {
		if !j.revived { // what had begun before a restart is abandoned below
			h.over = append(h.over, d.dropJob(ctx, j))
		}
	}
	err = errors.Join(err, d.withdraw(ctx, session))
	if err == nil {
		// What waited for a human since before a restart ends here. It queues behind what the session is at:
		// a run that was just stopped answers its message itself.
		for _, msg := range open {
			d.enqueue(ctx, d.abandonJob(msg))
		}
	}
	return err
}

// dropJob answers a message that will not run. What it returns is closed when that is stored.
func (d *Desk) dropJob(ctx context.Context, j job) <-chan struct{} {
	const text = "Stopped before it began."
	over := make(chan struct{})
	d.wg.Go(func() {
		defer close(over)
		if isMessenger(j.msg.Origin.Channel) {
			d.answer(ctx, j.msg, j.run, text)
			return
		}
		if err := d.o.Store.Answered(context.WithoutCancel(ctx), j.msg.Origin.Channel, j.msg.ID, text); err != nil {
			d.o.Log.Error("stop not stored", "message", j.msg.ID, "err", err)
		}
		d.o.Board.all(wire.Down{Reply: &wire.Reply{Run: string(j.run), Message: j.msg.ID, Session: string(j.msg.Session), Outcome: wire.ReplyStopped, Text: text}})
	})
	return over
}

// abandonJob answers a message that is stopped: with how its calls ended, and without asking the model.
func (d *Desk) abandonJob(msg claw.Message) job {
	d.mu.Lock()
	d.stopped[messageKey(msg)] = true // whatever revives it later abandons it again
	d.mu.Unlock()
	return job{run: runOf(msg), msg: msg, revived: true, work: func(ctx context.Context, w *watcher) (agent.Answer, error) {
		open, err := d.isOpen(ctx, msg)
		if err != nil {
			return agent.Answer{}, err
		}
		if !open {
			d.forgetStopped(msg)
			return agent.Answer{}, agent.ErrWaiting
		}
		if d.o.Tasks != nil {
			if answer, found, err := d.o.Tasks.Stop(ctx, msg, w); err != nil || found {
				return answer, err
			}
		}
		at, err := d.standing(ctx, msg)
		switch {
		case err != nil:
			return agent.Answer{}, err
		case !at.begun:
			return agent.Answer{Outcome: agent.Stopped, Text: "Stopped before it began."}, nil
		case at.answer != "":
			return agent.Answer{Outcome: at.outcome, Text: at.answer}, nil
		case at.past:
			return d.late(ctx, at.turns)
		}
		results, err := d.ends(ctx, at.calls())
		if err != nil {
			return agent.Answer{}, err
		}
		return d.o.Agent.Abandon(ctx, msg.Session, results)
	}}
}

func messageKey(msg claw.Message) string { return string(msg.Origin.Channel) + "\x00" + msg.ID }

func (d *Desk) isStopped(msg claw.Message) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.stopped[messageKey(msg)]
}

func (d *Desk) forgetStopped(msg claw.Message) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.stopped, messageKey(msg))
}

// patience is how long an answer to a stop waits for the runs to end.
const patience = 600 * time.Millisecond

// wait returns when the runs have given their replies, or after a while. Once a stop is answered, a
// restart does not go on with what it stopped.
func (h halt) wait(ctx context.Context) {
	timer := time.NewTimer(patience)
	defer timer.Stop()
	for _, over := range h.over {
		select {
		case <-over:
		case <-timer.C:
			return
		case <-ctx.Done():
			return
		}
	}
}

// words say what was stopped.
func (h halt) words() string {
	var parts []string
	if h.runs > 0 {
		parts = append(parts, count(h.runs, "run"))
	}
	if h.waiting > 0 {
		parts = append(parts, count(h.waiting, "waiting message"))
	}
	text := "Nothing was running."
	if len(parts) > 0 {
		text = "Stopped: " + strings.Join(parts, " and ") + "."
	}
	if h.questions > 0 {
		verb := " was withdrawn."
		if h.questions > 1 {
			verb = " were withdrawn."
		}
		if len(parts) == 0 {
			text = "Stopped:"
		}
		text += " " + count(h.questions, "open question") + verb
	}
	return text
}
