package sandbox

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/moby/moby/api/types/events"
	"pgregory.net/rapid"
)

// waiter is a container that waits, without an engine.
func waiter(id string, s shape, made time.Time) *box {
	return &box{id: id, name: id, waiting: waiting{shape: s, made: made}, ear: newEar(strings.NewReader(""))}
}

// shapeNamed is a shape of a test's own.
func shapeNamed(name string) (s shape) {
	copy(s[:], name)
	return s
}

func poolTask(name string) Task { return Task{Kind: "shell", Image: name} }

// fill does what the pool wishes until it wishes no more, each container of so many bytes.
func fill(p *pool, now time.Time, cost int64) (removed []*box) {
	for i := 0; ; i++ {
		remove, next := p.review(now)
		removed = append(removed, remove...)
		if next == nil {
			return removed
		}
		b := waiter(fmt.Sprintf("%s-%d-%d", next.task.Image, now.UnixNano(), i), shapeNamed(next.task.Image), now)
		p.watch(b)
		p.done(next.form, b, cost, now)
	}
}

func TestPoolGivesEachOnce(t *testing.T) {
	p := newPool(100 << 20)
	p.hear()
	now := time.Now()
	p.expect("a", poolTask("a"))
	fill(p, now, 1<<20)
	first, stale := p.take("a", poolTask("a"), shapeNamed("a"), now)
	if first == nil || len(stale) > 0 {
		t.Fatalf("take = %v %v, want the container that waits", first, stale)
	}
	if again, _ := p.take("a", poolTask("a"), shapeNamed("a"), now); again != nil {
		t.Errorf("take gave %s, want none: the one is taken", again.id)
	}
	if !first.bind() || first.bind() {
		t.Error("bind is true twice, or never: a container has one task")
	}
}

func TestPoolRefuses(t *testing.T) {
	for name, spoil := range map[string]func(p *pool, b *box, now *time.Time){
		"another shape": func(_ *pool, b *box, _ *time.Time) { b.shape = shapeNamed("other") },
		"too old":       func(_ *pool, _ *box, now *time.Time) { *now = now.Add(maxAge) },
		// As after a night with the lid closed, for the monotonic clock stood still.
		"too old by the wall's clock": func(_ *pool, b *box, _ *time.Time) { b.made = b.made.Round(0).Add(-maxAge) },
		"from the future":             func(_ *pool, b *box, _ *time.Time) { b.made = b.made.Round(0).Add(maxAge) },
		"it spoke":                    func(_ *pool, b *box, _ *time.Time) { b.ear.listen() },
		"it was touched":              func(p *pool, b *box, _ *time.Time) { p.touched(b.id, "exec_create: /bin/sh") },
		"a second reader": func(p *pool, b *box, _ *time.Time) {
			p.touched(b.id, events.ActionAttach)
			p.touched(b.id, events.ActionAttach)
		},
		"no news of the engine": func(p *pool, _ *box, _ *time.Time) { p.deaf = true },
		"the end":               func(p *pool, _ *box, _ *time.Time) { p.closed = true },
	} {
		t.Run(name, func(t *testing.T) {
			p := newPool(100 << 20)
			p.hear()
			now := time.Now()
			p.expect("a", poolTask("a"))
			fill(p, now, 1<<20)
			b := p.each()[0]
			spoil(p, b, &now)
			if got, _ := p.take("a", poolTask("a"), shapeNamed("a"), now); got != nil {
				t.Errorf("take = %s, want none", got.id)
			}
		})
	}
}

// The events of its making are no touch, however late they come.
func TestPoolKnowsItsOwnDoing(t *testing.T) {
	p := newPool(100 << 20)
	p.hear()
	now := time.Now()
	p.expect("a", poolTask("a"))
	fill(p, now, 1<<20)
	b := p.each()[0]
	for _, action := range []events.Action{events.ActionCreate, events.ActionAttach, events.ActionStart} {
		if touched := p.touched(b.id, action); touched != nil {
			t.Errorf("touched(%s) = %s, want none", action, touched.id)
		}
	}
	if got, _ := p.take("a", poolTask("a"), shapeNamed("a"), now); got != b {
		t.Errorf("take = %v, want the container", got)
	}
	if p.unwatch(b) {
		t.Error("unwatch = true, want nothing done to it")
	}
}

