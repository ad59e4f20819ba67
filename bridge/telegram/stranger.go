package telegram

import (
	"context"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/secureclaw/secureclaw/internal/wire"
)

// neutral is all that a stranger ever reads: it says neither whose assistant this is nor what it can do.
const neutral = "This is a private assistant. It only talks to its owner."

// guard limits what strangers can make us do: each is told once a day, and all together twenty an hour. The
// gateway hears of as many.
type guard struct {
	now func() time.Time
	day time.Duration

	mu   sync.Mutex
	told map[int64]time.Time // of the neutral sentence
	seen map[int64]time.Time // of a report to the gateway
	// What was used up of this hour.
	hour    time.Time
	answers int
	reports int
	unheard int // left out since the last report
	// waiting are reports that found no gateway. The limits above bound them too.
	waiting []wire.Stranger
}

const (
	strangersAnHour = 20
	strangersKept   = 1000 // remembered at once; more of them are not answered
)

func newGuard(now func() time.Time, day time.Duration) *guard {
	return &guard{now: now, day: day, told: make(map[int64]time.Time), seen: make(map[int64]time.Time)}
}

// turn begins a new hour when it is time to. The caller holds mu.
func (g *guard) turn() time.Time {
	now := g.now()
	if now.Sub(g.hour) >= time.Hour || now.Before(g.hour) {
		g.hour, g.answers, g.reports = now, 0, 0
		for _, m := range []map[int64]time.Time{g.told, g.seen} {
			for id, at := range m {
				if now.Sub(at) >= g.day {
					delete(m, id)
				}
			}
		}
	}
	return now
}

// once takes a place in one of the lists. The caller holds mu.
func (g *guard) once(list map[int64]time.Time, id int64, every time.Duration, count *int) bool {
	now := g.turn()
	at, known := list[id]
	if known && now.Sub(at) < every || !known && len(list) >= strangersKept || *count >= strangersAnHour {
		return false
	}
	list[id] = now
	*count++
	return true
}

func (g *guard) mayAnswer(id int64) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.once(g.told, id, g.day, &g.answers)
}

// report says whether the gateway is told of a stranger now, and how many were left out before him.
func (g *guard) report(id int64) (before int, ok bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if !g.once(g.seen, id, min(time.Hour, g.day), &g.reports) {
		g.unheard++
		return 0, false
	}
	before, g.unheard = g.unheard, 0
	return before, true
}

// keep holds a report until the gateway is there.
func (g *guard) keep(report wire.Stranger) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.waiting = append(g.waiting, report)
	// More than an hour without a gateway: what is dropped is counted.
	for len(g.waiting) > strangersAnHour {
		g.unheard += g.waiting[0].Before + 1
		g.waiting = g.waiting[1:]
	}
}

func (g *guard) takeWaiting() []wire.Stranger {
	g.mu.Lock()
	defer g.mu.Unlock()
	waiting := g.waiting
	g.waiting = nil
	return waiting
}

// stranger deals with a private message of somebody who is not on the list.
func (b *bridge) stranger(ctx context.Context, m *message) {
	word, _, _ := strings.Cut(b.command(m.Text), " ")
	told := word == "/start" && b.guard.mayAnswer(m.From.ID)
	b.accuse(m.From.ID, "message", told)
	if told {
		b.wg.Go(func() { b.say(ctx, m.From.ID, neutral) })
	}
}

// group notes, without a word, a place where others can read along.
func (b *bridge) group(m *message) {
	id := m.Chat.ID
	if m.From != nil {
		id = m.From.ID
	}
	b.accuse(id, "group", false)
}

// accuse tells the gateway of a stranger, for its audit log.
func (b *bridge) accuse(id int64, what string, told bool) {
	if before, ok := b.guard.report(id); ok {
		b.accused(wire.Stranger{User: strconv.FormatInt(id, 10), What: what, Told: told, Before: before})
	}
}

func (b *bridge) accused(report wire.Stranger) {
	if !b.tell(wire.Up{Stranger: &report}) {
		b.guard.keep(report)
	}
}

// accuseAll tells a gateway that came back what it missed.
func (b *bridge) accuseAll() {
	for _, report := range b.guard.takeWaiting() {
		b.accused(report)
	}
}
