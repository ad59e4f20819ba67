package telegram

import (
	"context"
	"time"

	"github.com/secureclaw/secureclaw/internal/wire"
)

// RunFast is Run with waits for tests.
func RunFast(ctx context.Context, o Options, change ...func(*Timing)) error {
	t := timing{
		poll: 2 * time.Second, again: 550 * time.Millisecond, call: 2 * time.Second, picture: time.Second,
		idle: 500 * time.Millisecond, download: 10 * time.Second, upload: 5 * time.Second, ask: 5 * time.Second, press: 300 * time.Millisecond,
		slow: 100 * time.Millisecond, backoff: 10 * time.Millisecond, grace: time.Second,
		bubble: 30 * time.Millisecond, edit: 50 * time.Millisecond, quiet: 300 * time.Millisecond, status: 100 * time.Millisecond,
		typing: 200 * time.Millisecond, tick: 5 * time.Millisecond,
		perChat: time.Millisecond, chatBurst: 100, strangerDay: 24 * time.Hour,
	}
	for _, c := range change {
		c((*Timing)(&t))
	}
	return run(ctx, o, t)
}

type Timing timing

func (t *Timing) Ask(d time.Duration)    { t.ask = d }
func (t *Timing) Call(d time.Duration)   { t.call = d }
func (t *Timing) Idle(d time.Duration)   { t.idle = d }
func (t *Timing) Poll(d time.Duration)   { t.poll = d }
func (t *Timing) Grace(d time.Duration)  { t.grace = d }
func (t *Timing) Quiet(d time.Duration)  { t.quiet = d }
func (t *Timing) Upload(d time.Duration) { t.upload = d }
func (t *Timing) Pace(perChat time.Duration, burst int) {
	t.perChat, t.chatBurst = perChat, burst
}

var Pieces = func(markdown string) (texts []string, files int) {
	for _, p := range pieces(markdown) {
		if p.file != nil {
			files++
		} else {
			texts = append(texts, p.text.Text)
		}
	}
	return texts, files
}

// MenuData, ParseMenu, Keyboard and PlanText are the menu's and the plan's inside.
var (
	MenuData  = menuData
	ParseMenu = parseMenu
	PlanText  = planText
	Keyboard  = func(item int64, rows [][]wire.Button) (keys [][]string) {
		if m := keyboard(item, rows); m != nil {
			for _, row := range m.Keyboard {
				var labels []string
				for _, k := range row {
					labels = append(labels, k.Text+"="+k.Data)
				}
				keys = append(keys, labels)
			}
		}
		return keys
	}
)

// Ledger is the bridge's ledger of updates.
type Ledger struct{ l *ledger }

func NewLedger() Ledger                    { return Ledger{newLedger()} }
func (l Ledger) See(id int64) bool         { return l.l.see(id) }
func (l Ledger) Finish(id int64)           { l.l.finish(id) }
func (l Ledger) State() (int64, bool)      { o, busy, _ := l.l.state(); return o, busy }
func (t *Timing) Download(d time.Duration) { t.download = d }
