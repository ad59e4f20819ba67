package chat

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"slices"
	"time"

	"github.com/secureclaw/secureclaw/gateway/internal/agent"
	"github.com/secureclaw/secureclaw/gateway/internal/claw"
	"github.com/secureclaw/secureclaw/gateway/internal/gate"
	"github.com/secureclaw/secureclaw/gateway/internal/outbox"
	"github.com/secureclaw/secureclaw/internal/wire"
)

// lane is the queue of one session. Its goroutine lives while there is work.
type lane struct {
	waiting []job
	running *job
	cancel  context.CancelFunc // of the job that runs, by its user
	over    chan struct{}      // closed when the job that runs is over
}

// job is one message that waits for its run or runs.
type job struct {
	run   claw.RunID
	msg   claw.Message
	asker *member // the terminal that gets deltas; nil when none waits
	// revived says that an earlier life, or an earlier run, may have begun with the message.
	revived bool
	work    func(ctx context.Context, w *watcher) (agent.Answer, error)
}

// shownRun is a run of a messenger's user that goes on.
type shownRun struct {
	run   claw.RunID
	to    addressee
	since time.Time
}

// endedRun is one that is over.
type endedRun struct {
	run claw.RunID
	to  addressee
}

// Running is how many sessions have work.
func (d *Desk) Running() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return len(d.lanes)
}

func (d *Desk) room(session claw.SessionID) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	l := d.lanes[session]
	return l == nil || len(l.waiting) < maxWaiting
}

// foresee says that a message comes, if nothing of its session stands before it.
func (d *Desk) foresee(ctx context.Context, msg claw.Message) {
	d.mu.Lock()
	idle := d.lanes[msg.Session] == nil
	d.mu.Unlock()
	if idle {
		d.wg.Go(d.o.Foresee(ctx, msg))
	}
}

// enqueue puts a job behind the others of its session and makes sure that somebody works on them.
func (d *Desk) enqueue(ctx context.Context, j job) {
	d.mu.Lock()
	defer d.mu.Unlock()
	l := d.lanes[j.msg.Session]
	if l != nil {
		l.waiting = append(l.waiting, j)
		return
	}
	l = &lane{waiting: []job{j}}
	d.lanes[j.msg.Session] = l
	d.wg.Go(func() { d.work(ctx, j.msg.Session, l) })
}

// work runs the jobs of one session one after the other. A run can end early for two reasons, and
// the gate must tell them apart: the user stops it, and its questions are withdrawn; or the gateway
// stops, and they stay open for the next one.
func (d *Desk) work(life context.Context, session claw.SessionID, l *lane) {
	for {
		d.mu.Lock()
		if len(l.waiting) == 0 || life.Err() != nil {
			delete(d.lanes, session)
			d.mu.Unlock()
			return
		}
		j := l.waiting[0]
		l.waiting = l.waiting[1:]
		runCtx, cancel := context.WithCancelCause(context.WithoutCancel(life))
		over := make(chan struct{})
		l.running, l.over, l.cancel = &j, over, func() { cancel(context.Canceled) }
		d.mu.Unlock()
		detach := context.AfterFunc(life, func() { cancel(gate.ErrShutdown) })
		d.runJob(runCtx, life, j)
		detach()
		cancel(nil)
		d.mu.Lock()
		l.running, l.cancel, l.over = nil, nil, nil
		d.mu.Unlock()
		close(over)
	}
}

// runJob runs one job and gives its one reply. When the whole gateway stops, the message stays
// unanswered in the store, and the next start goes on with it.
func (d *Desk) runJob(ctx, life context.Context, j job) {
	began := d.o.Now()
	w := &watcher{run: j.run, begin: func() { d.showRun(ctx, j, began) }, to: func() *member { return j.asker }}
	if isMessenger(j.msg.Origin.Channel) {
		w.to = func() *member { return d.o.Board.bridge(j.msg.Origin.Channel) }
	}
	answer, err := j.work(ctx, w)
	d.hideRun(j.run)
	if errors.Is(err, gate.ErrShutdown) || errors.Is(err, agent.ErrWaiting) {
		return
	}
	cause := context.Cause(ctx)
	if err != nil && errors.Is(cause, gate.ErrShutdown) {
		return // whatever failed, failed because we stop: a reading of the store, say
	}
	if err != nil && cause != nil {
		answer.Outcome, answer.Text, err = agent.Stopped, "Stopped.", nil
	}
	if err != nil {
		d.o.Log.Error("run failed", "run", j.run, "err", err)
		answer.Outcome = agent.Failed
		answer.Text = "Something in SecureClaw itself failed: " + err.Error() + "."
	}
	if j.msg.Origin.Channel == claw.HeartbeatChannel {
		d.beaten(life, j.msg, answer)
		return
	}
	if isMessenger(j.msg.Origin.Channel) {
		d.answer(life, j.msg, j.run, answer.Text)
		return
	}
	reply := &wire.Reply{
		Run: string(j.run), Message: j.msg.ID, Session: string(j.msg.Session), Outcome: string(answer.Outcome), Text: answer.Text, Model: answer.Model,
		Calls: w.steps(answer.Results), Usage: wire.Usage(answer.Usage), Seconds: d.o.Now().Sub(began).Seconds(),
	}
	if err := d.o.Store.Answered(context.WithoutCancel(ctx), j.msg.Origin.Channel, j.msg.ID, answer.Text); err != nil {
		d.o.Log.Error("reply not stored", "message", j.msg.ID, "err", err)
	} else {
		d.o.Step(StepAnswered)
	}
	d.forgetStopped(j.msg)
	fit(reply)
	if j.asker == nil || !j.asker.send(wire.Down{Reply: reply}) {
		d.o.Board.all(wire.Down{Reply: reply})
	}
}

