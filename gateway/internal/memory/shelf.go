package memory

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"sync"
	"time"
)

// This file keeps the index of the people who were searched for last at hand. The store's is read anew after each of
// its writes, page by page, and a message looks for thirty things in it: 6 ms among 100,000 memories. Here it is
// a tenth of that, for some 25 MB.
//
// A shelf says nothing that the store does not: at each search it is held against how many memories there are
// and where the last one is, reads what is new, and is thrown away when that does not explain the difference. It is
// made in the background, and whoever searches meanwhile asks the store. What is found is read by id from the
// store all the same, so nothing that was forgotten can be shown from here.

// index is what a search looks through: the store's, or a shelf.
type index interface {
	MemoryPlaces(ctx context.Context, terms []string, prefix bool, from, last int64, limit int) ([]int64, error)
	MemoryLeads(ctx context.Context, places []int64) ([]Lead, error)
}

const (
	maxShelves = 4
	// maxShelved is how many bytes the terms of one shelf have at most: those of 100,000 memories have about 12 MB.
	maxShelved = 32 << 20
	// shelving is how many memories are read at once.
	shelving = 2000
)

// shelf is the index of one person. Memories have numbers in the order of their places.
type shelf struct {
	owner string
	store Store // knows the heads of words

	mu    sync.RWMutex
	last  int64 // the place up to which it has read
	live  int
	large bool // there is too much: nothing is kept
	rows  []shelved
	bytes int // of the terms of all
	known map[string]uint32
	posts [][]uint32 // of each term, the memories that have it
	used  map[int64]time.Time
	turn  int // when it was looked through last; of shelves
}

// shelved is one memory; one that stands at another place now has no id.
type shelved struct {
	id, place     int64
	changed, used int64 // in milliseconds
	terms         string
}

// shelves are the shelves of people.
type shelves struct {
	mu     sync.Mutex
	of     map[string]*shelf
	making map[string]bool
	turn   int
}

