package agent

import (
	"context"
	"sync"

	"github.com/secureclaw/secureclaw/gateway/internal/claw"
	"github.com/secureclaw/secureclaw/gateway/internal/llm"
)

// Counter is a [Model] that can say how many tokens a question has without answering it.
type Counter interface {
	Count(ctx context.Context, req llm.Request) (int, error)
}

// What a text weighs, in hundredths of a token, by the length of its characters in bytes: English and code have
// three to four letters to a token, Cyrillic and Arabic about two, Chinese about one. A guess must not be much too
// low, for then a provider refuses the question; too high only sums up early.
const (
	oneByte   = 30
	twoBytes  = 60
	moreBytes = 110
	fourBytes = 220

	pictureTokens = 1600 // the most that a picture costs
	memoryTokens  = 100  // about what a memory costs that is not written yet
	blockTokens   = 8    // what a turn, call or result costs beside its text
)

// tokens guesses the tokens of a text.
func tokens(text string) int {
	n := 0
	for i := range len(text) {
		switch b := text[i]; {
		case b < 0x80:
			n += oneByte
		case b < 0xC0: // the rest of a character
		case b < 0xE0:
			n += twoBytes
		case b < 0xF0:
			n += moreBytes
		default:
			n += fourBytes
		}
	}
	return n / 100
}

func weigh(t claw.Turn) int {
	n := blockTokens + tokens(t.Context) + tokens(t.Text) + tokens(t.Notes)
	if t.Context == "" {
		n += len(t.Recalled) * memoryTokens
	}
	for _, c := range t.Calls {
		n += blockTokens + tokens(c.Tool) + tokens(c.Input)
	}
	for _, r := range t.Results {
		n += blockTokens + tokens(r.Content) + len(r.Images)*pictureTokens
	}
	return n
}

func weighAll(turns []claw.Turn) int {
	n := 0
	for _, t := range turns {
		n += weigh(t)
	}
	return n
}

// measured is a question whose size was said by the provider.
type measured struct {
	first, last int // numbers of the first and the last turn in it
	tokens      int
}

// gauge keeps, for each session, the last question that was measured, and whether its user was told that
// there is no summary. What it forgets is guessed again.
type gauge struct {
	mu    sync.Mutex
	sizes map[claw.SessionID]measured
	told  map[claw.SessionID]bool
}

// maxGauged is how many sessions are kept.
const maxGauged = 1000

func (g *gauge) set(session claw.SessionID, m measured) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.sizes == nil || len(g.sizes) >= maxGauged {
		g.sizes = map[claw.SessionID]measured{}
	}
	g.sizes[session] = m
}

func (g *gauge) get(session claw.SessionID) measured {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.sizes[session]
}

// tell reports whether a user is to be told now: once, until a summary comes again.
func (g *gauge) tell(session claw.SessionID) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.told == nil || len(g.told) >= maxGauged {
		g.told = map[claw.SessionID]bool{}
	}
	first := !g.told[session]
	g.told[session] = true
	return first
}

func (g *gauge) summed(session claw.SessionID) {
	g.mu.Lock()
	defer g.mu.Unlock()
	delete(g.told, session)
}

// size is how many tokens of conversation a question carries, and how many tokens one guessed token is.
//
// What the provider counted for the last question is exact, and only what came since is guessed. Where much is
// guessed and the end is near, a model that counts is asked: that takes a while, so it is not done every time.
// The weight is that of all turns in the question.
func (a *Agent) size(ctx context.Context, session claw.SessionID, req llm.Request, p past, weight int) (size int, scale float64) {
	fixed := toolTokens(req.Tools)
	for _, text := range req.System {
		fixed += tokens(text)
	}
	size, since := weight, weight
	if m := a.gauge.get(session); m.first == p.first && p.first <= m.last && m.last <= p.last() {
		since = weighAll(req.Turns[max(0, len(req.Turns)-(p.last()-m.last)):])
		// A server that counts only what it did not have cached, or nothing, would let a question grow without end.
		if known := m.tokens - fixed + since; 3*known > weight {
			size = known
		} else {
			since = weight
		}
	}
	if counter, ok := a.o.Model.(Counter); ok && 10*size > 7*a.o.Context && 8*since > a.o.Context {
		if n, err := counter.Count(ctx, req); err != nil {
			a.o.Log.Warn("tokens not counted", "err", err)
		} else {
			a.gauge.set(session, measured{p.first, p.last(), n})
			size = max(1, n-fixed)
		}
	}
	return size, float64(size) / float64(weight)
}

// measure keeps what a reply says of the size of its question, if that had all turns in it.
func (a *Agent) measure(session claw.SessionID, p past, usage claw.Usage) {
	if n := usage.Input + usage.CacheRead + usage.CacheWrite; n > 0 && len(p.turns) > 0 && !p.cut {
		a.gauge.set(session, measured{p.first, p.last(), int(n)})
	}
}

func toolTokens(tools []claw.Tool) int {
	n := 0
	for _, t := range tools {
		n += tokens(t.Name) + tokens(t.Description) + tokens(string(t.Schema))
	}
	return n
}