// answer stores the reply to a messenger's message together with the item that shows it: there is
// never one without the other. An empty text is an answer that needs no words.
func (d *Desk) answer(life context.Context, msg claw.Message, run claw.RunID, text string) {
	var item *outbox.Item
	if text != "" {
		it := addressee{msg.Origin.Channel, msg.Origin.User}.text("reply:"+msg.ID, cut(text, maxReplyText), d.o.Now())
		it.Run = run
		if msg.Origin.Late > 0 {
			it.ReplyTo = msg.ID // much may stand between the two
		}
		item = &it
	}
	stored := d.persist(life, "the reply to "+msg.ID, func(ctx context.Context) error {
		_, err := d.o.Store.AnsweredWith(ctx, msg.Origin.Channel, msg.ID, cmp.Or(text, "(done)"), item, nil)
		return err
	})
	if !stored {
		return
	}
	d.o.Step(StepAnswered)
	d.forgetStopped(msg)
	d.o.Board.o.Outbox.Wake()
}

// runOf names the run of a message. That of a messenger's follows from the message, so that after a
// restart the run still has the message that shows it, and the reply takes its place.
func runOf(msg claw.Message) claw.RunID {
	if !isMessenger(msg.Origin.Channel) {
		return agent.NewRunID()
	}
	sum := sha256.Sum256([]byte(messageKey(msg)))
	return claw.RunID("run_" + hex.EncodeToString(sum[:10]))
}

// showRun says to a messenger that a run goes on.
func (d *Desk) showRun(ctx context.Context, j job, since time.Time) {
	if !isMessenger(j.msg.Origin.Channel) {
		return
	}
	bubble := ""
	if j.revived {
		var err error
		if bubble, err = d.o.Store.Bubble(ctx, j.run); err != nil {
			d.o.Log.Warn("message of a run not known", "run", j.run, "err", err)
		}
	}
	r := shownRun{run: j.run, to: addressee{j.msg.Origin.Channel, j.msg.Origin.User}, since: since}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.runs[j.run] = r
	if m := d.o.Board.bridge(r.to.channel); m != nil {
		m.send(wire.Down{Working: r.frame(bubble)})
	}
}

// hideRun forgets a run before its reply is stored: a bridge that connects in between is not told of
// a run whose reply it may have been sent already.
func (d *Desk) hideRun(run claw.RunID) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if r, ok := d.runs[run]; ok {
		delete(d.runs, run)
		d.ended = append(d.ended, endedRun{run, r.to})
		d.ended = d.ended[max(0, len(d.ended)-maxEnded):]
	}
}

// maxEnded is how many runs are remembered after their end.
const maxEnded = 256

// userOf is whose run it is, or was a moment ago.
func (d *Desk) userOf(channel claw.Channel, run claw.RunID) (string, bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if r, ok := d.runs[run]; ok && r.to.channel == channel {
		return r.to.user, true
	}
	i := slices.IndexFunc(d.ended, func(r endedRun) bool { return r.run == run && r.to.channel == channel })
	if i < 0 {
		return "", false
	}
	return d.ended[i].to.user, true
}

func (r shownRun) frame(bubble string) *wire.Working {
	return &wire.Working{Run: string(r.run), User: r.to.user, Since: r.since, Bubble: bubble}
}

// goesOn tells a bridge what goes on, and lets it see what happens from then on.
func (d *Desk) goesOn(ctx context.Context, m *member) error {
	channel := claw.Channel(m.role)
	bubbles := map[claw.RunID]string{}
	for _, r := range d.runsOf(channel) {
		bubble, err := d.o.Store.Bubble(ctx, r.run)
		if err != nil {
			return err
		}
		bubbles[r.run] = bubble
	}
	// Under one lock: a run that begins or ends now is told of by exactly one of us.
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, r := range d.sortedRuns(channel) {
		m.send(wire.Down{Working: r.frame(bubbles[r.run])})
	}
	d.o.Board.enliven(m)
	return nil
}

func (d *Desk) runsOf(channel claw.Channel) []shownRun {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.sortedRuns(channel)
}

// sortedRuns needs mu.
func (d *Desk) sortedRuns(channel claw.Channel) []shownRun {
	var out []shownRun
	for _, r := range d.runs {
		if r.to.channel == channel {
			out = append(out, r)
		}
	}
	slices.SortFunc(out, func(a, b shownRun) int {
		return cmp.Or(a.since.Compare(b.since), cmp.Compare(a.run, b.run))
	})
	return out
}
