package sandbox

import (
	"cmp"
	"slices"
	"sync"
	"time"

	"github.com/moby/moby/api/types/events"

	"github.com/secureclaw/secureclaw/internal/run"
)

// How many containers wait, and for how long.
const (
	// maxAge is the most that a container waits, however much it is wanted.
	maxAge = 55 * time.Minute
	// idleAfter is when a form of task that nobody asked for is no longer prepared for.
	idleAfter = 10 * time.Minute
	// calmAfter is when one container less is wanted of a form that never ran out of them.
	calmAfter = 2 * time.Minute
	// maxForms is how many forms are remembered, those with containers always.
	maxForms = 256
	// maxOfForm is the most containers that wait for tasks of one form.
	maxOfForm = 8
)

// What a container holds while it waits, until it was measured, in bytes. The engine's own process
// beside it (some 3 MiB) is in it.
const (
	guessPlain = 10 << 20
	guessWeb   = 140 << 20
	beside     = 4 << 20
)

// pool keeps containers that wait for a task, by the form of task that they are for, within a budget of
// memory. It only counts and decides; [Sandbox.Keep] starts and removes them. The zero pool keeps none.
type pool struct {
	mu     sync.Mutex
	budget int64
	closed bool
	// deaf says that the engine's news do not come, so that who touches a container is not seen.
	deaf    bool
	shelves map[string]*shelf
	watched map[string]*box // by the engine's id: from their making to their task
}

// shelf is the place of one form.
type shelf struct {
	form   string
	task   Task // whose id, call and envelope are empty
	boxes  []*box
	making int
	// want is how many should wait, kept the least of it that the configuration's usual calls get.
	want, kept int
	used       time.Time // when a task of this form came last
	often      bool      // and one more shortly before
	drained    time.Time // when there were too few
	failed     time.Time // when preparing failed last; zero: it did not
	tries      int       // how often in a row
	lost       int       // containers that were of no use when they were ready, less the calls since
	lostLast   time.Time
	cost       int64 // of one, in bytes
}

func newPool(budget int64) *pool {
	return &pool{budget: max(budget, 0), deaf: true, shelves: make(map[string]*shelf), watched: make(map[string]*box)}
}

// expect makes the pool prepare for tasks like t before one came.
func (p *pool) expect(form string, t Task) {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := p.shelf(form, t)
	s.want, s.kept = 1, 1
}

func (p *pool) shelf(form string, t Task) *shelf {
	s := p.shelves[form]
	if s == nil {
		p.room()
		s = &shelf{form: form, cost: guessPlain}
		if t.Kind == kindWeb {
			s.cost = guessWeb
		}
		p.shelves[form] = s
	}
	t.Shown = ""
	t.ID, t.Call, t.Envelope, t.Nonce, t.Timeout, t.Out, t.Refused = "", "", nil, "", 0, nil, nil
	s.task = t
	return s
}

// room forgets the form that nobody has asked for longest when there are too many: claims can differ in
// numbers, of which there is no end.
func (p *pool) room() {
	var oldest *shelf
	for _, s := range p.shelves {
		if s.kept == 0 && s.making == 0 && len(s.boxes) == 0 && (oldest == nil || s.used.Before(oldest.used)) {
			oldest = s
		}
	}
	if len(p.shelves) >= maxForms && oldest != nil {
		delete(p.shelves, oldest.form)
	}
}

// take gives a waiting container of the shape away, nil when there is none, and those of the same form that
// nothing can be used for any more. It notes that a task of this form came.
func (p *pool) take(form string, t Task, want shape, now time.Time) (taken *box, stale []*box) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.budget == 0 || p.closed {
		return nil, nil
	}
	s := p.shelf(form, t)
	s.often = now.Sub(s.used) < idleAfter
	s.used = now
	s.lost = max(s.lost-1, 0) // while calls come, one more is tried for each
	for _, b := range slices.Clone(s.boxes) {
		switch {
		case b.shape != want: // an image, a folder or what it hides has changed
			p.drop(s, b)
			stale = append(stale, b)
		case taken == nil && p.fit(b, now):
			p.drop(s, b)
			taken = b
		}
	}
	if taken == nil {
		taken = p.borrow(s, want, now)
	}
	if len(s.boxes) == 0 {
		s.drained = now
	}
	if taken == nil {
		s.want = min(s.want+1, maxOfForm)
	}
	s.want = max(s.want, 1)
	return taken, stale
}

// likely is the container that [pool.take] gives for the form if its shape is right, nil when there is none. It
// stays where it is.
func (p *pool) likely(form string, now time.Time) *box {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := p.shelves[form]
	if s == nil {
		return nil
	}
	for _, b := range s.boxes {
		if p.fit(b, now) {
			return b
		}
	}
	return nil
}

// borrow finds a container of the shape among those for another form: a search in a folder that hides
// nothing needs the same as a reader.
func (p *pool) borrow(not *shelf, want shape, now time.Time) *box {
	for _, s := range p.shelves {
		for _, b := range s.boxes {
			if s != not && b.shape == want && p.fit(b, now) {
				p.drop(s, b)
				return b
			}
		}
	}
	return nil
}