func TestPoolOff(t *testing.T) {
	p := newPool(0)
	p.hear()
	now := time.Now()
	for range 5 {
		if b, _ := p.take("a", poolTask("a"), shapeNamed("a"), now); b != nil {
			t.Fatalf("take = %s", b.id)
		}
		if _, next := p.review(now); next != nil {
			t.Fatalf("review = %+v, want nothing: the budget is 0", next)
		}
	}
}

// A turn that asks for four at once finds four the next time, and one when it was quiet.
func TestPoolAdapts(t *testing.T) {
	p := newPool(100 << 20)
	p.hear()
	now := time.Now()
	burst := func() (hits int) {
		for range 4 {
			if b, _ := p.take("a", poolTask("a"), shapeNamed("a"), now); b != nil {
				hits++
			}
		}
		fill(p, now, 1<<20)
		return hits
	}
	if got := []int{burst(), burst()}; got[0] != 0 || got[1] != 4 {
		t.Errorf("hits of two bursts of four: %v, want 0 and 4", got)
	}
	// One call a minute needs one.
	for range 30 {
		now = now.Add(time.Minute)
		if b, _ := p.take("a", poolTask("a"), shapeNamed("a"), now); b == nil {
			t.Fatalf("no container waits, at a call a minute")
		}
		fill(p, now, 1<<20)
	}
	if n := len(p.each()); n != 1 {
		t.Errorf("%d wait at a call a minute, want 1", n)
	}
	now = now.Add(idleAfter + time.Second)
	fill(p, now, 1<<20)
	if n := len(p.each()) + len(p.shelves); n != 0 {
		t.Errorf("%d containers and forms are left after %v without a call, want none", n, idleAfter)
	}
}

// What the configuration's usual calls need stays, and is made anew before it is an hour old.
func TestPoolKeepsTheUsual(t *testing.T) {
	p := newPool(100 << 20)
	p.hear()
	now := time.Now()
	p.expect("a", poolTask("a"))
	p.expect("b", poolTask("b"))
	fill(p, now, 1<<20)
	for range 10 {
		now = now.Add(10 * time.Minute)
		fill(p, now, 1<<20)
		for _, b := range p.each() {
			if age := b.age(now); age >= time.Hour {
				t.Fatalf("%s is %v old", b.id, age)
			}
		}
	}
	if n := len(p.each()); n != 2 {
		t.Errorf("%d wait, want 2", n)
	}
}

// Two hundred forms, asked for one after the other, again and again: the budget holds, and those that come
// once take nobody's place.
func TestPoolOfManyForms(t *testing.T) {
	const budget, one = 64 << 20, 10 << 20
	p := newPool(budget)
	p.hear()
	now := time.Now()
	p.expect("usual", poolTask("usual"))
	fill(p, now, one)
	for round := range 3 {
		for i := range 200 {
			name := fmt.Sprintf("form-%d", i)
			p.take(name, poolTask(name), shapeNamed(name), now)
			now = now.Add(time.Second)
			fill(p, now, one)
			if held := p.held(); held > budget {
				t.Fatalf("round %d, form %d: %d bytes, budget %d", round, i, held, int64(budget))
			}
		}
		if round == 0 && len(p.shelves["usual"].boxes) != 1 {
			t.Error("forms that came once drove out the usual one")
		}
	}
	if n := len(p.each()); n != budget/one {
		t.Errorf("%d wait, want %d", n, budget/one)
	}
	name := "often"
	for range 3 {
		p.take(name, poolTask(name), shapeNamed(name), now)
		now = now.Add(time.Second)
		fill(p, now, one)
	}
	if b, _ := p.take(name, poolTask(name), shapeNamed(name), now); b == nil {
		t.Error("a form that is asked for again and again has no place beside 200 others")
	}
}

