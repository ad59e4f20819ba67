package gateway

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/secureclaw/secureclaw/gateway/internal/chat"
	"github.com/secureclaw/secureclaw/gateway/internal/claw"
	"github.com/secureclaw/secureclaw/internal/wire"
)

// manageMemories answers what a terminal asks about memories.
func (k *keep) manageMemories() map[string]chat.Manager {
	return map[string]chat.Manager{
		wire.ManageMemoriesList:       managed(k.memoriesList),
		wire.ManageMemoriesExport:     managed(k.memoriesExport),
		wire.ManageMemoriesSearch:     managed(k.memoriesSearch),
		wire.ManageMemoriesShow:       managed(k.memoriesShow),
		wire.ManageMemoriesCategories: managed(k.memoriesCategories),
		wire.ManageMemoriesForget:     managed(k.memoriesForget),
		wire.ManageMemoriesImport:     managed(k.memoriesImport),
	}
}

// maxPage is about how many bytes of memories or turns go into one answer; a frame holds a little more.
const maxPage = 700 << 10

// person is what the id of somebody with memories looks like.
var person = regexp.MustCompile(wire.OwnerPattern)

// whose is the person whose memories are meant, empty for everybody's.
func whose(w wire.Whose) (string, error) {
	switch {
	case w.All && w.Of != "":
		return "", errors.New("the memories of one person, or everybody's: not both")
	case w.All:
		return "", nil
	case w.Of != "" && !person.MatchString(w.Of):
		return "", fmt.Errorf("%.40q is nobody with memories: want %s, or a messenger and a user's id like telegram:42", w.Of, claw.Owner)
	}
	return cmp.Or(w.Of, claw.Owner), nil
}

func (k *keep) memoriesList(ctx context.Context, in wire.MemoriesList) (*wire.MemoriesPage, error) {
	of, err := whose(in.Whose)
	if err != nil {
		return nil, err
	}
	limit, err := bounded("limit", in.Limit, 100, wire.MaxMemories)
	if err != nil {
		return nil, err
	}
	if in.Below < 0 {
		return nil, fmt.Errorf("below %d: want an id", in.Below)
	}
	// One more than is asked for says whether there is another page.
	found, err := k.memory.List(ctx, claw.MemoryQuery{Owner: of, Category: strings.ToLower(strings.TrimSpace(in.Category)), Below: in.Below, Limit: limit + 1})
	if err != nil {
		return nil, err
	}
	return memoryPage(found, limit), nil
}

// memoriesExport is a page with the earlier wordings of each memory, which only one that was merged can have.
func (k *keep) memoriesExport(ctx context.Context, in wire.MemoriesList) (*wire.MemoriesPage, error) {
	page, err := k.memoriesList(ctx, in)
	if err != nil {
		return nil, err
	}
	size := 0
	for i := range page.Memories {
		m := &page.Memories[i]
		if !m.Updated.IsZero() {
			if err := k.addBefore(ctx, m); err != nil {
				return nil, err
			}
		}
		if size += weight(m); size > maxPage && i > 0 {
			page.Memories, page.Below = page.Memories[:i], page.Memories[i-1].ID
			break
		}
	}
	return page, nil
}

// addBefore adds the earlier wordings of a memory.
func (k *keep) addBefore(ctx context.Context, m *wire.Memory) error {
	versions, err := k.memory.Versions(ctx, m.Owner, m.ID)
	for _, v := range versions {
		m.Before = append(m.Before, wire.MemoryVersion(v))
	}
	return err
}

func (k *keep) memoriesSearch(ctx context.Context, in wire.MemoriesSearch) (*wire.MemoriesPage, error) {
	of, err := whose(in.Whose)
	if err != nil {
		return nil, err
	}
	if of == "" {
		return nil, errors.New("a search looks at the memories of one person: name one")
	}
	limit, err := bounded("limit", in.Limit, 20, 100)
	if err != nil {
		return nil, err
	}
	if strings.TrimSpace(in.Query) == "" || len(in.Query) > 4096 {
		return nil, errors.New("a search needs words: 1 to 4096 bytes")
	}
	search := k.memory.Search
	if in.Every {
		search = k.memory.About
	}
	found, err := search(ctx, of, in.Query, limit)
	if err != nil {
		return nil, err
	}
	page := memoryPage(found, limit)
	page.Below = 0 // the best first: there is no page behind them
	return page, nil
}

func (k *keep) memoriesShow(ctx context.Context, in wire.MemoriesShow) (*wire.MemoriesPage, error) {
	found, err := k.named(ctx, in.Whose, in.IDs)
	if err != nil {
		return nil, err
	}
	page := memoryPage(found, len(found))
	if len(page.Memories) < len(found) {
		return nil, fmt.Errorf("%d memories do not fit into one answer; ask for fewer", len(found))
	}
	page.Below = 0
	if len(page.Memories) == 1 {
		err = k.addBefore(ctx, &page.Memories[0])
	}
	return page, err
}