// fit reports whether a container may be used, as far as is known here.
func (p *pool) fit(b *box, now time.Time) bool {
	return !p.deaf && !b.disturbed && b.ear.silent() && b.age(now) < maxAge
}

// drop takes a container off its shelf.
func (p *pool) drop(s *shelf, b *box) {
	s.boxes = slices.DeleteFunc(s.boxes, func(o *box) bool { return o == b })
}

// done ends one preparation for form: of b, or of nothing when it failed. False says that b is not wanted
// any more. cost is what it holds, 0 when that could not be measured.
func (p *pool) done(form string, b *box, cost int64, now time.Time) (kept bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := p.shelves[form]
	if s == nil {
		return false
	}
	s.making--
	if b == nil {
		s.failed = now
		s.tries++
		return false
	}
	s.failed, s.tries = time.Time{}, 0
	if cost > 0 {
		s.cost = cost
	}
	b.cost = s.cost
	if !p.fit(b, now) && !p.deaf {
		s.lose(now)
	}
	if p.closed || !p.fit(b, now) || len(s.boxes) >= s.want || p.held()+b.cost > p.budget {
		return false
	}
	s.boxes = append(s.boxes, b)
	return true
}

// lose notes that a container was of no use.
func (s *shelf) lose(now time.Time) {
	if now.Sub(s.lostLast) > idleAfter {
		s.lost = 0
	}
	s.lost, s.lostLast = s.lost+1, now
}

// rests says whether nothing is prepared for the form for a while: something fails here, or somebody
// touches whatever waits, and an engine that starts one container after the other for nothing is slow for calls.
func (s *shelf) rests(now time.Time) bool {
	failed := s.tries > 0 && now.Sub(s.failed) < failPause<<min(s.tries, 8)
	return failed || s.lost > freeLosses && now.Sub(s.lostLast) < failPause<<min(s.lost-freeLosses, 8)
}

// forget takes b off its shelf; false says that it is on none. lost says that it was touched, and not
// that the world has changed.
func (p *pool) forget(b *box, lost bool, now time.Time) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, s := range p.shelves {
		if slices.Contains(s.boxes, b) {
			p.drop(s, b)
			if lost {
				s.lose(now)
			}
			return true
		}
	}
	return false
}

// watch follows what is done to b from now on; unwatch, when it gets its task or goes, ends that and says
// whether anything was done to it.
func (p *pool) watch(b *box) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.watched[b.id] = b
}

func (p *pool) unwatch(b *box) (disturbed bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.watched, b.id)
	return b.disturbed || p.deaf
}

// making are the events of a container that is made, each once. News may be late, so that they can come
// when it waits already.
var making = []events.Action{events.ActionCreate, events.ActionAttach, events.ActionStart}

// touched notes what was done to the container of an engine's id. It returns the container when that is
// not what we do to it.
func (p *pool) touched(id string, action events.Action) *box {
	p.mu.Lock()
	defer p.mu.Unlock()
	b := p.watched[id]
	if b == nil {
		return nil
	}
	if slices.Contains(making, action) && !slices.Contains(b.told, action) {
		b.told = append(b.told, action)
		return nil
	}
	b.disturbed = true
	return b
}

// empty takes all off. With deaf nothing is set down until [pool.hear].
func (p *pool) empty(deaf bool) []*box {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.deaf = p.deaf || deaf
	var all []*box
	for _, s := range p.shelves {
		all = append(all, s.boxes...)
		s.boxes = nil
		s.lost = 0 // an engine that ends takes them along
	}
	return all
}

func (p *pool) hear() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.deaf = false
}

// close ends it: whatever comes later is not wanted.
func (p *pool) close() []*box {
	p.mu.Lock()
	p.closed = true
	p.mu.Unlock()
	return p.empty(true)
}

// held is what is taken of the budget, containers that are being started included.
func (p *pool) held() int64 {
	var sum int64
	for _, s := range p.shelves {
		for _, b := range s.boxes {
			sum += b.cost
		}
		sum += int64(s.making) * s.cost
	}
	return sum
}

// each lists those that wait, with their forms.
func (p *pool) each() []*box {
	p.mu.Lock()
	defer p.mu.Unlock()
	var all []*box
	for _, s := range p.shelves {
		all = append(all, s.boxes...)
	}
	return all
}

// count says what waits, by kind.
func (p *pool) count() []run.Ready {
	p.mu.Lock()
	defer p.mu.Unlock()
	kinds := make(map[string]*run.Ready)
	var out []run.Ready
	for _, s := range p.shelves {
		for _, b := range s.boxes {
			r := kinds[s.task.Kind]
			if r == nil {
				r = &run.Ready{Kind: s.task.Kind}
				kinds[s.task.Kind] = r
			}
			r.Containers++
			r.Bytes += b.cost
		}
	}
	for _, r := range kinds {
		out = append(out, *r)
	}
	slices.SortFunc(out, func(a, b run.Ready) int { return cmp.Compare(a.Kind, b.Kind) })
	return out
}