// index is where to look for the memories of one person.
func (m *Memory) index(ctx context.Context, owner string, scope Scope) index {
	if s := m.shelves.get(owner); s != nil {
		if s.follow(ctx, scope) {
			if s.large {
				return m.o.Store
			}
			return s
		}
		m.shelves.drop(owner)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.closed && m.shelves.begin(owner) {
		m.wg.Go(func() { m.shelve(owner, scope) })
	}
	return m.o.Store
}

// shelve makes a shelf, piece by piece.
func (m *Memory) shelve(owner string, scope Scope) {
	s := &shelf{owner: owner, store: m.o.Store, last: scope.First - 1, known: map[string]uint32{}, used: map[int64]time.Time{}}
	for s.last < scope.Last && !s.large {
		select {
		case <-m.closing:
			return
		default:
		}
		if err := s.read(context.Background(), scope.Last); err != nil {
			m.o.Log.Warn("memories are searched where they are stored: they cannot be read at once", "err", err)
			s = nil
			break
		}
	}
	m.shelves.made(owner, s)
}

// read adds some of the memories up to a place.
func (s *shelf) read(ctx context.Context, last int64) error {
	leads, err := s.store.MemoryLeadsBetween(ctx, s.last+1, last, shelving)
	if err != nil {
		return err
	}
	for _, lead := range leads {
		s.add(lead)
	}
	if s.last = last; len(leads) == shelving {
		s.last = leads[len(leads)-1].Place
	}
	return nil
}

func (s *shelf) add(lead Lead) {
	if s.large {
		return
	}
	row := shelved{id: lead.ID, place: lead.Place, changed: lead.Changed.UnixMilli(), used: lead.Used.UnixMilli(), terms: lead.Terms}
	for term := range strings.SplitSeq(lead.Terms, " ") {
		n, ok := s.known[term]
		if !ok {
			n = uint32(len(s.posts))
			s.known[term], s.posts = n, append(s.posts, nil)
		}
		if p := s.posts[n]; len(p) == 0 || p[len(p)-1] != uint32(len(s.rows)) {
			s.posts[n] = append(p, uint32(len(s.rows)))
		}
	}
	s.rows, s.live = append(s.rows, row), s.live+1
	if s.bytes += len(row.terms); s.bytes > maxShelved {
		s.large, s.rows, s.known, s.posts, s.used = true, nil, nil, nil, nil
	}
}

// follow brings a shelf to where the store is, and reports whether it got there.
func (s *shelf) follow(ctx context.Context, scope Scope) bool {
	s.mu.RLock()
	same := s.large || s.last == scope.Last && s.live == scope.Count
	s.mu.RUnlock()
	if same {
		return true
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	scope, err := s.store.MemoryScope(ctx, s.owner) // another may have been here, and have seen more
	if err != nil || scope.Last < s.last {
		return false
	}
	before := len(s.rows)
	for s.last < scope.Last && !s.large {
		if err := s.read(ctx, scope.Last); err != nil {
			return false
		}
	}
	if s.large {
		return true
	}
	// What was merged stands at a new place, and not at its old one any more.
	for _, row := range s.rows[before:] {
		if s.live <= scope.Count {
			break
		}
		if i := slices.IndexFunc(s.rows[:before], func(old shelved) bool { return old.id == row.id }); i >= 0 {
			s.rows[i].id = 0
			s.live--
		}
	}
	return s.live == scope.Count
}

// MemoryPlaces does what the store's does.
func (s *shelf) MemoryPlaces(ctx context.Context, terms []string, prefix bool, from, last int64, limit int) ([]int64, error) {
	if prefix {
		return s.store.MemoryPlaces(ctx, terms, prefix, from, last, limit)
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	lists := make([][]uint32, 0, len(terms))
	for _, term := range terms {
		n, ok := s.known[term]
		if !ok {
			return nil, nil
		}
		lists = append(lists, s.posts[n])
	}
	if len(lists) == 0 {
		return nil, nil
	}
	slices.SortFunc(lists, func(a, b []uint32) int { return cmp.Compare(len(a), len(b)) })
	out := make([]int64, 0, limit)
	for rarest := lists[0]; len(rarest) > 0 && len(out) < limit; rarest = rarest[:len(rarest)-1] {
		n := rarest[len(rarest)-1]
		row := &s.rows[n]
		if row.place < from {
			break
		}
		if row.id == 0 || row.place > last {
			continue
		}
		in := true
		for i := 1; i < len(lists) && in; i++ {
			lists[i] = upto(lists[i], n)
			in = len(lists[i]) > 0 && lists[i][len(lists[i])-1] == n
		}
		if in {
			out = append(out, row.place)
		}
	}
	return out, nil
}

// upto is the part of a list that is at most n. It looks near the end first: n is rarely far from it.
func upto(list []uint32, n uint32) []uint32 {
	high, step := len(list), 1
	for high-step >= 0 && list[high-step] > n {
		high -= step
		step *= 2
	}
	low := max(0, high-step)
	i, found := slices.BinarySearch(list[low:high], n)
	if found {
		i++
	}
	return list[:low+i]
}

// MemoryLeads does what the store's does.
func (s *shelf) MemoryLeads(_ context.Context, places []int64) ([]Lead, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	out := make([]Lead, 0, len(places))
	for _, place := range places {
		i, ok := slices.BinarySearchFunc(s.rows, place, func(row shelved, place int64) int { return cmp.Compare(row.place, place) })
		if !ok || s.rows[i].id == 0 {
			continue
		}
		row := &s.rows[i]
		lead := Lead{ID: row.id, Place: row.place, Terms: row.terms, Changed: moment(row.changed), Used: moment(row.used)}
		if at, ok := s.used[row.id]; ok {
			lead.Used = at
		}
		out = append(out, lead)
	}
	return out, nil
}

// moment is a time as it was kept; the zero time was none.
func moment(ms int64) time.Time {
	if ms == (time.Time{}).UnixMilli() {
		return time.Time{}
	}
	return time.UnixMilli(ms).UTC()
}

// touch notes when a memory was read last.
func (s *shelf) touch(id int64, at time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.large {
		s.used[id] = at
	}
}

func (s *shelves) get(owner string) *shelf {
	s.mu.Lock()
	defer s.mu.Unlock()
	one := s.of[owner]
	if one != nil {
		s.turn++
		one.turn = s.turn
	}
	return one
}

// drop throws a shelf away.
func (s *shelves) drop(owner string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.of, owner)
}

// begin reports whether the caller is the one to make a shelf.
func (s *shelves) begin(owner string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.making[owner] || s.of[owner] != nil {
		return false
	}
	if s.making == nil {
		s.making, s.of = map[string]bool{}, map[string]*shelf{}
	}
	s.making[owner] = true
	return true
}

// made puts a shelf up, if there is one.
func (s *shelves) made(owner string, one *shelf) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.making, owner)
	if one == nil {
		return
	}
	for len(s.of) >= maxShelves {
		oldest := ""
		for name, other := range s.of {
			if s.of[oldest] == nil || other.turn < s.of[oldest].turn {
				oldest = name
			}
		}
		delete(s.of, oldest)
	}
	s.turn++
	one.turn = s.turn
	s.of[owner] = one
}
