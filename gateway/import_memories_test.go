package gateway

import (
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/secureclaw/secureclaw/gateway/internal/claw"
	"github.com/secureclaw/secureclaw/gateway/internal/memory"
	"github.com/secureclaw/secureclaw/gateway/internal/sqlite"
	"github.com/secureclaw/secureclaw/internal/strict"
	"github.com/secureclaw/secureclaw/internal/wire"
)

// Whatever a file says: without --trust what comes in is external and private, by an import, from that
// file, and still names every source that the file told of.
func TestNoImportMakesALabelBetter(t *testing.T) {
	now := time.Date(2026, 11, 23, 9, 0, 0, 0, time.UTC)
	rapid.Check(t, func(t *rapid.T) {
		word := rapid.SampledFrom([]string{"", "owner", "telegram:42", "telegram:0", "user", "model", "import", "terminal", "public", "private", "external", "owned", "x"})
		row := wire.Memory{
			Owner: word.Draw(t, "owner"), Author: word.Draw(t, "author"), Source: word.Draw(t, "source"), Session: word.Draw(t, "session"), Content: "x",
			Label: wire.Label{Integrity: word.Draw(t, "integrity"), Privacy: word.Draw(t, "privacy"), Sources: rapid.SliceOfN(word, 0, 40).Draw(t, "sources")},
		}
		in := wire.MemoriesImport{File: "f.jsonl", Trust: rapid.Bool().Draw(t, "trust"), Whose: wire.Whose{All: rapid.Bool().Draw(t, "all")}}
		if !in.All {
			in.Of = rapid.SampledFrom([]string{"", "owner", "telegram:7"}).Draw(t, "of")
		}
		of, err := whose(in.Whose)
		if err != nil {
			t.Fatal(err)
		}
		m, err := imported(row, in, of, now)
		if err != nil {
			return
		}
		switch {
		case in.All && m.Owner != row.Owner, !in.All && m.Owner != of, !person.MatchString(m.Owner):
			t.Fatalf("imported(%+v, %+v) belongs to %q", row, in, m.Owner)
		case in.Of == "" && !in.All && row.Owner != "" && row.Owner != claw.Owner:
			t.Fatalf("imported(%+v, %+v) took another's memory", row, in)
		}
		if in.Trust {
			if got := shownLabel(m.Label); row.Label.Integrity != "" && got.Integrity != row.Label.Integrity || row.Label.Privacy != "" && got.Privacy != row.Label.Privacy {
				t.Fatalf("imported(%+v, %+v) has the label %v", row, in, got)
			}
			if row.Label.Integrity == "" && m.Label.Integrity != claw.External || row.Label.Privacy == "" && m.Label.Privacy != claw.Private {
				t.Fatalf("imported(%+v, %+v) has a better label than the worst for none: %v", row, in, m.Label)
			}
			return
		}
		if m.Label.Integrity != claw.External || m.Label.Privacy != claw.Private || m.Author != "import" || m.Source != "import f.jsonl" || m.Session != "" {
			t.Fatalf("imported(%+v, %+v) = %+v, want it external, private, and of the import", row, in, m)
		}
		for _, s := range append(row.Label.Sources, "import f.jsonl") {
			if !slices.Contains(m.Label.Sources, s) && !slices.Contains(m.Label.Sources, claw.MoreSources) {
				t.Fatalf("imported(%+v, %+v) lost the source %q: %v", row, in, s, m.Label)
			}
		}
	})
}

func TestImportedRefuses(t *testing.T) {
	now := time.Date(2026, 11, 23, 9, 0, 0, 0, time.UTC)
	for name, tc := range map[string]struct {
		row  wire.Memory
		want string
	}{
		"a day that is not yet": {wire.Memory{Created: now.Add(48 * time.Hour)}, "created is 2026-11-25"},
		"uses below zero":       {wire.Memory{Uses: -1}, "uses"},
		"a long source":         {wire.Memory{Source: strings.Repeat("x", 301)}, "too long"},
		"a long label":          {wire.Memory{Label: wire.Label{Sources: []string{strings.Repeat("x", 301)}}}, "longer than 300"},
		"another letter case":   {wire.Memory{Label: wire.Label{Privacy: "Public"}}, "unknown privacy"},
	} {
		if _, err := imported(tc.row, wire.MemoriesImport{File: "f"}, claw.Owner, now); err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: imported(%+v) = %v, want %q in it", name, tc.row, err, tc.want)
		}
	}
}

// Days are those of the clock on the wall, also where it is changed, and come with the newest first.
func TestUsageByLocalDay(t *testing.T) {
	zone, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	at := func(text string, tokens int64) sqlite.UsageRow {
		moment, err := time.Parse(time.RFC3339, text)
		if err != nil {
			t.Fatal(err)
		}
		return sqlite.UsageRow{Name: "quarter", At: moment, Calls: 1, Usage: claw.Usage{Input: tokens}}
	}
	rows := usageRows([]sqlite.UsageRow{
		at("2026-10-24T21:45:00Z", 1), at("2026-10-24T22:00:00Z", 10), // 23:45 and 0:00 of the next day
		at("2026-10-25T22:45:00Z", 100), at("2026-10-25T23:00:00Z", 1000), // winter time by now
	}, true, zone)
	want := []wire.UsageRow{
		{Name: "2026-10-26", Calls: 1, Tokens: 1000, Usage: wire.Usage{Input: 1000}},
		{Name: "2026-10-25", Calls: 2, Tokens: 110, Usage: wire.Usage{Input: 110}},
		{Name: "2026-10-24", Calls: 1, Tokens: 1, Usage: wire.Usage{Input: 1}},
	}
	if diff := cmp.Diff(want, rows); diff != "" {
		t.Errorf("usage by day (-want +got)\n%s", diff)
	}
}

// Somebody made more categories than an answer holds: the largest are told, and how many others there are.
func TestManyCategories(t *testing.T) {
	db, err := sqlite.Open(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	var rows []memory.Row
	for i := range 6000 {
		rows = append(rows, memory.RowOf(claw.Memory{Owner: claw.Owner, Content: "x", Category: strings.Repeat("好", 25) + strconv.Itoa(i), Author: "model", Created: time.UnixMilli(1)}))
	}
	for range 3 {
		rows = append(rows, memory.RowOf(claw.Memory{Owner: claw.Owner, Content: "x", Category: "note", Author: "model", Created: time.UnixMilli(1)}))
	}
	if err := db.AddMemories(t.Context(), rows); err != nil {
		t.Fatal(err)
	}
	known, err := memory.New(memory.Options{Store: db, Owner: func(claw.Origin) string { return claw.Owner }, Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	defer known.Close()
	got, err := (&keep{memory: known}).memoriesCategories(t.Context(), wire.Whose{})
	if err != nil || len(got.Categories)+got.More != 6001 || got.More == 0 || got.Categories[0].Name != "note" {
		t.Fatalf("%d categories and %d more, %v, want 6001 in all, with the largest first", len(got.Categories), got.More, err)
	}
	data, err := strict.Encode(got)
	if err != nil || len(data) > maxPage {
		t.Errorf("the answer has %d bytes, %v, want at most %d", len(data), err, maxPage)
	}
}
