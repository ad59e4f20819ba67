package audit

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"golang.org/x/sys/unix"
)

// The test binary runs again as a writer that is killed, or whose disk is full.
func TestMain(m *testing.M) {
	switch dir := os.Getenv("AUDIT_DIR"); os.Getenv("AUDIT_AS") {
	case "writer":
		writeForever(dir)
	case "limited":
		signal.Ignore(unix.SIGXFSZ)
		if err := unix.Setrlimit(unix.RLIMIT_FSIZE, &unix.Rlimit{Cur: 64 << 10, Max: 64 << 10}); err != nil {
			fmt.Println(err)
			os.Exit(2)
		}
		if err := fillDisk(dir, unix.EFBIG); err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
	default:
		os.Exit(m.Run())
	}
}

// writeForever appends from several goroutines and prints each entry once it is acknowledged.
func writeForever(dir string) {
	l, err := Open(dir, Options{Key: testKey(), SegmentBytes: 64 << 10})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	for g := range 8 {
		go func() {
			for i := 0; ; i++ {
				call := fmt.Sprintf("%d-%d-%d", os.Getpid(), g, i)
				for _, kind := range []string{KindIntent, KindResult} {
					seq, err := l.Append(context.Background(), Record{Kind: kind, Call: call, Fields: map[string]string{"pad": strings.Repeat("x", i%700)}})
					if err != nil {
						fmt.Fprintln(os.Stderr, err)
						os.Exit(1)
					}
					os.Stdout.WriteString(fmt.Sprintf("%d %s %s\n", seq, kind, call))
				}
			}
		}()
	}
	select {}
}

func again(t *testing.T, as, dir string) *exec.Cmd {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), self)
	cmd.Env = append(os.Environ(), "AUDIT_AS="+as, "AUDIT_DIR="+dir)
	cmd.Stderr = os.Stderr
	return cmd
}

func TestKilledWriterLosesNothing(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "audit")
	acked := map[uint64]string{}
	recovered := 0
	for round := range 50 {
		cmd := again(t, "writer", dir)
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		in := bufio.NewScanner(out)
		stop := rand.IntN(400)
		for n := 0; in.Scan(); n++ {
			if n == stop {
				cmd.Process.Kill()
			}
			number, rest, ok := strings.Cut(in.Text(), " ")
			seq, err := strconv.ParseUint(number, 10, 64)
			if !ok || err != nil {
				continue // the last line may be cut by the kill
			}
			if was, ok := acked[seq]; ok {
				t.Fatalf("entry %d was acknowledged twice: %s and %s", seq, was, rest)
			}
			acked[seq] = rest
		}
		if err := cmd.Wait(); err == nil || !strings.Contains(err.Error(), "killed") {
			t.Fatalf("round %d: writer ended with %v, want it killed", round, err)
		}
	}
	l := opened(t, dir, Options{})
	doubt := map[string]bool{}
	for _, r := range l.InDoubt() {
		doubt[r.Call] = true
	}
	closed(t, l)
	open := map[string]bool{}
	for _, e := range entries(t, dir, Filter{}) {
		switch e.Kind {
		case KindIntent:
			open[e.Call] = true
		case KindResult:
			delete(open, e.Call)
		case KindRecovered:
			recovered++
		}
		if want, ok := acked[e.Seq]; ok {
			if got := e.Kind + " " + e.Call; got != want {
				t.Fatalf("entry %d = %s, acknowledged as %s", e.Seq, got, want)
			}
			delete(acked, e.Seq)
		}
	}
	if len(acked) > 0 {
		t.Errorf("%d acknowledged entries are not in the log", len(acked))
	}
	for call := range open {
		if !doubt[call] {
			t.Errorf("call %s has no result and is not in doubt", call)
		}
	}
	if len(doubt) != len(open) {
		t.Errorf("%d calls in doubt, want %d", len(doubt), len(open))
	}
	r := verified(t, dir)
	t.Logf("%d entries, %d segments, %d repairs, %d in doubt", r.Entries, r.Segments, recovered, len(doubt))
}

