package sqlite_test

import (
	"context"
	"database/sql"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/secureclaw/secureclaw/gateway/internal/claw"
	"github.com/secureclaw/secureclaw/gateway/internal/memory"
	"github.com/secureclaw/secureclaw/gateway/internal/sqlite"
)

// many is how many memories the benchmarks search.
const many = 100_000

// vocabulary draws words as people use them: the nth most common one 1/n as often as the first.
type vocabulary struct {
	words []string
	zipf  *rand.Zipf
	rand  *rand.Rand
}

func newVocabulary(seed uint64) *vocabulary {
	r := rand.New(rand.NewPCG(seed, 1))
	v := &vocabulary{rand: r, zipf: rand.NewZipf(r, 1.07, 2.7, 19_999)}
	seen := map[string]bool{}
	syllables := strings.Fields("ba ko ri ten mo la sur vi den pal gor ni fex tu ran dol mi shu ek ar pin lo wem cas tri")
	for len(v.words) < 20_000 {
		var w strings.Builder
		for range 1 + r.IntN(3) + len(v.words)/2000 {
			w.WriteString(syllables[r.IntN(len(syllables))])
			if w.Len() > 12 {
				break
			}
		}
		if word := w.String(); !seen[word] && !strings.HasSuffix(word, "s") {
			seen[word] = true
			v.words = append(v.words, word)
		}
	}
	return v
}

func (v *vocabulary) sentence(least, most int) string {
	out := make([]string, least+v.rand.IntN(most-least+1))
	for i := range out {
		out[i] = v.words[v.zipf.Uint64()]
	}
	return strings.Join(out, " ")
}

// filled is a store with that many memories of the owner, and a few of others.
func filled(tb testing.TB, n int) (*sqlite.DB, string) {
	tb.Helper()
	dir := tb.TempDir()
	db := open(tb, dir)
	v := newVocabulary(1)
	at := time.UnixMilli(1_700_000_000_000).UTC()
	const batch = 1000
	for done := 0; done < n; done += batch {
		rows := make([]memory.Row, 0, batch)
		for i := range min(batch, n-done) {
			mem := claw.Memory{Owner: claw.Owner, Category: "note", Content: v.sentence(8, 31), Author: "import", Source: "bench",
				Label: claw.UserLabel(), Created: at.Add(time.Duration(done+i) * time.Minute)}
			rows = append(rows, memory.RowOf(mem))
		}
		if err := db.AddMemories(context.Background(), rows); err != nil {
			tb.Fatal(err)
		}
	}
	return db, dir
}

func remembering(tb testing.TB, db *sqlite.DB) *memory.Memory {
	tb.Helper()
	m, err := memory.New(memory.Options{Store: db, Now: func() time.Time { return time.UnixMilli(1_710_000_000_000).UTC() },
		Owner: func(o claw.Origin) string {
			if o.Channel == "telegram" {
				return "telegram:" + o.User
			}
			return claw.Owner
		}})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { m.Close() })
	return m
}

// sizeOf is how many bytes the store has on disk.
func sizeOf(tb testing.TB, dir string) (size int64) {
	tb.Helper()
	for _, name := range []string{"state.db", "state.db-wal"} {
		info, err := os.Stat(filepath.Join(dir, name))
		if err != nil {
			tb.Fatal(err)
		}
		size += info.Size()
	}
	return size
}

