package memory_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/secureclaw/secureclaw/gateway/internal/claw"
	"github.com/secureclaw/secureclaw/gateway/internal/memory"
	"github.com/secureclaw/secureclaw/gateway/internal/sqlite"
)

var at = time.UnixMilli(1_710_000_000_000).UTC()

func stored(t *testing.T) *sqlite.DB {
	t.Helper()
	db, err := sqlite.Open(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return db
}

func remembering(t *testing.T, db *sqlite.DB) *memory.Memory {
	t.Helper()
	m, err := memory.New(memory.Options{Store: db, Now: func() time.Time { return at }, Owner: func(o claw.Origin) string { return o.User }})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.Close() })
	return m
}

// sentence has words of which some are in every memory and some in one of a hundred.
func sentence(r *rand.Rand, n int) string {
	words := make([]string, n)
	for i := range words {
		words[i] = fmt.Sprintf("word%c%c", 'a'+rune(r.IntN(1+r.IntN(20))), 'a'+rune(r.IntN(1+r.IntN(20))))
	}
	return strings.Join(words, " ")
}

func fill(t *testing.T, db *sqlite.DB, owner string, r *rand.Rand, n int) {
	t.Helper()
	var rows []memory.Row
	for i := range n {
		rows = append(rows, memory.RowOf(claw.Memory{Owner: owner, Category: []string{"note", "profile", "two words"}[i%3], Content: sentence(r, 3+r.IntN(12)),
			Tags: []string{"tag"}, Author: "import", Label: claw.UserLabel(), Created: at.Add(-time.Duration(n-i) * time.Hour)}))
	}
	if err := db.AddMemories(t.Context(), rows); err != nil {
		t.Fatal(err)
	}
}

// What is at hand finds what the store finds, whatever was saved, merged and forgotten meanwhile.
func TestAtHandIsAsStored(t *testing.T) {
	db, r := stored(t), rand.New(rand.NewPCG(3, 4))
	fill(t, db, "ada", r, 300)
	fill(t, db, "eve", r, 50)
	m := remembering(t, db)
	if _, err := m.Search(t.Context(), "ada", "worda", 1); err != nil || !m.Shelved("ada") {
		t.Fatalf("Search = %v; the memories are not at hand after it", err)
	}
	for i := range 48 {
		switch i % 6 {
		case 1:
			if _, err := m.Save(t.Context(), claw.Memory{Owner: "ada", Content: fmt.Sprintf("%s once%d", sentence(r, 6), i), Author: "user", Label: claw.UserLabel()}); err != nil {
				t.Fatal(err)
			}
		case 3: // the same again
			old, err := m.List(t.Context(), claw.MemoryQuery{Owner: "ada", Limit: 40})
			if err != nil {
				t.Fatal(err)
			}
			if saved, err := m.Save(t.Context(), claw.Memory{Owner: "ada", Content: old[r.IntN(40)].Content, Author: "user", Label: claw.UserLabel()}); err != nil || !saved.Merged {
				t.Fatalf("Save of what is there = %+v, %v", saved, err)
			}
		case 5:
			if _, err := m.Forget(t.Context(), "ada", []int64{1 + r.Int64N(300)}); err != nil {
				t.Fatal(err)
			}
			if m.Shelved("ada") {
				t.Error("what was forgotten is still at hand")
			}
		}
		query := sentence(r, 1+r.IntN(12))
		got, err := m.Search(t.Context(), "ada", query, 10)
		if err != nil {
			t.Fatal(err)
		}
		m.Shelved("ada")                                                      // the next one is looked for there
		want, err := remembering(t, db).Search(t.Context(), "ada", query, 10) // a new one has nothing at hand
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatalf("step %d: Search(%q), stored against at hand:\n%s", i, query, diff)
		}
	}
}

// Each of the two steps of a search gives the same from both, for all words and places.
func TestAShelfIsAsItsStore(t *testing.T) {
	db, r := stored(t), rand.New(rand.NewPCG(5, 6))
	fill(t, db, "ada", r, 700)
	m := remembering(t, db)
	if _, err := m.Search(t.Context(), "ada", "worda", 1); err != nil || !m.Shelved("ada") {
		t.Fatalf("Search = %v; the memories are not at hand after it", err)
	}
	scope, err := db.MemoryScope(t.Context(), "ada")
	if err != nil {
		t.Fatal(err)
	}
	shelf := m.Shelf("ada")
	for range 400 {
		terms := strings.Fields(sentence(r, 1+r.IntN(3)))
		from, limit := scope.First+r.Int64N(700), 1+r.IntN(60)
		want, err := db.MemoryPlaces(t.Context(), terms, false, from, scope.Last-20, limit)
		if err != nil {
			t.Fatal(err)
		}
		got, err := shelf.MemoryPlaces(t.Context(), terms, false, from, scope.Last-20, limit)
		if err != nil || !slices.Equal(got, want) {
			t.Fatalf("MemoryPlaces(%q, %d, %d) = %v, %v; want %v", terms, from, limit, got, err, want)
		}
		if len(want) == 0 {
			continue
		}
		wantLeads, err := db.MemoryLeads(t.Context(), want)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := shelf.MemoryLeads(t.Context(), want); err != nil || cmp.Diff(wantLeads, got) != "" {
			t.Fatalf("MemoryLeads(%v): %v\n%s", want, err, cmp.Diff(wantLeads, got))
		}
	}
}

