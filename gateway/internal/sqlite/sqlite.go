// Package sqlite keeps what must survive the power going off: approvals, conversations, accepted
// messages, the outbox and token counts. It is the only package with SQL in it; each owner's tables have one file.
//
// It promises that what a method returned from is on disk (WAL with synchronous=FULL), that one state
// directory has one gateway, and that the file is readable by its user alone. It refuses a directory
// that another gateway holds, a file that fails SQLite's quick check, a file from a newer version, and
// rows that do not decode strictly. The entry point is [Open].
package sqlite

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"time"

	"github.com/pressly/goose/v3"
	"golang.org/x/sys/unix"
	driver "modernc.org/sqlite" // registers itself as "sqlite"
	codes "modernc.org/sqlite/lib"
)

//go:embed migrations/*.sql
var migrations embed.FS

// readers is how many read at once.
const readers = 4

const (
	fileName = "state.db"
	lockName = "gateway.lock"
)

var (
	// ErrLocked is another gateway on the same state directory.
	ErrLocked = errors.New("another gateway uses this state directory")
	// ErrFull is a disk with no room left; nothing of the failed call was kept.
	ErrFull = errors.New("the disk is full")
	// ErrDamaged is a file that fails SQLite's own check.
	ErrDamaged = errors.New("the state file is damaged")
)

// DB is an open state directory. Its methods are safe for concurrent use: one writes at a time, many read.
type DB struct {
	write *sql.DB
	read  *sql.DB
	lock  *os.File

	memory memoryReads
	reads  statements
	writes statements
	// rewrites counts how often stored turns were changed, see [DB.Rewrites].
	rewrites atomic.Int64
}

// Open takes the state directory, which it creates with mode 0700 if it is missing, checks the file
// in it and brings its tables up to date. It fails with ErrLocked at once if another gateway holds
// the directory, and with ErrDamaged or ErrFull.
func Open(ctx context.Context, dir string) (*DB, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	lock, err := takeLock(filepath.Join(dir, lockName))
	if err != nil {
		return nil, err
	}
	db := &DB{lock: lock}
	if err := db.open(ctx, filepath.Join(dir, fileName)); err != nil {
		return nil, errors.Join(explain(err), db.Close())
	}
	return db, nil
}

// takeLock holds a lock on the file until it is closed or the process dies. The file itself stays:
// removing it would let two gateways lock two files of one name.
func takeLock(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		holder := make([]byte, 32)
		n, _ := f.Read(holder)
		f.Close()
		if !errors.Is(err, unix.EWOULDBLOCK) {
			return nil, fmt.Errorf("lock %s: %w", path, err)
		}
		return nil, fmt.Errorf("%w (%s, process %s); stop it, or use another --home", ErrLocked, filepath.Dir(path), strings.TrimSpace(string(holder[:n])))
	}
	// The number is a hint for people; the lock is what counts.
	if err := errors.Join(f.Truncate(0), writeAt(f, fmt.Sprintf("%d\n", os.Getpid()))); err != nil {
		f.Close()
		return nil, explain(err)
	}
	return f, nil
}

func writeAt(f *os.File, s string) error {
	_, err := f.WriteAt([]byte(s), 0)
	return err
}

func (db *DB) open(ctx context.Context, path string) error {
	// SQLite would create the file with the mode of the umask, and its WAL with that of the file.
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return err
	}
	if err := errors.Join(f.Chmod(0o600), f.Close()); err != nil {
		return err
	}
	// One writing handle: writers queue in Go, where they can be cancelled, not in busy loops on the file's lock.
	if db.write, err = sql.Open("sqlite", dsn(path, "rwc", "journal_mode(WAL)", "synchronous(FULL)", "secure_delete(1)", "foreign_keys(1)", "trusted_schema(0)")); err != nil {
		return err
	}
	db.write.SetMaxOpenConns(1)
	if err := check(ctx, db.write); err != nil {
		return err
	}
	if err := migrate(ctx, db.write); err != nil {
		return err
	}
	if db.read, err = sql.Open("sqlite", dsn(path, "ro", "query_only(1)", "trusted_schema(0)")); err != nil {
		return err
	}
	db.read.SetMaxOpenConns(readers)
	db.read.SetMaxIdleConns(readers) // a new one reads the schema and prepares everything again
	db.reads.of, db.writes.of = db.read, db.write
	db.memory, err = prepareMemoryReads(ctx, db.read)
	return err
}