// BenchmarkMemories measures what a turn waits for, with 100,000 memories.
func BenchmarkMemories(b *testing.B) {
	began := time.Now()
	db, dir := filled(b, many)
	rate := many / time.Since(began).Seconds()
	m := remembering(b, db)
	b.Run("five-words-of-one", func(b *testing.B) {
		r, asked, missed := rand.New(rand.NewPCG(5, 5)), 0, 0
		for b.Loop() {
			asked++
			missed += missedOf(b, db, m, 1, r)
		}
		b.ReportMetric(100*float64(missed)/float64(asked), "missed-%")
		b.ReportMetric(rate, "rows-inserted/s")
		b.ReportMetric(float64(sizeOf(b, dir))/1e6, "MB")
	})
	b.Run("recalled", func(b *testing.B) {
		r, v, asked, missed, shown := rand.New(rand.NewPCG(5, 5)), newVocabulary(3), 0, 0, 0
		for b.Loop() {
			id := 1 + r.Int64N(many)
			one, err := m.Memories(context.Background(), []int64{id})
			if err != nil || len(one) != 1 {
				b.Fatal(one, err)
			}
			words := strings.Fields(one[0].Content)
			r.Shuffle(len(words), func(i, j int) { words[i], words[j] = words[j], words[i] })
			found, err := m.Recall(context.Background(), claw.Origin{Channel: "terminal"}, v.sentence(7, 7)+" "+strings.Join(words[:6], " ")+" "+v.sentence(7, 7))
			if err != nil {
				b.Fatal(err)
			}
			asked, shown = asked+1, shown+len(found)
			if !slices.ContainsFunc(found, func(f claw.Memory) bool { return f.ID == id }) {
				missed++
			}
		}
		b.ReportMetric(100*float64(missed)/float64(asked), "missed-%")
		b.ReportMetric(float64(shown)/float64(asked), "recalled")
	})
	b.Run("save", func(b *testing.B) {
		v := newVocabulary(9)
		var ids []int64
		for b.Loop() {
			ids = append(ids, saved(b, m, claw.Owner, v.sentence(8, 31)))
		}
		b.StopTimer()
		at := time.Now()
		if n, err := m.Forget(context.Background(), claw.Owner, ids[:1]); err != nil || n != 1 {
			b.Fatal(n, err)
		}
		b.ReportMetric(float64(time.Since(at).Milliseconds()), "forget-ms")
	})
	plain := plainlyFilled(b, many)
	v := newVocabulary(2)
	pick := func(from, to int) string { return v.words[from+v.rand.IntN(to-from)] }
	for _, kind := range []struct {
		name  string
		query func() string
		do    func(string) error
	}{
		{"selective", func() string { return pick(5000, 15000) }, nil},
		{"two words", func() string { return pick(100, 1000) + " " + pick(100, 1000) }, nil},
		{"two common words", func() string { return pick(10, 100) + " " + pick(10, 100) }, nil},
		{"most common words", func() string { return strings.Join(v.words[:1+v.rand.IntN(6)], " ") }, nil},
		{"mixed", func() string { return pick(0, 20) + " " + pick(1000, 3000) }, nil},
		{"head of a word", func() string { w := pick(0, 15000); return w[:min(len(w), 3+v.rand.IntN(4))] }, nil},
		{"message of 20 words", func() string { return v.sentence(20, 20) }, func(q string) error {
			_, err := m.Recall(context.Background(), claw.Origin{Channel: "terminal"}, q)
			return err
		}},
		{"message of common words", func() string { return strings.Join(v.words[:20], " ") }, func(q string) error {
			_, err := m.Recall(context.Background(), claw.Origin{Channel: "terminal"}, q)
			return err
		}},
	} {
		b.Run(strings.ReplaceAll(kind.name, " ", "-"), func(b *testing.B) {
			do := kind.do
			if do == nil {
				do = func(q string) error {
					_, err := m.Search(context.Background(), claw.Owner, q, 10)
					return err
				}
			}
			// A busy machine makes everything late: what the thread itself worked says what the code costs.
			runtime.LockOSThread()
			defer runtime.UnlockOSThread()
			var took, worked, plainly []time.Duration
			for b.Loop() {
				q := kind.query()
				if len(plainly) < 50 { // by turns, for as long as it takes to know its slowest
					b.StopTimer()
					at := time.Now()
					plainSearch(b, plain, q)
					plainly = append(plainly, time.Since(at))
					b.StartTimer()
				}
				at, began := time.Now(), threadTime(b)
				if err := do(q); err != nil {
					b.Fatal(err)
				}
				took, worked = append(took, time.Since(at)), append(worked, threadTime(b)-began)
			}
			at := func(times []time.Duration, p float64) float64 {
				slices.Sort(times)
				return float64(times[min(len(times)-1, int(math.Ceil(p*float64(len(times)))))].Microseconds()) / 1000
			}
			b.ReportMetric(at(took, 0.5), "p50-ms")
			b.ReportMetric(at(took, 0.99), "p99-ms")
			b.ReportMetric(at(worked, 0.99), "p99-cpu-ms")
			b.ReportMetric(at(plainly, 0.5), "plain-p50-ms")
			b.ReportMetric(at(plainly, 0.99), "plain-p99-ms")
		})
	}
}

// plainlyFilled is the baseline: the same texts in a table of FTS5 as its documentation shows it.
func plainlyFilled(tb testing.TB, n int) *sql.DB {
	tb.Helper()
	db, err := sql.Open("sqlite", "file:"+filepath.Join(tb.TempDir(), "plain.db")+"?_pragma=journal_mode(WAL)")
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { db.Close() })
	if _, err := db.Exec(`CREATE VIRTUAL TABLE plain USING fts5(content)`); err != nil {
		tb.Fatal(err)
	}
	tx, err := db.Begin()
	if err != nil {
		tb.Fatal(err)
	}
	v := newVocabulary(1)
	for range n {
		if _, err := tx.Exec(`INSERT INTO plain (content) VALUES (?)`, v.sentence(8, 31)); err != nil {
			tb.Fatal(err)
		}
	}
	if err := tx.Commit(); err != nil {
		tb.Fatal(err)
	}
	return db
}

// plainSearch ranks everything that has one of the words.
func plainSearch(tb testing.TB, db *sql.DB, query string) {
	tb.Helper()
	words := strings.Fields(query)
	for i, w := range words {
		words[i] = `"` + w + `"`
	}
	rows, err := db.Query(`SELECT content FROM plain WHERE plain MATCH ? ORDER BY rank LIMIT 10`, strings.Join(words, " OR "))
	if err != nil {
		tb.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
	}
	if err := rows.Err(); err != nil {
		tb.Fatal(err)
	}
}

// threadTime is how long this thread has worked.
func threadTime(tb testing.TB) time.Duration {
	tb.Helper()
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &t); err != nil {
		tb.Fatal(err)
	}
	return time.Duration(t.Nano())
}

// missedOf draws memories, asks with five words of each, as a message would have them, and counts how
// often the memory is not among the first five.
func missedOf(tb testing.TB, db *sqlite.DB, m *memory.Memory, n int, r *rand.Rand) int {
	tb.Helper()
	scope, err := db.MemoryScope(context.Background(), claw.Owner)
	if err != nil {
		tb.Fatal(err)
	}
	missed := 0
	for range n {
		id := 1 + r.Int64N(int64(scope.Count))
		one, err := m.Memories(context.Background(), []int64{id})
		if err != nil || len(one) != 1 {
			tb.Fatal(one, err)
		}
		words := strings.Fields(one[0].Content)
		r.Shuffle(len(words), func(i, j int) { words[i], words[j] = words[j], words[i] })
		found, err := m.Search(context.Background(), claw.Owner, strings.Join(words[:5], " "), 5)
		if err != nil {
			tb.Fatal(err)
		}
		if !slices.ContainsFunc(found, func(f claw.Memory) bool { return f.ID == id }) {
			missed++
		}
	}
	return missed
}
