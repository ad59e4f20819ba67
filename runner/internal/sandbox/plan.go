package sandbox

import (
	"cmp"
	"slices"
	"time"
)

// order is a wish of the pool: prepare one container for a task of this form.
type order struct {
	form string
	task Task
}

// failPause is how long preparing for a form rests after it failed; twice as long after each further time.
const failPause = 2 * time.Second

// review says what to remove and what to prepare next, nil when nothing is missing. What is returned as
// order counts as being made until [pool.done].
//
// The least that each form wants comes first, those that were asked for last before the others; then
// seconds and thirds. Where the budget ends, a form that is asked for now takes the place of what nobody
// has asked for longest, and never that of a form that was asked for later.
func (p *pool) review(now time.Time) (remove []*box, next *order) {
	p.mu.Lock()
	defer p.mu.Unlock()
	remove = p.age(now)
	if p.closed || p.deaf {
		return remove, nil
	}
	for _, s := range p.missing(now) {
		// What came once may never come again: it takes free room only.
		for (s.often || s.kept > 0) && p.held()+s.cost > p.budget {
			victim, of := p.least(s)
			if victim == nil {
				break
			}
			p.drop(of, victim)
			if len(of.boxes) < of.want {
				of.want = max(len(of.boxes), min(of.kept, 1))
			}
			remove = append(remove, victim)
		}
		if p.held()+s.cost <= p.budget {
			s.making++
			return remove, &order{s.form, s.task}
		}
	}
	return remove, nil
}

// age takes off what is too old or has been idle too long.
func (p *pool) age(now time.Time) (remove []*box) {
	for form, s := range p.shelves {
		for _, b := range slices.Clone(s.boxes) {
			if b.age(now) >= maxAge || !b.ear.silent() {
				p.drop(s, b)
				remove = append(remove, b)
			}
		}
		switch {
		case now.Sub(s.used) > idleAfter:
			s.want = s.kept
		case s.want > max(s.kept, 1) && now.Sub(s.drained) > calmAfter:
			s.want--
			s.drained = now
		}
		for len(s.boxes) > s.want {
			b := s.boxes[0] // the oldest
			p.drop(s, b)
			remove = append(remove, b)
		}
		if s.want == 0 && s.making == 0 && len(s.boxes) == 0 {
			delete(p.shelves, form)
		}
	}
	return remove
}

// missing lists the forms that lack a container, the most urgent first.
func (p *pool) missing(now time.Time) []*shelf {
	var short []*shelf
	for _, s := range p.shelves {
		resting := !s.failed.IsZero() && now.Sub(s.failed) < failPause<<min(s.tries, 8)
		if !resting && len(s.boxes)+s.making < s.want {
			short = append(short, s)
		}
	}
	slices.SortFunc(short, func(a, b *shelf) int {
		return cmp.Or(
			cmp.Compare(len(a.boxes)+a.making, len(b.boxes)+b.making),
			b.used.Compare(a.used),
			cmp.Compare(a.cost, b.cost), // before any call: the cheap ones at once, the browser behind them
			cmp.Compare(a.form, b.form),
		)
	})
	return short
}

// least finds what can go for a container of s: one of a form that has several, else of one that was
// asked for before s was, the longest ago first.
func (p *pool) least(s *shelf) (victim *box, of *shelf) {
	for _, o := range p.shelves {
		if o == s || len(o.boxes) == 0 || !o.used.Before(s.used) && len(o.boxes) <= len(s.boxes)+s.making+1 {
			continue
		}
		if of == nil || o.used.Before(of.used) {
			victim, of = o.boxes[0], o
		}
	}
	return victim, of
}
