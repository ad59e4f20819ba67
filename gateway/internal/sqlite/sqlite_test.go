package sqlite_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/secureclaw/secureclaw/gateway/internal/claw"
	"github.com/secureclaw/secureclaw/gateway/internal/sqlite"
)

// The test binary runs again as a gateway that accepts messages until it is killed.
const underTest = "SQLITE_UNDER_TEST_DIR"

func TestMain(m *testing.M) {
	if dir := os.Getenv(underTest); dir != "" {
		if err := acceptForEver(dir); err != nil {
			fmt.Fprintln(os.Stderr, err)
		}
		os.Exit(1)
	}
	os.Exit(m.Run())
}

func open(t testing.TB, dir string) *sqlite.DB {
	t.Helper()
	db, err := sqlite.Open(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	return db
}

func message(id string) claw.Message {
	return claw.Message{ID: id, Session: "s1", Text: "hello", Origin: claw.Origin{Channel: "telegram", User: "7"}, Label: claw.UserLabel(), At: time.UnixMilli(1_700_000_000_000).UTC()}
}

func TestSecondGatewayExitsAndSaysWhy(t *testing.T) {
	dir := t.TempDir()
	first, err := sqlite.Open(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	_, err = sqlite.Open(t.Context(), dir)
	if !errors.Is(err, sqlite.ErrLocked) || !strings.Contains(err.Error(), fmt.Sprint(os.Getpid())) || !strings.Contains(err.Error(), dir) {
		t.Errorf("second Open = %v, want ErrLocked with the directory and the process", err)
	}
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	open(t, dir)
}

func TestFilesAreTheUsersAlone(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a", "state")
	old := syscall.Umask(0)
	defer syscall.Umask(old)
	db := open(t, dir)
	if _, err := db.AcceptMessage(t.Context(), message("1")); err != nil {
		t.Fatal(err)
	}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err == nil && info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s has mode %v, want nothing for others", path, info.Mode())
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestALinkInPlaceOfAFileIsRefused(t *testing.T) {
	for _, name := range []string{"state.db", "gateway.lock"} {
		dir, elsewhere := t.TempDir(), filepath.Join(t.TempDir(), "target")
		if err := os.Symlink(elsewhere, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
		if db, err := sqlite.Open(t.Context(), dir); err == nil {
			db.Close()
			t.Errorf("Open followed a link at %s", name)
		}
	}
}

func TestDamageIsNoticed(t *testing.T) {
	for name, damage := range map[string]func(f *os.File) error{
		"not a database": func(f *os.File) error { _, err := f.WriteAt([]byte("something else"), 0); return err },
		"a broken page":  func(f *os.File) error { _, err := f.WriteAt(make([]byte, 3*4096), 4096); return err },
		"cut":            func(f *os.File) error { return f.Truncate(2 * 4096) },
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			db, err := sqlite.Open(t.Context(), dir)
			if err != nil {
				t.Fatal(err)
			}
			if err := db.Close(); err != nil {
				t.Fatal(err)
			}
			f, err := os.OpenFile(filepath.Join(dir, "state.db"), os.O_RDWR, 0)
			if err != nil {
				t.Fatal(err)
			}
			if err := errors.Join(damage(f), f.Close()); err != nil {
				t.Fatal(err)
			}
			if db, err := sqlite.Open(t.Context(), dir); !errors.Is(err, sqlite.ErrDamaged) {
				if err == nil {
					db.Close()
				}
				t.Errorf("Open = %v, want ErrDamaged", err)
			}
			// The lock is free again: a repair must be possible.
			f, err = os.OpenFile(filepath.Join(dir, "gateway.lock"), os.O_RDWR, 0)
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
				t.Errorf("the lock is still held: %v", err)
			}
		})
	}
}

func TestAFileFromANewerProgramIsRefused(t *testing.T) {
	dir := t.TempDir()
	db, err := sqlite.Open(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	raw(t, dir, `INSERT INTO goose_db_version (version_id, is_applied) VALUES (9999, 1)`)
	if db, err := sqlite.Open(t.Context(), dir); err == nil || !strings.Contains(err.Error(), "9999") {
		if err == nil {
			db.Close()
		}
		t.Errorf("Open = %v, want it refused with the version", err)
	}
}

// raw changes the file behind the package's back.
func raw(t testing.TB, dir, statement string, args ...any) {
	t.Helper()
	db, err := sql.Open("sqlite", "file:"+filepath.Join(dir, "state.db")+"?_pragma=busy_timeout(5000)")
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.Exec(statement, args...); err != nil {
		t.Fatal(err)
	}
}

// A real file system with no room left: nothing of the failed write is kept, reads go on, and when
// there is room again, so do writes.
func TestAFullDiskIsSaid(t *testing.T) {
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=1m"); err != nil {
		t.Fatalf("this test mounts a small file system and needs the right to: %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, 0); err != nil {
			t.Error(err)
		}
	})
	db := open(t, dir)
	big := message("")
	big.Text = strings.Repeat("a", 20<<10)
	var err error
	accepted := 0
	for ; err == nil && accepted < 100; accepted++ {
		big.ID = fmt.Sprint(accepted)
		_, err = db.AcceptMessage(t.Context(), big)
	}
	accepted--
	if !errors.Is(err, sqlite.ErrFull) {
		t.Fatalf("AcceptMessage on a full disk = %v, want ErrFull", err)
	}
	got, err := db.Unanswered(t.Context())
	if err != nil || len(got) != accepted {
		t.Errorf("Unanswered = %d messages, %v, want the %d that were accepted", len(got), err, accepted)
	}
	if err := syscall.Mount("tmpfs", dir, "tmpfs", syscall.MS_REMOUNT, "size=8m"); err != nil {
		t.Fatal(err)
	}
	if fresh, err := db.AcceptMessage(t.Context(), big); err != nil || !fresh {
		t.Errorf("AcceptMessage with room again = %v, %v, want it new", fresh, err)
	}
}