// A crash can leave any beginning of what was written since the last fsync. Every length must be
// recovered, and lose nothing that was whole.
func TestEveryCutIsRecovered(t *testing.T) {
	base := filepath.Join(t.TempDir(), "audit")
	l := opened(t, base, Options{})
	appended(t, l, Record{Kind: KindIntent, Call: "c"})
	before, err := os.ReadFile(filepath.Join(base, segmentName(1)))
	if err != nil {
		t.Fatal(err)
	}
	notes, err := os.ReadFile(filepath.Join(base, checkpointFile))
	if err != nil {
		t.Fatal(err)
	}
	closed(t, l)
	after, _ := os.ReadFile(filepath.Join(base, segmentName(1)))
	afterNotes, _ := os.ReadFile(filepath.Join(base, checkpointFile))
	try := func(segment, notes []byte) {
		t.Helper()
		dir := tampered(t, base, func(dir string) {
			os.WriteFile(filepath.Join(dir, segmentName(1)), segment, 0o600)
			os.WriteFile(filepath.Join(dir, checkpointFile), notes, 0o600)
		})
		l, err := Open(dir, Options{Key: testKey()})
		if err != nil {
			t.Fatalf("Open after a crash at byte %d, notes %d: %v", len(segment), len(notes), err)
		}
		if len(l.InDoubt()) != 1 {
			t.Errorf("crash at byte %d: %d in doubt, want 1", len(segment), len(l.InDoubt()))
		}
		closed(t, l)
		verified(t, dir)
	}
	for n := len(before); n <= len(after); n++ {
		try(after[:n], notes)
	}
	for n := len(notes); n <= len(afterNotes); n++ {
		try(after, afterNotes[:n])
	}
	// A cut is itself in the log.
	dir := tampered(t, base, func(dir string) {
		os.WriteFile(filepath.Join(dir, segmentName(1)), append(slices.Clone(after), `{"seq":5,"ti`...), 0o600)
	})
	closed(t, opened(t, dir, Options{}))
	got := entries(t, dir, Filter{Kind: KindRecovered})
	if len(got) != 1 || !strings.Contains(string(got[0].Fields), `"bytes":12`) {
		t.Errorf("after a cut: %+v, want one audit.recovered of 12 bytes", got)
	}
}

// A crash while a segment is begun leaves it empty or with a part of its first line.
func TestCutFirstLineOfASegment(t *testing.T) {
	base, _ := sample(t)
	last, _ := listSegments(base)
	for _, part := range []string{"", `{"seq":4`} {
		dir := tampered(t, base, func(dir string) {
			os.WriteFile(filepath.Join(dir, segmentName(last+1)), []byte(part), 0o600)
		})
		closed(t, opened(t, dir, Options{}))
		if r := verified(t, dir); r.Segments != last+1 {
			t.Errorf("after %q: %+v, want %d segments", part, r, last+1)
		}
	}
}

// fillDisk appends until the disk refuses, and checks that the log is then broken for good and
// still read. It returns what is wrong.
func fillDisk(dir string, want error) error {
	l, err := Open(dir, Options{Key: testKey()})
	if err != nil {
		return err
	}
	acked := uint64(0)
	for range 10_000 {
		var seq uint64
		if seq, err = l.Append(context.Background(), Record{Kind: KindMessage, Fields: map[string]string{"pad": strings.Repeat("x", 1000)}}); err != nil {
			break
		}
		acked = seq
	}
	if !errors.Is(err, ErrBroken) || !errors.Is(err, want) {
		return fmt.Errorf("Append on a full disk = %v, want ErrBroken and %v", err, want)
	}
	if _, err := l.Append(context.Background(), Record{Kind: KindMessage}); !errors.Is(err, ErrBroken) {
		return fmt.Errorf("Append after that = %v, want ErrBroken", err)
	}
	if err := l.Note(Record{Kind: KindMessage}); !errors.Is(err, ErrBroken) {
		return fmt.Errorf("Note after that = %v, want ErrBroken", err)
	}
	if !errors.Is(l.Err(), want) {
		return fmt.Errorf("Err = %v, want %v", l.Err(), want)
	}
	last := uint64(0)
	for e, err := range Query(context.Background(), dir, Filter{}) {
		if err != nil {
			return fmt.Errorf("Query of a broken log: %w", err)
		}
		last = e.Seq
	}
	if last < acked || acked == 0 {
		return fmt.Errorf("Query ends at entry %d, acknowledged were %d", last, acked)
	}
	if err := l.Close(); !errors.Is(err, ErrBroken) {
		return fmt.Errorf("Close = %v, want ErrBroken", err)
	}
	return nil
}