// What was looked for ahead counts only if nothing was saved or forgotten since.
func TestForesightIsNotOld(t *testing.T) {
	db := stored(t)
	m := remembering(t, db)
	ada := claw.Origin{User: "ada"}
	save := func(text string) int64 {
		saved, err := m.Save(t.Context(), claw.Memory{Owner: "ada", Content: text, Author: "user", Label: claw.UserLabel()})
		if err != nil {
			t.Fatal(err)
		}
		return saved.Memory.ID
	}
	recalled := func(origin claw.Origin, text string) (ids []int64) {
		found, err := m.Recall(t.Context(), origin, text)
		if err != nil {
			t.Fatal(err)
		}
		for _, mem := range found {
			ids = append(ids, mem.ID)
		}
		return ids
	}
	first := save("the violin stands in the attic")
	for name, tc := range map[string]struct {
		meanwhile func() []int64
		origin    claw.Origin
	}{
		"nothing":          {func() []int64 { return []int64{first} }, ada},
		"somebody else":    {func() []int64 { return nil }, claw.Origin{User: "eve"}},
		"one more, gone":   {func() []int64 { id := save("a violin was sold to Grete"); mustForget(t, m, id); return []int64{first} }, ada},
		"one more, merged": {func() []int64 { return []int64{save("the violin stands in the attic")} }, ada},
	} {
		t.Run(name, func(t *testing.T) {
			m.Foresee(ada, "where is my violin")
			m.Shelved("ada")
			want := tc.meanwhile()
			if got := recalled(tc.origin, "where is my violin"); !slices.Equal(got, want) {
				t.Errorf("Recall = %v, want %v", got, want)
			}
		})
	}
	m.Foresee(ada, "where is my violin")
	m.Shelved("ada")
	mustForget(t, m, first)
	if got := recalled(ada, "where is my violin"); len(got) != 0 {
		t.Errorf("Recall = %v after all was forgotten", got)
	}
	m.Foresee(ada, "where is my violin")
	m.Shelved("ada")
	second := save("Grete has the violin")
	if got := recalled(ada, "where is my violin"); !slices.Equal(got, []int64{second}) {
		t.Errorf("Recall = %v, want what was saved meanwhile, %d", got, second)
	}
}

func mustForget(t *testing.T, m *memory.Memory, id int64) {
	t.Helper()
	if n, err := m.Forget(t.Context(), "ada", []int64{id}); err != nil || n != 1 {
		t.Fatalf("Forget(%d) = %d, %v", id, n, err)
	}
}

// Many look while there is saving and forgetting: nothing fails, and what is there is found.
func TestManyLookAtOnce(t *testing.T) {
	db, r := stored(t), rand.New(rand.NewPCG(7, 8))
	fill(t, db, "ada", r, 300)
	m := remembering(t, db)
	kept, err := m.Save(t.Context(), claw.Memory{Owner: "ada", Content: "the violin stands in the attic", Author: "user", Label: claw.UserLabel()})
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 40 {
				m.Foresee(claw.Origin{User: "ada"}, "my violin")
				found, err := m.Recall(t.Context(), claw.Origin{User: "ada"}, "my violin")
				if err != nil || !slices.ContainsFunc(found, func(f claw.Memory) bool { return f.ID == kept.Memory.ID }) {
					t.Errorf("Recall = %v, %v, without %d", found, err, kept.Memory.ID)
					return
				}
			}
		})
	}
	for i := range 20 {
		saved, err := m.Save(t.Context(), claw.Memory{Owner: "ada", Content: fmt.Sprint(sentence(r, 5), " once", i), Author: "user", Label: claw.UserLabel()})
		if err != nil {
			t.Fatal(err)
		}
		if i%4 == 0 {
			mustForget(t, m, saved.Memory.ID)
		}
	}
	wg.Wait()
}