func (k *keep) memoriesCategories(ctx context.Context, in wire.Whose) (*wire.MemoriesCategories, error) {
	of, err := whose(in)
	if err != nil {
		return nil, err
	}
	found, err := k.memory.Categories(ctx, of)
	if err != nil {
		return nil, err
	}
	out := &wire.MemoriesCategories{Categories: []wire.MemoryCategory{}}
	if len(found) > maxCategories { // as many as somebody likes to make
		slices.SortStableFunc(found, func(a, b claw.MemoryCategory) int { return cmp.Compare(b.Count, a.Count) })
		found, out.More = found[:maxCategories], len(found)-maxCategories
	}
	for _, c := range found {
		out.Categories = append(out.Categories, wire.MemoryCategory(c))
	}
	return out, nil
}

// maxCategories is how many fit into one answer for sure.
const maxCategories = 2000

// memoriesForget deletes what is named and nothing else.
func (k *keep) memoriesForget(ctx context.Context, in wire.MemoriesForget) (*wire.MemoriesForgotten, error) {
	found, err := k.named(ctx, in.Whose, in.IDs)
	if err != nil {
		return nil, err
	}
	owners := map[string][]int64{}
	for _, m := range found {
		if !in.Seen.IsZero() && m.Updated.After(in.Seen) {
			return nil, fmt.Errorf("memory #%d changed meanwhile; look again, nothing was deleted", m.ID)
		}
		owners[m.Owner] = append(owners[m.Owner], m.ID)
	}
	out := &wire.MemoriesForgotten{}
	for of, ids := range owners {
		// Before it happens, and which ones, never their words: what is forgotten must not stay in the log.
		if err := k.record(ctx, "memories.forgotten", map[string]any{"owner": of, "ids": ids, "by": "terminal"}); err != nil {
			return nil, fmt.Errorf("%d were deleted, and no more, for the audit log cannot be written: %w", out.Count, err)
		}
		n, err := k.memory.Forget(ctx, of, ids)
		out.Count += n
		if err != nil {
			return nil, fmt.Errorf("%d were deleted, then: %w", out.Count, err)
		}
	}
	return out, nil
}

// named returns the memories of these ids, all of them and each once, or says which one is not there.
func (k *keep) named(ctx context.Context, w wire.Whose, ids []int64) ([]claw.Memory, error) {
	of, err := whose(w)
	if err != nil {
		return nil, err
	}
	if len(ids) == 0 || len(ids) > wire.MaxMemories {
		return nil, fmt.Errorf("%d memories are named: want 1 to %d", len(ids), wire.MaxMemories)
	}
	ids = slices.Compact(slices.Sorted(slices.Values(ids)))
	found, err := k.memory.Memories(ctx, ids)
	if err != nil {
		return nil, err
	}
	at := map[int64]claw.Memory{}
	for _, m := range found {
		at[m.ID] = m
	}
	for _, id := range ids {
		m, ok := at[id]
		switch {
		case !ok:
			return nil, fmt.Errorf("there is no memory #%d", id)
		case of != "" && m.Owner != of:
			return nil, fmt.Errorf("memory #%d belongs to %s, not to %s", id, m.Owner, of)
		}
	}
	return found, nil
}

// memoryPage is what fits into one answer. found may have one more than limit.
func memoryPage(found []claw.Memory, limit int) *wire.MemoriesPage {
	page := &wire.MemoriesPage{Memories: []wire.Memory{}}
	size := 0
	for i, m := range found {
		shown := shownMemory(m)
		if size += weight(shown); i > 0 && (i >= limit || size > maxPage) {
			page.Below = found[i-1].ID
			break
		}
		page.Memories = append(page.Memories, shown)
	}
	return page
}

func shownMemory(m claw.Memory) wire.Memory {
	return wire.Memory{
		ID: m.ID, Owner: m.Owner, Category: m.Category, Content: m.Content, Tags: m.Tags, Author: m.Author, Source: m.Source,
		Session: string(m.Session), Label: shownLabel(m.Label), Created: m.Created, Updated: m.Updated, Used: m.Used, Uses: m.Uses,
	}
}

func shownLabel(l claw.Label) wire.Label {
	integrity, _ := l.Integrity.MarshalText() // neither ever fails
	privacy, _ := l.Privacy.MarshalText()
	return wire.Label{Integrity: string(integrity), Privacy: string(privacy), Sources: l.Sources}
}

// bounded is a number of a request: zero is the default.
func bounded(name string, n, byDefault, most int) (int, error) {
	if n < 0 || n > most {
		return 0, fmt.Errorf("%s %d: want 1 to %d", name, n, most)
	}
	return cmp.Or(n, byDefault), nil
}