func TestReadersSeeNothingHalfWritten(t *testing.T) {
	db := open(t, t.TempDir())
	if _, err := db.CreateSession(t.Context(), claw.Session{ID: "s1", Created: time.UnixMilli(1)}); err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	for writer := range 4 {
		all.Go(func() {
			for i := range 25 {
				if err := db.AppendTurn(t.Context(), "s1", claw.Turn{Role: claw.User, Text: fmt.Sprint(writer, " ", i)}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	for range 4 {
		all.Go(func() {
			for last := 0; last < 100; {
				turns, err := db.Turns(t.Context(), "s1", 0)
				if err != nil || len(turns) < last {
					t.Errorf("Turns = %d, %v after %d", len(turns), err, last)
					return
				}
				last = len(turns)
			}
		})
	}
	all.Wait()
}

func TestACancelledCallReturns(t *testing.T) {
	db := open(t, t.TempDir())
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := db.AcceptMessage(ctx, message("1")); !errors.Is(err, context.Canceled) {
		t.Errorf("AcceptMessage = %v, want it cancelled", err)
	}
	if got, err := db.Unanswered(t.Context()); err != nil || len(got) != 0 {
		t.Errorf("Unanswered = %+v, %v, want none", got, err)
	}
}

// acceptForEver prints the id of each message after it was accepted.
func acceptForEver(dir string) error {
	db, err := sqlite.Open(context.Background(), dir)
	if err != nil {
		return err
	}
	for i := 0; ; i++ {
		if _, err := db.AcceptMessage(context.Background(), message(fmt.Sprint(i))); err != nil {
			return err
		}
		fmt.Println(i)
	}
}

// What was accepted before a kill is there afterwards, and the lock of the dead is not.
func TestAcceptedSurvivesAKill(t *testing.T) {
	dir := t.TempDir()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), exe)
	cmd.Env = append(os.Environ(), underTest+"="+dir)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var last int
	for last < 50 {
		if _, err := fmt.Fscanln(out, &last); err != nil {
			t.Fatal(err)
		}
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	cmd.Wait() // reports the kill
	got, err := open(t, dir).Unanswered(t.Context())
	if err != nil || len(got) <= last {
		t.Errorf("Unanswered = %d messages, %v, want more than %d", len(got), err, last)
	}
	if diff := cmp.Diff(message("50"), got[50]); diff != "" {
		t.Errorf("message (-want +got):\n%s", diff)
	}
}