func dsn(path, mode string, pragmas ...string) string {
	q := url.Values{"mode": {mode}, "_txlock": {"immediate"}, "_pragma": append([]string{"busy_timeout(5000)"}, pragmas...)}
	return (&url.URL{Scheme: "file", Opaque: (&url.URL{Path: path}).EscapedPath(), RawQuery: q.Encode()}).String()
}

// check looks at every page's structure; it reads the whole file once.
func check(ctx context.Context, db *sql.DB) error {
	var verdict string
	if err := db.QueryRowContext(ctx, "PRAGMA quick_check(1)").Scan(&verdict); err != nil {
		return err
	}
	if verdict != "ok" {
		return fmt.Errorf("%w: %s", ErrDamaged, verdict)
	}
	return nil
}

func migrate(ctx context.Context, db *sql.DB) error {
	files, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return err
	}
	provider, err := goose.NewProvider(goose.DialectSQLite3, db, files, goose.WithDisableGlobalRegistry(true))
	if err != nil {
		return err
	}
	current, target, err := provider.GetVersions(ctx)
	if err != nil {
		return err
	}
	if current > target {
		return fmt.Errorf("the state file is of version %d, and this program knows %d; use the newer program", current, target)
	}
	if current == target {
		return nil
	}
	_, err = provider.Up(ctx)
	return err
}

// Close lets go of the file and then of the directory.
func (db *DB) Close() error {
	var errs []error
	for _, handle := range []*sql.DB{db.read, db.write} {
		if handle != nil {
			errs = append(errs, handle.Close())
		}
	}
	if db.lock != nil {
		errs = append(errs, db.lock.Close())
	}
	return errors.Join(errs...)
}

// exec runs one writing statement and returns how many rows it changed.
func (db *DB) exec(ctx context.Context, statement string, args ...any) (int64, error) {
	s, err := db.writes.prepared(ctx, statement)
	if err != nil {
		return 0, explain(err)
	}
	result, err := s.ExecContext(ctx, args...)
	if err != nil {
		return 0, explain(err)
	}
	return result.RowsAffected()
}

// inTx runs the statements of do all together or not at all.
func (db *DB) inTx(ctx context.Context, do func(*sql.Tx) error) error {
	tx, err := db.write.BeginTx(ctx, nil)
	if err != nil {
		return explain(err)
	}
	if err := do(tx); err != nil {
		tx.Rollback() // says nothing that err does not
		return explain(err)
	}
	return explain(tx.Commit())
}

// explain gives a failure of the disk its name.
func explain(err error) error {
	if errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EDQUOT) {
		return fmt.Errorf("%w: %w", ErrFull, err)
	}
	switch code(err) & 0xff {
	case codes.SQLITE_FULL:
		return fmt.Errorf("%w: %w", ErrFull, err)
	case codes.SQLITE_CORRUPT, codes.SQLITE_NOTADB:
		return fmt.Errorf("%w: %w", ErrDamaged, err)
	default:
		return err
	}
}

// code is SQLite's extended result code, or zero for an error of another kind.
func code(err error) int {
	if e, ok := errors.AsType[*driver.Error](err); ok {
		return e.Code()
	}
	return 0
}

// millis is how times are stored; the zero time is NULL.
func millis(t time.Time) any {
	if t.IsZero() {
		return nil
	}
	return t.UnixMilli()
}

func fromMillis(ms sql.NullInt64) time.Time {
	if !ms.Valid {
		return time.Time{}
	}
	return time.UnixMilli(ms.Int64).UTC()
}
