// Package memory decides what is kept beyond a conversation and what of it a model is shown.
//
// It promises that a memory never looks better than it is: its label is that of all that the model had
// read when it was saved, a merge joins labels, and whoever is shown a memory gets its label with it. It
// promises that no person's memory is found by another's model, that what is merged says so and keeps the
// earlier wording, and that the work for a search is bounded, whatever is asked and however much is kept.
//
// It refuses what is empty, too long or one too many, and text that does not show. There is no query
// language: of a query only letters, digits and symbols count, see terms.go. The entry point is [New].
package memory

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/secureclaw/secureclaw/gateway/internal/claw"
)

// ErrMany is a person who has as many memories as there may be.
var ErrMany = fmt.Errorf("%d memories are kept already, and there is no room for more; forget some first", MaxOwned)

// Row is a memory and what it is found by.
type Row struct {
	claw.Memory
	Terms string // see [Terms]
	Gist  int64  // the same for two texts that say the same in the same words
}

// Scope is where the memories of one person lie: their places are from First to Last, the newest at Last.
type Scope struct {
	First, Last int64
	Count       int
}

// Lead is what a candidate is ranked by.
type Lead struct {
	ID      int64
	Place   int64
	Terms   string
	Changed time.Time // when it was last said
	Used    time.Time
}

// Version is an earlier wording of a memory.
type Version struct {
	Content string    `json:"content"`
	At      time.Time `json:"at"`
}

// Store keeps memories. What a method returned from is on disk.
type Store interface {
	// AddMemory adds a row and returns its id; with ErrMany, the owner has most already.
	AddMemory(ctx context.Context, row Row, most int) (int64, error)
	// MergeMemory replaces the row of that id and owner, which becomes the newest, and keeps a wording that
	// it does not have any more, unless that is empty.
	MergeMemory(ctx context.Context, row Row, wording string) error
	// MemoriesOfGist are those of one owner that say the same.
	MemoriesOfGist(ctx context.Context, owner string, gist int64) ([]claw.Memory, error)
	// MemoryScope is zero for an owner who has none.
	MemoryScope(ctx context.Context, owner string) (Scope, error)
	// MemoryPlaces are those from a place to the scope's last that have all the terms, the newest first. The
	// last term may be the head of one, if prefix says so.
	MemoryPlaces(ctx context.Context, terms []string, prefix bool, from, last int64, limit int) ([]int64, error)
	MemoryLeads(ctx context.Context, places []int64) ([]Lead, error)
	// MemoryLeadsBetween are those of the memories from a place to a last one, at most limit, the oldest first.
	MemoryLeadsBetween(ctx context.Context, from, last int64, limit int) ([]Lead, error)
	// MemoriesByID returns those that are there, in the order of the ids.
	MemoriesByID(ctx context.Context, ids []int64) ([]claw.Memory, error)
	MemoryVersions(ctx context.Context, id int64) ([]Version, error)
	ListMemories(ctx context.Context, q claw.MemoryQuery) ([]claw.Memory, error)
	MemoryCategories(ctx context.Context, owner string) ([]claw.MemoryCategory, error)
	TouchMemories(ctx context.Context, uses map[int64]int, at time.Time) error
	// ForgetMemories deletes those of one owner, and their words from the conversations that mine selects.
	ForgetMemories(ctx context.Context, owner string, ids []int64, mine func(claw.Origin) bool) (int, error)
}

// Options is what a Memory is made of; Log is optional.
type Options struct {
	Store Store
	// Owner is the person who set a run in motion.
	Owner func(claw.Origin) string
	Now   func() time.Time
	Log   *slog.Logger
	// Location is the zone of the dates that a model reads; nil is UTC.
	Location *time.Location
}