// Room is made when that helps, and never for a second browser at the cost of everything else.
func TestPoolMakesRoomOnlyForWhatFits(t *testing.T) {
	const mib = 1 << 20
	p := newPool(256 * mib)
	p.hear()
	now := time.Now()
	for _, name := range []string{"a", "b", "c"} {
		p.expect(name, poolTask(name))
	}
	fill(p, now, 6*mib)
	web := Task{Kind: kindWeb, Image: "web"}
	p.expect("web", web)
	fill(p, now, 141*mib)
	for range 5 { // browsers are wanted, two and three at once
		p.take("web", web, shapeNamed("web"), now)
		p.take("web", web, shapeNamed("web"), now)
		now = now.Add(time.Second)
		fill(p, now, 141*mib)
	}
	count := map[string]int{}
	for _, b := range p.each() {
		name, _, _ := strings.Cut(b.id, "-")
		count[name]++
	}
	if count["a"] != 1 || count["b"] != 1 || count["c"] != 1 || count["web"] != 1 {
		t.Errorf("there wait %v, want one of each", count)
	}
}

// Forms without end are not remembered without end.
func TestPoolForgetsForms(t *testing.T) {
	p := newPool(20 << 20)
	p.hear()
	now := time.Now()
	p.expect("usual", poolTask("usual"))
	for i := range 5000 {
		name := fmt.Sprint(i)
		p.take(name, poolTask(name), shapeNamed(name), now)
		if i%10 == 0 {
			fill(p, now, 10<<20)
		}
		if len(p.shelves) > maxForms {
			t.Fatalf("%d forms are remembered", len(p.shelves))
		}
	}
	if p.shelves["usual"] == nil {
		t.Error("the usual form is forgotten")
	}
}

// A form for which nothing can be prepared is tried again, ever more seldom.
func TestPoolRestsAfterFailure(t *testing.T) {
	p := newPool(100 << 20)
	p.hear()
	now := time.Now()
	p.expect("a", poolTask("a"))
	tries := 0
	for end := now.Add(10 * time.Minute); now.Before(end); now = now.Add(time.Second) {
		if _, next := p.review(now); next != nil {
			tries++
			p.done(next.form, nil, 0, now)
		}
	}
	if tries < 3 || tries > 12 {
		t.Errorf("%d tries in 10 minutes, want a handful", tries)
	}
}

// A search in a folder that hides nothing takes the container that waits for a reader.
func TestPoolSharesOneShape(t *testing.T) {
	p := newPool(100 << 20)
	p.hear()
	now := time.Now()
	p.expect("reader", poolTask("a"))
	fill(p, now, 1<<20)
	if b, _ := p.take("search", poolTask("a"), shapeNamed("a"), now); b == nil {
		t.Error("take = none, want the one of the same shape")
	}
}

