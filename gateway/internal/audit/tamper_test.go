package audit

import (
	"bytes"
	"crypto/ed25519"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/mod/sumdb/tlog"
)

// sample writes a closed log: three segments, eight checkpoints or so, 40 records.
func sample(t testing.TB) (dir string, key ed25519.PrivateKey) {
	dir = filepath.Join(t.TempDir(), "audit")
	for range 2 {
		l := opened(t, dir, Options{SegmentBytes: 3 << 10})
		for i := range 20 {
			appended(t, l, Record{Kind: KindMessage, Session: "s1", Fields: map[string]any{"text": "hello", "i": i}})
		}
		closed(t, l)
	}
	return dir, testKey()
}

// tampered copies the log in dir and lets f change the copy.
func tampered(t testing.TB, dir string, f func(dir string)) string {
	t.Helper()
	to := filepath.Join(t.TempDir(), "audit")
	if err := os.CopyFS(to, os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	f(to)
	return to
}

func lines(t testing.TB, name string) [][]byte {
	t.Helper()
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	list := bytes.SplitAfter(data, []byte("\n"))
	return list[:len(list)-1]
}

func writeLines(t testing.TB, name string, list [][]byte) {
	t.Helper()
	if err := os.WriteFile(name, bytes.Join(list, nil), 0o600); err != nil {
		t.Fatal(err)
	}
}

func found(t testing.TB, dir string, o VerifyOptions) *Damage {
	t.Helper()
	r, err := Verify(t.Context(), dir, testPub(), o)
	d, ok := errors.AsType[*Damage](err)
	if !ok {
		t.Fatalf("Verify = %+v, %v; want damage", r, err)
	}
	if r.Bad != d {
		t.Fatalf("Verify reports %v and returns %v", r.Bad, d)
	}
	return d
}

func TestEveryTamperingIsNamed(t *testing.T) {
	dir, _ := sample(t)
	verified(t, dir)
	last, err := listSegments(dir)
	if err != nil {
		t.Fatal(err)
	}
	seq := uint64(0)
	for n := 1; n <= last; n++ {
		name := segmentName(n)
		all := lines(t, filepath.Join(dir, name))
		for i, line := range all {
			seq++
			check := func(what string, wantLine int, wantSeq uint64, list [][]byte) {
				t.Helper()
				d := found(t, tampered(t, dir, func(dir string) { writeLines(t, filepath.Join(dir, name), list) }), VerifyOptions{})
				if d.Segment != name || d.Line != wantLine || wantSeq < d.Seq || wantSeq > d.Last {
					t.Errorf("%s line %d of %s: Verify = %v, want line %d, entry %d", what, i+1, name, d, wantLine, wantSeq)
				}
			}
			line = slices.Clone(line)
			for _, at := range []string{"time", "kind", "fields", "prev"} {
				edited := slices.Clone(all)
				edited[i] = flip(line, at)
				if at == "kind" && (bytes.Contains(line, []byte(`"kind":"audit.`))) {
					continue // another promise is broken first; covered below
				}
				check("edit "+at+" in", i+1, seq, edited)
			}
			edited := slices.Clone(all)
			edited[i] = bytes.Replace(line, []byte(`{"seq":`), []byte(`{"seq":9`), 1)
			check("edit the number in", i+1, seq, edited)
			check("repeat", i+2, seq+1, slices.Insert(slices.Clone(all), i, line))
			if i+1 < len(all) {
				swapped := slices.Clone(all)
				swapped[i], swapped[i+1] = all[i+1], all[i]
				check("swap", i+1, seq, swapped)
				check("delete", i+1, seq, slices.Delete(slices.Clone(all), i, i+1))
			} else if n == last {
				check("delete", i+1, seq, all[:i])
			}
			if n == last {
				check("cut off from", i+1, seq, all[:i])
			}
		}
	}
	if seq < 45 || last < 3 {
		t.Fatalf("the sample has %d entries in %d segments, too few to show anything", seq, last)
	}
}

// flip changes one letter or digit of a line, some way behind a member's name.
func flip(line []byte, member string) []byte {
	out := slices.Clone(line)
	at := bytes.LastIndex(out, []byte(`"`+member+`":`)) + len(member) + 4
	for ; ; at++ {
		switch c := out[at]; {
		case c >= '0' && c <= '8', c >= 'a' && c <= 'e':
			out[at]++
			return out
		case c == '9', c == 'f', c >= 'g' && c <= 'z':
			out[at]--
			return out
		}
	}
}

// rechained writes the chain anew from entry seq on, as somebody would who knows the format.
func rechained(t testing.TB, dir string, list [][]byte, from int) [][]byte {
	t.Helper()
	out := slices.Clone(list)
	for i := from; i < len(out); i++ {
		e, err := DecodeEntry(bytes.TrimSuffix(out[i], []byte("\n")))
		if err != nil {
			t.Fatal(err)
		}
		if i > 0 {
			h := tlog.RecordHash(bytes.TrimSuffix(out[i-1], []byte("\n")))
			e.Prev = fmt.Sprintf("%x", h[:])
		}
		out[i] = []byte(e.Line() + "\n")
	}
	return out
}

func TestForgeriesAreFound(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "audit")
	l := opened(t, dir, Options{})
	for i := range 600 {
		if err := l.Note(Record{Kind: KindMessage, Fields: map[string]int{"i": i}}); err != nil {
			t.Fatal(err)
		}
		if i%100 == 0 {
			appended(t, l, Record{Kind: KindModel})
		}
	}
	witness := l.Head()
	closed(t, l)
	seg := segmentName(1)
	all := lines(t, filepath.Join(dir, seg))
	_, foreign, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	secondLast := func(dir string) []head {
		hs, err := readHeads(dir)
		if err != nil || hs.bad != nil || len(hs.list) < 3 {
			t.Fatalf("readHeads = %+v, %v", hs, err)
		}
		return hs.list
	}(dir)
	keep := func(drop int) func(string) {
		return func(dir string) {
			var b strings.Builder
			for i, h := range secondLast {
				if i != drop {
					b.WriteString(h.text + "\n")
				}
			}
			if err := os.WriteFile(filepath.Join(dir, checkpointFile), []byte(b.String()), 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	segment := func(list [][]byte) func(string) {
		return func(dir string) { writeLines(t, filepath.Join(dir, seg), list) }
	}
	edited := slices.Clone(all)
	edited[300] = bytes.Replace(edited[300], []byte(`"i":`), []byte(`"i":7`), 1)
	prefix := int(secondLast[1].size)
	for name, tc := range map[string]struct {
		change  func(dir string)
		o       VerifyOptions
		seq     uint64
		because string
	}{
		"rewritten with a new chain": {segment(rechained(t, dir, edited, 301)), VerifyOptions{}, 301, "rewritten"},
		"chain and checkpoints cut to an older state, with a witness": {func(dir string) {
			segment(all[:secondLast[0].size])(dir)
			os.WriteFile(filepath.Join(dir, checkpointFile), []byte(secondLast[0].text+"\n"), 0o600)
		}, VerifyOptions{Witness: witness.Note}, secondLast[0].size + 1, "witness"},
		"first checkpoint removed":    {keep(0), VerifyOptions{}, secondLast[0].size, "removed"},
		"middle checkpoint removed":   {keep(1), VerifyOptions{}, secondLast[1].size, "removed"},
		"last checkpoint removed":     {keep(len(secondLast) - 1), VerifyOptions{}, secondLast[len(secondLast)-1].size, "missing"},
		"file of checkpoints removed": {func(dir string) { os.Remove(filepath.Join(dir, checkpointFile)) }, VerifyOptions{}, 2, "removed"},
		"tail without checkpoints, made anew": {func(dir string) {
			list := slices.Clone(all[:prefix])
			for i := range maxUnsigned + 5 {
				list = append(list, []byte(Entry{Seq: uint64(prefix + i + 1), Kind: "message", Fields: []byte("{}"), Prev: strings.Repeat("0", 64)}.Line()+"\n"))
			}
			segment(rechained(t, dir, list, prefix))(dir)
			var b strings.Builder
			for _, h := range secondLast[:2] {
				b.WriteString(h.text + "\n")
			}
			os.WriteFile(filepath.Join(dir, checkpointFile), []byte(b.String()), 0o600)
		}, VerifyOptions{}, uint64(prefix + 1), "no checkpoint"},
		"everything made anew with another key": {func(dir string) {
			os.RemoveAll(dir)
			l := opened(t, dir, Options{Key: foreign})
			appended(t, l, Record{Kind: KindMessage})
			closed(t, l)
		}, VerifyOptions{}, 2, "another key"},
		"cut inside the last line": {func(dir string) {
			name := filepath.Join(dir, seg)
			info, _ := os.Stat(name)
			os.Truncate(name, info.Size()-5)
		}, VerifyOptions{}, uint64(len(all)), "cut off"},
		"all segments removed": {func(dir string) { os.Remove(filepath.Join(dir, seg)) }, VerifyOptions{}, 1, "cut off"},
	} {
		t.Run(name, func(t *testing.T) {
			bad := tampered(t, dir, tc.change)
			d := found(t, bad, tc.o)
			if tc.seq < d.Seq || tc.seq > d.Last || !strings.Contains(d.Reason, tc.because) {
				t.Errorf("Verify = %v (entries %d to %d), want entry %d because %q", d, d.Seq, d.Last, tc.seq, tc.because)
			}
		})
	}
}

func TestMissingSegmentIsNamed(t *testing.T) {
	dir, _ := sample(t)
	next := firstAfter(dir, 1)
	bad := tampered(t, dir, func(dir string) { os.Remove(filepath.Join(dir, segmentName(2))) })
	if d := found(t, bad, VerifyOptions{}); d.Segment != segmentName(2) || d.Seq != next {
		t.Errorf("Verify without segment 2 = %v, want it named with entry %d", d, next)
	}
	if _, err := Open(bad, Options{Key: testKey()}); err == nil {
		t.Error("Open of a log without its segment 2 succeeded")
	}
}

func TestOpenRefusesWhatWasTampered(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "audit")
	l := opened(t, dir, Options{})
	for range 5 {
		appended(t, l, Record{Kind: KindMessage, Fields: map[string]string{"text": "hello"}})
	}
	closed(t, l)
	all := lines(t, filepath.Join(dir, segmentName(1)))
	for i := range all {
		bad := tampered(t, dir, func(dir string) {
			list := slices.Clone(all)
			list[i] = flip(list[i], "fields")
			writeLines(t, filepath.Join(dir, segmentName(1)), list)
		})
		_, err := Open(bad, Options{Key: testKey()})
		if d, ok := errors.AsType[*Damage](err); !ok || d.Line != i+1 || !strings.Contains(err.Error(), "mv "+bad) {
			t.Errorf("Open with line %d edited = %v, want damage there and how to put the log aside", i+1, err)
		}
	}
	_, other, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Open(dir, Options{Key: other}); err == nil || !strings.Contains(err.Error(), "another key") {
		t.Errorf("Open with another key = %v, want it refused", err)
	}
	opened(t, dir, Options{})
}

// Whoever has the key can make a log that fits in itself. A checkpoint kept elsewhere still shows it.
func TestWitnessSeesARewriteWithTheKey(t *testing.T) {
	var witness string
	for i, text := range []string{"what happened", "what did not"} {
		dir := filepath.Join(t.TempDir(), "audit")
		l := opened(t, dir, Options{})
		for range 5 + i {
			appended(t, l, Record{Kind: KindMessage, Fields: map[string]string{"text": text}})
		}
		closed(t, l)
		verified(t, dir)
		if i == 0 {
			witness = l.Head().Note
			if _, err := Verify(t.Context(), dir, testPub(), VerifyOptions{Witness: witness}); err != nil {
				t.Errorf("Verify with its own witness = %v", err)
			}
			continue
		}
		if d := found(t, dir, VerifyOptions{Witness: witness}); !strings.Contains(d.Reason, "witness") {
			t.Errorf("Verify = %v, want that the witness saw other entries", d)
		}
	}
}
