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

// freeLosses is how many containers a form may lose in a row without a rest.
const freeLosses = 4

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
		gone, ok := p.makeRoom(s)
		if ok {
			s.making++
			return append(remove, gone...), &order{s.form, s.task}
		}
	}
	return remove, nil
}

// makeRoom takes off what must go for one more container of s, or nothing when that would not be enough.
func (p *pool) makeRoom(s *shelf) (gone []*box, ok bool) {
	short := p.held() + s.cost - p.budget
	if short <= 0 {
		return nil, true
	}
	// What came once may never come again: it takes free room only.
	if !s.often && s.kept == 0 {
		return nil, false
	}
	have := len(s.boxes) + s.making
	for _, o := range p.lesser(s) {
		spare := len(o.boxes)
		if have > 0 || !o.used.Before(s.used) {
			spare -= have + 1
		}
		for _, b := range o.boxes[:spare] {
			if short > 0 {
				gone = append(gone, b)
				short -= b.cost
			}
		}
	}
	if short > 0 {
		return nil, false
	}
	for _, b := range gone {
		for _, o := range p.shelves {
			if slices.Contains(o.boxes, b) {
				p.drop(o, b)
				o.want = max(len(o.boxes), o.kept)
			}
		}
	}
	return gone, true
}

// age takes off what is too old or has been idle too long.
func (p *pool) age(now time.Time) (remove []*box) {
	for form, s := range p.shelves {
		for _, b := range slices.Clone(s.boxes) {
			if b.age(now) >= maxAge || !b.ear.silent() {
				if !b.ear.silent() {
					s.lose(now)
				}
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
		if !s.rests(now) && len(s.boxes)+s.making < s.want {
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

// lesser lists the forms that have less need of what they hold than s of one more, those first that were
// asked for longest ago. For the first container of s these are all that were asked for before it; for
// more, those that have more.
func (p *pool) lesser(s *shelf) []*shelf {
	have := len(s.boxes) + s.making
	var list []*shelf
	for _, o := range p.shelves {
		switch {
		case o == s || len(o.boxes) == 0:
		case have == 0 && o.used.Before(s.used), len(o.boxes) > have+1:
			list = append(list, o)
		}
	}
	slices.SortFunc(list, func(a, b *shelf) int { return cmp.Or(a.used.Compare(b.used), cmp.Compare(a.form, b.form)) })
	return list
}