func TestFullDisk(t *testing.T) {
	dir := t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size=256k"); err != nil {
		t.Logf("no right to mount (%v): a limit on the size of files stands for the full disk", err)
		if out, err := again(t, "limited", dir).Output(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		return
	}
	defer unix.Unmount(dir, unix.MNT_DETACH)
	audit := filepath.Join(dir, "audit")
	if err := fillDisk(audit, unix.ENOSPC); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount("", dir, "", unix.MS_REMOUNT, "size=1m"); err != nil {
		t.Fatal(err)
	}
	closed(t, opened(t, audit, Options{}))
	verified(t, audit)
}

func TestFileSizeLimit(t *testing.T) {
	if out, err := again(t, "limited", filepath.Join(t.TempDir(), "audit")).Output(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
}

// faulty fails writes or syncs when it is told to, and counts what is asked of it afterwards.
type faulty struct {
	File
	write, sync *atomic.Bool
	after       *atomic.Int32
}

func (f faulty) Write(b []byte) (int, error) {
	if f.write.Load() {
		f.after.Add(1)
		n, _ := f.File.Write(b[:len(b)/2])
		return n, unix.EIO
	}
	return f.File.Write(b)
}

func (f faulty) Sync() error {
	if f.sync.Load() {
		f.after.Add(1)
		return unix.EIO
	}
	return f.File.Sync()
}

func TestInputOutputErrorBreaksTheLog(t *testing.T) {
	for name, pick := range map[string]func(w, s *atomic.Bool) *atomic.Bool{
		"write": func(w, _ *atomic.Bool) *atomic.Bool { return w },
		"fsync": func(_, s *atomic.Bool) *atomic.Bool { return s },
	} {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "audit")
			var w, s atomic.Bool
			var after atomic.Int32
			l := opened(t, dir, Options{OpenFile: func(name string, flag int, perm fs.FileMode) (File, error) {
				f, err := openFile(name, flag, perm)
				return faulty{f, &w, &s, &after}, err
			}})
			appended(t, l, Record{Kind: KindMessage})
			pick(&w, &s).Store(true)
			var wg sync.WaitGroup
			for range 10 {
				wg.Go(func() {
					if _, err := l.Append(t.Context(), Record{Kind: KindIntent, Call: "c"}); !errors.Is(err, ErrBroken) || !errors.Is(err, unix.EIO) {
						t.Errorf("Append = %v, want ErrBroken with EIO", err)
					}
				})
			}
			wg.Wait()
			pick(&w, &s).Store(false)
			if _, err := l.Append(t.Context(), Record{Kind: KindIntent, Call: "d"}); !errors.Is(err, ErrBroken) {
				t.Errorf("Append after the disk came back = %v, want ErrBroken", err)
			}
			if n := after.Load(); n != 1 {
				t.Errorf("the failed file was used %d times, want once", n)
			}
			if err := l.Close(); !errors.Is(err, ErrBroken) {
				t.Errorf("Close = %v, want ErrBroken", err)
			}
			if n := len(entries(t, dir, Filter{Kind: KindMessage})); n != 1 {
				t.Errorf("%d messages are read, want 1", n)
			}
			closed(t, opened(t, dir, Options{}))
			verified(t, dir)
		})
	}
}