// Whatever comes: the budget holds, no container is given twice, and none that may not be used.
func TestPoolProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		budget := rapid.SampledFrom([]int64{0, 12 << 20, 25 << 20, 60 << 20}).Draw(t, "budget")
		p := newPool(budget)
		now := time.Now()
		given := make(map[*box]bool)
		making := []order{}
		forms := []string{"a", "b", "c", "d"}
		shapes := map[string]int{}
		current := func(form string) shape { return shapeNamed(fmt.Sprint(form, shapes[form])) }
		n := 0
		t.Repeat(map[string]func(*rapid.T){
			"take": func(t *rapid.T) {
				form := rapid.SampledFrom(forms).Draw(t, "form")
				b, stale := p.take(form, poolTask(form), current(form), now)
				for _, old := range stale {
					if old.shape == current(form) {
						t.Errorf("take(%s) threw %s away, whose shape is right", form, old.id)
					}
					given[old] = true
				}
				if b == nil {
					return
				}
				if given[b] || b.shape != current(form) || b.disturbed || b.age(now) >= maxAge || p.deaf {
					t.Errorf("take(%s) = %+v, given before %v, deaf %v", form, b.waiting, given[b], p.deaf)
				}
				given[b] = true
				p.unwatch(b)
			},
			"review": func(t *rapid.T) {
				remove, next := p.review(now)
				for _, b := range remove {
					if given[b] {
						t.Errorf("review removes %s, which is given away", b.id)
					}
					given[b] = true
				}
				if next != nil {
					making = append(making, *next)
				}
			},
			"done": func(t *rapid.T) {
				if len(making) == 0 {
					t.Skip("nothing is made")
				}
				o := making[0]
				making = making[1:]
				if rapid.Bool().Draw(t, "fails") {
					p.done(o.form, nil, 0, now)
					return
				}
				n++
				b := waiter(fmt.Sprint(n), current(o.task.Image), now)
				p.watch(b)
				if !p.done(o.form, b, rapid.SampledFrom([]int64{0, 1, 8 << 20, 13 << 20, 80 << 20}).Draw(t, "cost"), now) {
					given[b] = true
				}
			},
			"expect":  func(t *rapid.T) { f := rapid.SampledFrom(forms).Draw(t, "form"); p.expect(f, poolTask(f)) },
			"changes": func(t *rapid.T) { shapes[rapid.SampledFrom(forms).Draw(t, "form")]++ },
			"time": func(t *rapid.T) {
				now = now.Add(time.Duration(rapid.IntRange(0, 900).Draw(t, "seconds")) * time.Second)
			},
			"deaf": func(*rapid.T) {
				for _, b := range p.empty(true) {
					given[b] = true
				}
			},
			"hears": func(*rapid.T) { p.hear() },
			"touch": func(t *rapid.T) {
				if all := p.each(); len(all) > 0 {
					p.touched(rapid.SampledFrom(all).Draw(t, "box").id, "exec_start: x")
				}
			},
			"": func(t *rapid.T) {
				var sum int64
				for _, b := range p.each() {
					sum += b.cost
					if given[b] {
						t.Errorf("%s waits and is given away", b.id)
					}
				}
				if sum > budget {
					t.Errorf("%d bytes wait, the budget is %d", sum, budget)
				}
				for form, s := range p.shelves {
					if len(s.boxes) > maxOfForm || s.making < 0 {
						t.Errorf("form %s has %d and makes %d", form, len(s.boxes), s.making)
					}
				}
			},
		})
	})
}

// Containers that are of no use as soon as they are ready (the executor dies, a watcher looks into each) are not
// made one after the other for ever, and again when that is over.
func TestPoolRestsFromLosses(t *testing.T) {
	for name, lose := range map[string]func(p *pool, b *box, form string, now time.Time){
		"dead before it is set down": func(p *pool, b *box, form string, now time.Time) {
			b.ear.listen()
			p.done(form, b, 0, now)
		},
		"dead as soon as it waits": func(p *pool, b *box, form string, now time.Time) {
			p.done(form, b, 0, now)
			b.ear.listen()
		},
		"touched": func(p *pool, b *box, form string, now time.Time) {
			p.watch(b)
			p.done(form, b, 0, now)
			p.touched(b.id, "top")
			p.forget(b, true, now)
		},
	} {
		t.Run(name, func(t *testing.T) {
			p := newPool(100 << 20)
			p.hear()
			p.expect("a", poolTask("a"))
			now, made := time.Now(), 0
			minute := func() (n int) {
				for range 300 {
					now = now.Add(200 * time.Millisecond)
					if _, next := p.review(now); next != nil {
						n++
						made++
						lose(p, waiter(fmt.Sprint(made), shapeNamed("a"), now), next.form, now)
					}
				}
				return n
			}
			if got := minute(); got < 5 || got > 10 {
				t.Errorf("in a minute %d containers were started that came to nothing, want 5 to 10", got)
			}
			if got := minute(); got > 2 {
				t.Errorf("in the next minute there were %d, want 2 at most", got)
			}
			now = now.Add(10 * time.Minute)
			fill(p, now, 1<<20)
			if got, _ := p.take("a", poolTask("a"), shapeNamed("a"), now); got == nil {
				t.Error("later, none waits")
			}
		})
	}
}