// Memory is safe for concurrent use. Of the zero one, only [Memory.Tools] is of use, to judge a call that never runs.
type Memory struct {
	o Options

	// edits counts how often the words of memories that were there may have changed.
	edits atomic.Int64
	// changes counts how often the memories may have changed at all.
	changes atomic.Int64

	shelves    shelves
	foresights foresights

	saving sync.Mutex // between the look for a duplicate and the save nobody saves

	mu      sync.Mutex
	used    map[int64]int // uses that are not stored yet
	storing bool
	closed  bool
	closing chan struct{}
	wg      sync.WaitGroup
}

// New checks the options. [Memory.Close] must be called before the store is closed.
func New(o Options) (*Memory, error) {
	if o.Store == nil || o.Owner == nil || o.Now == nil {
		return nil, errors.New("memory: store, owner and clock are required")
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return &Memory{o: o, used: map[int64]int{}, closing: make(chan struct{})}, nil
}

// Close waits until what was used is stored.
func (m *Memory) Close() error {
	m.mu.Lock()
	if !m.closed {
		m.closed = true
		close(m.closing)
	}
	m.mu.Unlock()
	m.wg.Wait()
	return nil
}

// Recall returns the few memories that are of use for a message, the most useful first: at most
// maxRecalled that have to do with its words, and as many of what is always to be known of the user.
func (m *Memory) Recall(ctx context.Context, origin claw.Origin, text string) ([]claw.Memory, error) {
	found, err := m.recalled(ctx, m.o.Owner(origin), text)
	if err == nil {
		m.touch(found)
	}
	return found, err
}

func (m *Memory) recall(ctx context.Context, owner, text string) ([]claw.Memory, error) {
	found, err := m.find(ctx, owner, search{text: text, limit: maxRecalled, relevant: true})
	if err != nil {
		return nil, err
	}
	if found, err = m.addProfile(ctx, owner, found); err != nil {
		return nil, err
	}
	size := 0
	for i, mem := range found {
		if size += len(mem.Content); size > maxRecalledBytes && i > 0 {
			found = found[:i]
			break
		}
	}
	return found, nil
}

// addProfile adds the newest of what is always to be known of the user. What a stranger may have written, or
// stood in a file, comes up where it belongs to the topic, and not in every conversation from now on; nor does it crowd out the user's own,
// unless there are more than maxProfile of it.
func (m *Memory) addProfile(ctx context.Context, owner string, found []claw.Memory) ([]claw.Memory, error) {
	page := claw.MemoryQuery{Owner: owner, Category: CategoryProfile, Limit: 4 * maxRecalled}
	for more, seen := maxRecalled, 0; seen < maxProfile; seen += page.Limit {
		profile, err := m.o.Store.ListMemories(ctx, page)
		if err != nil {
			return nil, err
		}
		for _, mem := range profile {
			known := slices.ContainsFunc(found, func(f claw.Memory) bool { return f.ID == mem.ID })
			if more > 0 && !known && mem.Label.Integrity == claw.ByUser {
				found = append(found, mem)
				more--
			}
			page.Below = mem.ID
		}
		if more == 0 || len(profile) < page.Limit {
			break
		}
	}
	return found, nil
}

// The bounds of what a message brings to mind.
const (
	maxProfile       = 200
	maxRecalled      = 5
	maxRecalledBytes = 10 << 10
)

// Recalled returns those of the ids that are still there, in their order, and are of the person who set a run in
// motion: whose a conversation is can change, when somebody else becomes the owner on a messenger.
func (m *Memory) Recalled(ctx context.Context, origin claw.Origin, ids []int64) ([]claw.Memory, error) {
	owner := m.o.Owner(origin)
	found, err := m.Memories(ctx, ids)
	return slices.DeleteFunc(found, func(mem claw.Memory) bool { return mem.Owner != owner }), err
}

// State is another one when [Memory.Recalled] may return something else for the same ids.
func (m *Memory) State(origin claw.Origin) string {
	return strconv.FormatInt(m.edits.Load(), 10) + " " + m.o.Owner(origin)
}

// Memories returns those of the ids that are still there, in their order, whoever owns them.
func (m *Memory) Memories(ctx context.Context, ids []int64) ([]claw.Memory, error) {
	if len(ids) == 0 {
		return nil, nil
	}
	return m.o.Store.MemoriesByID(ctx, ids)
}

// Search ranks the memories of one person.
func (m *Memory) Search(ctx context.Context, owner, query string, limit int) ([]claw.Memory, error) {
	if limit < 1 || limit > 100 {
		limit = 100
	}
	return m.find(ctx, owner, search{text: query, limit: limit})
}

// About returns the newest memories of one person that have all the words of a topic: what is to be forgotten
// is not what only shares a word with it.
func (m *Memory) About(ctx context.Context, owner, topic string, limit int) ([]claw.Memory, error) {
	if limit < 1 || limit > 100 {
		limit = 100
	}
	return m.about(ctx, owner, topic, limit)
}

// List returns a page.
func (m *Memory) List(ctx context.Context, q claw.MemoryQuery) ([]claw.Memory, error) {
	if q.Limit < 1 {
		q.Limit = 100
	}
	return m.o.Store.ListMemories(ctx, q)
}

// Categories counts.
func (m *Memory) Categories(ctx context.Context, owner string) ([]claw.MemoryCategory, error) {
	return m.o.Store.MemoryCategories(ctx, owner)
}

// Versions returns the wordings that were merged into a memory of one person, the oldest first.
func (m *Memory) Versions(ctx context.Context, owner string, id int64) ([]Version, error) {
	found, err := m.o.Store.MemoriesByID(ctx, []int64{id})
	if err != nil || len(found) == 0 || found[0].Owner != owner {
		return nil, err
	}
	return m.o.Store.MemoryVersions(ctx, id)
}

// Forget deletes memories of one person from table and index, and returns how many there were. Their exact
// words go from the person's conversations too; the audit log keeps them.
func (m *Memory) Forget(ctx context.Context, owner string, ids []int64) (int, error) {
	if len(ids) == 0 {
		return 0, nil
	}
	m.saving.Lock() // a merge into what goes must come before or after
	defer m.saving.Unlock()
	defer m.edits.Add(1) // after an error too: it may be done all the same
	defer m.changes.Add(1)
	defer m.shelves.drop(owner)
	return m.o.Store.ForgetMemories(ctx, owner, ids, func(o claw.Origin) bool { return m.o.Owner(o) == owner })
}

// Saved is what became of something that was to be kept.
type Saved struct {
	Memory claw.Memory
	// Merged says that it was said before, and is now one memory with what Before was.
	Merged bool
	Before string
}

// Save keeps one memory; Owner, Category, Content, Tags, Author, Source, Session and Label of it count, and
// Created, if it is not zero.
func (m *Memory) Save(ctx context.Context, mem claw.Memory) (Saved, error) {
	var err error
	if mem.Content, err = CleanContent(mem.Content); err != nil {
		return Saved{}, err
	}
	if mem.Category, err = cleanCategory(mem.Category); err != nil {
		return Saved{}, err
	}
	if mem.Tags, err = cleanTags(mem.Tags); err != nil {
		return Saved{}, err
	}
	if mem.Owner == "" || !slices.Contains([]string{"model", "user", "import"}, mem.Author) {
		return Saved{}, fmt.Errorf("a memory needs an owner and an author, got %q and %q", mem.Owner, mem.Author)
	}
	mem.Source = claw.Framed(mem.Source, 200)
	now := m.o.Now().UTC().Truncate(time.Millisecond)
	if mem.Created.IsZero() || mem.Created.After(now) {
		mem.Created = now
	}
	mem.Created = mem.Created.UTC().Truncate(time.Millisecond)
	mem.ID, mem.Updated, mem.Used, mem.Uses = 0, time.Time{}, time.Time{}, 0

	m.saving.Lock()
	defer m.saving.Unlock()
	defer m.changes.Add(1)
	old, found, err := m.duplicate(ctx, mem)
	if err != nil {
		return Saved{}, err
	}
	if found {
		return m.merge(ctx, old, mem, now)
	}
	mem.ID, err = m.o.Store.AddMemory(ctx, RowOf(mem), MaxOwned)
	return Saved{Memory: mem}, err
}

// RowOf is a memory with what it is found by.
func RowOf(mem claw.Memory) Row {
	return Row{Memory: mem, Terms: Terms(mem.Content, mem.Tags, mem.Category), Gist: gist(mem.Content)}
}

// duplicate finds the memory of the same person that says the same.
func (m *Memory) duplicate(ctx context.Context, mem claw.Memory) (claw.Memory, bool, error) {
	near, err := m.o.Store.MemoriesOfGist(ctx, mem.Owner, gist(mem.Content))
	if err != nil {
		return claw.Memory{}, false, err
	}
	alikes, err := m.find(ctx, mem.Owner, search{text: mem.Content, limit: 8, whole: true})
	if err != nil {
		return claw.Memory{}, false, err
	}
	for _, old := range append(near, alikes...) {
		if !alike(old.Content, mem.Content) {
			continue
		}
		versions, err := m.o.Store.MemoryVersions(ctx, old.ID)
		if err != nil {
			return claw.Memory{}, false, err
		}
		if len(versions) < maxVersions {
			return old, true, nil
		}
	}
	return claw.Memory{}, false, nil
}

// maxVersions is how many wordings one memory keeps. What would be one more stands for itself.
const maxVersions = 20

// merge makes one memory of two that say the same. The wording that says more stands.
func (m *Memory) merge(ctx context.Context, old, mem claw.Memory, now time.Time) (Saved, error) {
	one := old
	one.Label = old.Label.Join(mem.Label)
	one.Updated = now
	if old.Category == defaultCategory {
		one.Category = mem.Category
	}
	one.Tags = slices.Clone(old.Tags)
	for _, tag := range mem.Tags {
		if !slices.Contains(one.Tags, tag) && len(one.Tags) < maxKeptTags {
			one.Tags = append(one.Tags, tag)
		}
	}
	spare := mem.Content
	if len(words(mem.Content)) >= len(words(old.Content)) {
		one.Content, one.Author, one.Source, one.Session = mem.Content, mem.Author, mem.Source, mem.Session
		spare = old.Content
	}
	if spare == one.Content {
		spare = ""
	}
	defer m.edits.Add(1)
	return Saved{Memory: one, Merged: true, Before: old.Content}, m.o.Store.MergeMemory(ctx, RowOf(one), spare)
}

// gathering is how long uses are gathered before they are stored: a turn that begins has better use for the
// disk. Those of the last moments before a crash are lost, and nothing hangs on them.
const gathering = 2 * time.Second

// touch notes that memories were read by a model.
func (m *Memory) touch(memories []claw.Memory) {
	for _, mem := range memories {
		if s := m.shelves.get(mem.Owner); s != nil {
			s.touch(mem.ID, m.o.Now())
		}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(memories) == 0 || m.closed {
		return
	}
	for _, mem := range memories {
		m.used[mem.ID]++
	}
	if !m.storing {
		m.storing = true
		m.wg.Go(m.storeUses)
	}
}

func (m *Memory) storeUses() {
	timer := time.NewTimer(gathering)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-m.closing:
	}
	m.mu.Lock()
	uses := m.used
	m.used, m.storing = map[int64]int{}, false
	m.mu.Unlock()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if err := m.o.Store.TouchMemories(ctx, uses, m.o.Now()); err != nil {
		m.o.Log.Warn("the use of memories was not stored", "err", err)
	}
}

// joinLabels is the label of whoever reads the memories, and had that of before.
func joinLabels(before claw.Label, memories []claw.Memory) claw.Label {
	for _, mem := range memories {
		before = before.Join(mem.Label)
	}
	return before
}

func byScore(a, b scored) int {
	return cmp.Or(cmp.Compare(b.score, a.score), cmp.Compare(b.Place, a.Place), strings.Compare(a.Terms, b.Terms))
}
