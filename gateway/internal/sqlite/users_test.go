package sqlite_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/pressly/goose/v3"

	"github.com/secureclaw/secureclaw/gateway/internal/claw"
	"github.com/secureclaw/secureclaw/gateway/internal/sqlite"
)

func session(id, channel, user string, created int64) claw.Session {
	return claw.Session{ID: claw.SessionID(id), Channel: claw.Channel(channel), User: user, Created: time.UnixMilli(created).UTC(), Label: claw.UserLabel()}
}

func create(t testing.TB, db *sqlite.DB, sessions ...claw.Session) {
	t.Helper()
	for _, s := range sessions {
		if fresh, err := db.CreateSession(t.Context(), s); err != nil || !fresh {
			t.Fatal(fresh, err)
		}
	}
}

func TestCurrentSession(t *testing.T) {
	dir := t.TempDir()
	db := open(t, dir)
	create(t, db, session("s1", "telegram", "7", 1), session("s2", "telegram", "7", 2), session("s3", "telegram", "8", 3), session("s4", "terminal", "7", 4))
	if got, ok, err := db.CurrentSession(t.Context(), "telegram", "7"); got != "" || ok || err != nil {
		t.Errorf("CurrentSession before one is set = %q, %v, %v", got, ok, err)
	}
	for _, tc := range []struct {
		set  claw.SessionID
		err  error
		want claw.SessionID
	}{
		{"s1", nil, "s1"}, {"s2", nil, "s2"},
		{"s3", sqlite.ErrNoSession, "s2"}, // of another user
		{"s4", sqlite.ErrNoSession, "s2"}, // of another channel
		{"s5", sqlite.ErrNoSession, "s2"},
	} {
		if err := db.SetCurrentSession(t.Context(), "telegram", "7", tc.set); !errors.Is(err, tc.err) {
			t.Errorf("SetCurrentSession(%s) = %v, want %v", tc.set, err, tc.err)
		}
		if got, ok, err := db.CurrentSession(t.Context(), "telegram", "7"); got != tc.want || !ok || err != nil {
			t.Errorf("CurrentSession = %q, %v, %v, want %q", got, ok, err, tc.want)
		}
	}
	if _, ok, err := db.CurrentSession(t.Context(), "telegram", "8"); ok || err != nil {
		t.Errorf("CurrentSession of another user = %v, %v, want none", ok, err)
	}
}

func TestSessionsOfAUser(t *testing.T) {
	db := open(t, t.TempDir())
	day := time.Now().Add(-24 * time.Hour).UnixMilli()
	create(t, db, session("old", "telegram", "7", day), session("silent", "telegram", "7", day+1000), session("other", "telegram", "8", day+2000),
		session("desk", "terminal", "7", day+3000), session("young", "telegram", "7", day+4000))
	for _, id := range []claw.SessionID{"old", "old", "other"} {
		if err := db.AppendTurn(t.Context(), id, claw.Turn{Role: claw.User, Text: "hi"}); err != nil {
			t.Fatal(err)
		}
	}
	old := session("old", "telegram", "7", day)
	old.Turns = 2
	want := []claw.Session{old, session("young", "telegram", "7", day+4000), session("silent", "telegram", "7", day+1000)}
	for _, limit := range []int{0, 2} {
		some := want
		if limit > 0 {
			some = want[:limit]
		}
		if got, err := db.SessionsOf(t.Context(), "telegram", "7", limit); err != nil || !cmp.Equal(got, some) {
			t.Errorf("SessionsOf(%d) = %v (-want +got):\n%s", limit, err, cmp.Diff(some, got))
		}
	}
	if got, ok, err := db.SessionByID(t.Context(), "old"); err != nil || !ok || !cmp.Equal(got, old) {
		t.Errorf("SessionByID = %+v, %v, %v", got, ok, err)
	}
	if got, ok, err := db.SessionByID(t.Context(), "no"); err != nil || ok || !cmp.Equal(got, claw.Session{}) {
		t.Errorf("SessionByID of none = %+v, %v, %v", got, ok, err)
	}
}

// A file that the first version left is brought up to date, with all that is in it.
func TestAFileOfTheFirstVersion(t *testing.T) {
	dir := t.TempDir()
	first, err := os.ReadFile("migrations/0001_start.sql")
	if err != nil {
		t.Fatal(err)
	}
	db := rawDB(t, dir)
	provider, err := goose.NewProvider(goose.DialectSQLite3, db, fstest.MapFS{"0001_start.sql": {Data: first}}, goose.WithDisableGlobalRegistry(true))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := provider.Up(context.Background()); err != nil {
		t.Fatal(err)
	}
	if _, err := db.Exec(`INSERT INTO sessions VALUES ('s1', 'telegram', '7', 'a', 1, '{"integrity":"user","privacy":"private"}')`); err != nil {
		t.Fatal(err)
	}
	if _, err := db.Exec(`INSERT INTO messages (channel, id, session, at, state, message_json)
		VALUES ('telegram', '1', 's1', 1, 'accepted', '{"id":"1","session":"s1","text":"hi","origin":{"channel":"telegram"},"label":{"integrity":"user","privacy":"private"},"at":"2026-01-01T00:00:00Z"}')`); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	if got := count(t, dir, `SELECT max(version_id) FROM goose_db_version`); got != 1 {
		t.Fatalf("the file is of version %d, want 1", got)
	}
	now := open(t, dir)
	item := text("7", "reply:1")
	if ok, err := now.AnsweredWith(t.Context(), "telegram", "1", "yes", &item, nil); err != nil || !ok {
		t.Errorf("AnsweredWith = %v, %v, want the old message answered", ok, err)
	}
	if err := now.SetCurrentSession(t.Context(), "telegram", "7", "s1"); err != nil {
		t.Error(err)
	}
	wantDue(t, now, "7:reply:1@0")
}

// A program that knows one version less than the file is refused, as a version far away is.
func TestTheNextVersionIsRefused(t *testing.T) {
	files, err := filepath.Glob("migrations/*.sql")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	db, err := sqlite.Open(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	raw(t, dir, `INSERT INTO goose_db_version (version_id, is_applied) VALUES (?, 1)`, len(files)+1)
	if db, err := sqlite.Open(t.Context(), dir); err == nil || !strings.Contains(err.Error(), "newer") {
		if err == nil {
			db.Close()
		}
		t.Errorf("Open = %v, want it refused", err)
	}
}
