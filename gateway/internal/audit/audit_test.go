package audit

import (
	"context"
	"crypto/ed25519"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/secureclaw/secureclaw/internal/strict"
)

func testKey() ed25519.PrivateKey {
	return ed25519.NewKeyFromSeed([]byte(strings.Repeat("k", ed25519.SeedSize)))
}

func testPub() ed25519.PublicKey { return testKey().Public().(ed25519.PublicKey) }

// opened opens dir and closes it with the test.
func opened(t testing.TB, dir string, o Options) *Log {
	t.Helper()
	if o.Key == nil {
		o.Key = testKey()
	}
	l, err := Open(dir, o)
	if err != nil {
		t.Fatalf("Open(%s): %v", dir, err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

func appended(t testing.TB, l *Log, r Record) uint64 {
	t.Helper()
	seq, err := l.Append(t.Context(), r)
	if err != nil {
		t.Fatalf("Append(%+v): %v", r, err)
	}
	return seq
}

func closed(t testing.TB, l *Log) {
	t.Helper()
	if err := l.Close(); err != nil {
		t.Fatalf("Close: %v", err)
	}
}

func verified(t testing.TB, dir string) Report {
	t.Helper()
	r, err := Verify(t.Context(), dir, testPub(), VerifyOptions{})
	if err != nil {
		t.Fatalf("Verify(%s) = %+v, %v; want no error", dir, r, err)
	}
	return r
}

func entries(t testing.TB, dir string, f Filter) []Entry {
	t.Helper()
	var out []Entry
	for e, err := range Query(t.Context(), dir, f) {
		if err != nil {
			t.Fatalf("Query(%+v): %v", f, err)
		}
		out = append(out, e)
	}
	return out
}

func seqs(list []Entry) []uint64 {
	out := []uint64{}
	for _, e := range list {
		out = append(out, e.Seq)
	}
	return out
}

func TestGoldenLines(t *testing.T) {
	dir := t.TempDir()
	at := time.Date(2026, 11, 22, 23, 1, 2, 3000, time.FixedZone("CET", 3600))
	l := opened(t, dir, Options{Now: func() time.Time { return at }})
	appended(t, l, Record{Kind: KindIntent, Session: "s1", Run: "r1", Call: "c1", Fields: map[string]any{"tool": "run_shell_command", "input": map[string]any{"command": "echo \x1b[31m \u202e \u200b ä \U000e0041\n"}}})
	appended(t, l, Record{Kind: KindResult, Session: "s1", Call: "c1", Fields: struct {
		Status string `json:"status"`
		Exit   int    `json:"exit"`
	}{"ok", 0}})
	closed(t, l)
	got, err := os.ReadFile(filepath.Join(dir, segmentName(1)))
	if err != nil {
		t.Fatal(err)
	}
	want, err := os.ReadFile("testdata/golden.jsonl")
	if os.Getenv("UPDATE_GOLDEN") != "" {
		if err := errors.Join(os.MkdirAll("testdata", 0o755), os.WriteFile("testdata/golden.jsonl", got, 0o644)); err != nil {
			t.Fatal(err)
		}
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("lines differ from testdata/golden.jsonl (-want +got):\n%s", diff)
	}
}

func TestWhatIsAppendedIsRead(t *testing.T) {
	dir := t.TempDir()
	l := opened(t, dir, Options{})
	seq := appended(t, l, Record{Kind: KindMessage, Session: "s", Run: "r", Fields: map[string]string{"text": "hello"}})
	if err := l.Note(Record{Kind: KindModel, Session: "s"}); err != nil {
		t.Fatal(err)
	}
	closed(t, l)
	got := entries(t, dir, Filter{Session: "s"})
	if len(got) != 2 || got[0].Seq != seq || got[0].Kind != KindMessage || got[0].Run != "r" || string(got[0].Fields) != `{"text":"hello"}` || string(got[1].Fields) != `{}` {
		t.Errorf("Query = %+v", got)
	}
	r := verified(t, dir)
	if r.Unsigned != 0 || r.Entries != 5 || r.Checkpoints != 2 || r.Head.Size != 5 {
		t.Errorf("Verify = %+v, want 5 entries, 2 checkpoints, all signed", r)
	}
	for _, name := range []string{segmentName(1), checkpointFile, keyFile, lockFile} {
		info, err := os.Stat(filepath.Join(dir, name))
		if err != nil || info.Mode() != 0o600 {
			t.Errorf("mode of %s = %v, %v; want 0600", name, info.Mode(), err)
		}
	}
}

func TestSecondWriterIsRefused(t *testing.T) {
	dir := t.TempDir()
	opened(t, dir, Options{})
	_, err := Open(dir, Options{Key: testKey()})
	if !errors.Is(err, ErrInUse) || !strings.Contains(err.Error(), "process ") {
		t.Errorf("second Open = %v, want ErrInUse and who holds it", err)
	}
}

func TestReopenContinues(t *testing.T) {
	dir := t.TempDir()
	for i := range 5 {
		l := opened(t, dir, Options{SegmentBytes: 700})
		for j := range 4 {
			appended(t, l, Record{Kind: KindMessage, Fields: map[string]int{"i": i, "j": j}})
		}
		closed(t, l)
	}
	got := entries(t, dir, Filter{Kind: KindMessage})
	if len(got) != 20 {
		t.Errorf("%d messages after five openings, want 20", len(got))
	}
	all := entries(t, dir, Filter{})
	for i, e := range all {
		if e.Seq != uint64(i+1) {
			t.Fatalf("entry %d has number %d", i+1, e.Seq)
		}
	}
	if r := verified(t, dir); r.Segments < 4 || r.Entries != uint64(len(all)) {
		t.Errorf("Verify = %+v, want at least 4 segments and %d entries", r, len(all))
	}
}

func TestInDoubtOverSegments(t *testing.T) {
	dir := t.TempDir()
	l := opened(t, dir, Options{SegmentBytes: 600})
	appended(t, l, Record{Kind: KindIntent, Session: "s", Run: "r", Call: "lost", Fields: map[string]string{"tool": "send_email"}})
	for range 10 {
		appended(t, l, Record{Kind: KindIntent, Call: "done"})
		appended(t, l, Record{Kind: KindResult, Call: "done"})
	}
	closed(t, l)
	l = opened(t, dir, Options{SegmentBytes: 600})
	want := []Record{{Kind: KindIntent, Session: "s", Run: "r", Call: "lost", Fields: strict.Value(`{"tool":"send_email"}`)}}
	if diff := cmp.Diff(want, l.InDoubt()); diff != "" {
		t.Errorf("InDoubt (-want +got):\n%s", diff)
	}
	appended(t, l, Record{Kind: KindResult, Call: "lost", Fields: map[string]string{"status": "unknown"}})
	closed(t, l)
	if got := opened(t, dir, Options{}).InDoubt(); len(got) != 0 {
		t.Errorf("InDoubt after the result = %+v, want none", got)
	}
	verified(t, dir)
}

func TestTailAndSubscribe(t *testing.T) {
	dir := t.TempDir()
	l := opened(t, dir, Options{SegmentBytes: 500})
	for range 20 {
		appended(t, l, Record{Kind: KindMessage})
	}
	all := entries(t, dir, Filter{})
	for _, n := range []int{0, 1, 3, 7, len(all), len(all) + 5} {
		var got []Entry
		for e, err := range Tail(t.Context(), dir, n, false) {
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, e)
		}
		want := all[max(0, len(all)-n):]
		if diff := cmp.Diff(seqs(want), seqs(got)); diff != "" {
			t.Errorf("Tail(%d) (-want +got):\n%s", n, diff)
		}
	}
	for _, after := range []uint64{0, 3, all[len(all)-1].Seq} {
		ctx, cancel := context.WithCancel(t.Context())
		sub := l.Subscribe(ctx, after)
		next := appended(t, l, Record{Kind: KindEgress})
		for want := after + 1; want <= next; want++ {
			if e := <-sub; e.Seq != want {
				t.Fatalf("Subscribe(%d) sent %d, want %d", after, e.Seq, want)
			}
		}
		cancel()
		for range sub {
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	told, late := false, 0
	for e, err := range Tail(ctx, dir, 1, true) {
		if err != nil {
			t.Fatal(err)
		}
		if !told {
			told = true
			appended(t, l, Record{Kind: KindMessage, Session: "late"})
			appended(t, l, Record{Kind: KindMessage, Session: "late"})
		}
		if e.Session == "late" {
			late++
		}
		if late == 2 {
			return
		}
	}
	t.Error("Tail ended before it sent both late entries")
}
