package sqlite_test

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"
	"github.com/pressly/goose/v3"

	"github.com/secureclaw/secureclaw/gateway/internal/claw"
	"github.com/secureclaw/secureclaw/gateway/internal/outbox"
	"github.com/secureclaw/secureclaw/gateway/internal/sqlite"
	"github.com/secureclaw/secureclaw/internal/wire"
)

func aMenu(user, key string) outbox.Item {
	return outbox.Item{Channel: "telegram", User: user, Key: key, Kind: wire.SendMenu, Menu: outbox.Menu{Name: "forget", State: `{"page":1}`, Version: 1}, At: noon}
}

func moveMenu(t *testing.T, db *sqlite.DB, seq, from int64, state string, want bool) {
	t.Helper()
	if moved, err := db.MoveMenu(t.Context(), seq, from, state); err != nil || moved != want {
		t.Fatalf("MoveMenu(%d, %d, %s) = %v, %v, want %v", seq, from, state, moved, err, want)
	}
}

// A menu is due until its newest version is shown, and again with the next one; its place in the queue is where it was.
func TestAMenuIsDueWithEachVersion(t *testing.T) {
	db := open(t, t.TempDir())
	put(t, db, aMenu("7", "menu"), text("7", "after"))
	item := next(t, db, "7")
	if diff := cmp.Diff(outbox.Menu{Name: "forget", State: `{"page":1}`, Version: 1}, item.Menu); diff != "" || item.Kind != wire.SendMenu {
		t.Errorf("%s (-want +got):\n%s", item.Kind, diff)
	}
	sent(t, db, "7", 0, 1, "m1", "1")
	wantDue(t, db, "7:after@0")
	moveMenu(t, db, item.Seq, 2, "{}", false) // not what is there
	wantDue(t, db, "7:after@0")
	moveMenu(t, db, item.Seq, 1, `{"page":2}`, true)
	moveMenu(t, db, item.Seq, 1, `{"page":3}`, false) // two taps at once: one of them
	if item = next(t, db, "7"); item.Menu.Version != 2 || item.Menu.State != `{"page":2}` || item.Part != 0 || !cmp.Equal(item.Shown, []string{"m1"}) || item.State != "1" {
		t.Errorf("due is %+v, want version 2 as an edit of m1", item)
	}
	// It moves while version 2 is under way.
	moveMenu(t, db, item.Seq, 2, "{}", true)
	sent(t, db, "7", 0, 1, "", "2")
	if item = next(t, db, "7"); item.Menu.Version != 3 || item.State != "2" {
		t.Errorf("due is %+v, want version 3", item)
	}
	sent(t, db, "7", 0, 1, "", "3")
	wantDue(t, db, "7:after@0")
	// A message of it turns up that nobody knew of.
	if err := db.AddShown(t.Context(), "telegram", "7", "menu", "m0"); err != nil {
		t.Fatal(err)
	}
	if item = next(t, db, "7"); !cmp.Equal(item.Shown, []string{"m1", "m0"}) {
		t.Errorf("due is %+v, want an edit of both", item)
	}
	sent(t, db, "7", 0, 1, "", "3")
	wantDue(t, db, "7:after@0")
	// One that was given up is due again when its user taps it.
	if err := db.ItemUnsent(t.Context(), item.Seq, noon, true, "blocked"); err != nil {
		t.Fatal(err)
	}
	moveMenu(t, db, item.Seq, 3, "{}", true)
	if item = next(t, db, "7"); item.Menu.Version != 4 {
		t.Errorf("due is %+v, want version 4", item)
	}
}

func TestItemBySeqIsItsUsers(t *testing.T) {
	db := open(t, t.TempDir())
	put(t, db, aMenu("7", "menu"))
	seq := next(t, db, "7").Seq
	for name, tc := range map[string]struct {
		channel, user string
		seq           int64
		want          bool
	}{
		"its user": {"telegram", "7", seq, true}, "another": {"telegram", "8", seq, false}, "another channel": {"signal", "7", seq, false}, "nothing": {"telegram", "7", seq + 1, false},
	} {
		if item, found, err := db.ItemBySeq(t.Context(), claw.Channel(tc.channel), tc.user, tc.seq); err != nil || found != tc.want || found && item.Key != "menu" {
			t.Errorf("%s: ItemBySeq = %+v, %v, %v", name, item, found, err)
		}
	}
}

func TestPutMenuRefuses(t *testing.T) {
	db := open(t, t.TempDir())
	for name, change := range map[string]func(*outbox.Item){
		"no name":            func(i *outbox.Item) { i.Menu.Name = "" },
		"no version":         func(i *outbox.Item) { i.Menu.Version = 0 },
		"words":              func(i *outbox.Item) { i.Text = "what it shows" },
		"too much state":     func(i *outbox.Item) { i.Menu.State = strings.Repeat("x", outbox.MaxState+1) },
		"a text with a menu": func(i *outbox.Item) { i.Kind, i.Text = wire.SendText, "x" },
	} {
		item := aMenu("7", "menu")
		change(&item)
		if fresh, err := db.PutItem(t.Context(), item, nil); err == nil || fresh {
			t.Errorf("%s: PutItem = %v, %v, want a refusal", name, fresh, err)
		}
	}
	put(t, db, aMenu("7", "menu"))
	if moved, err := db.MoveMenu(t.Context(), 1, 1, strings.Repeat("x", outbox.MaxState+1)); err == nil || moved {
		t.Errorf("MoveMenu with too much = %v, %v", moved, err)
	}
	put(t, db, text("7", "text"))
	moveMenu(t, db, 2, 0, "{}", false)
}

// A file of the version before menus keeps its items, their messages, bytes and numbers.
func TestTheOutboxMovesToANewTable(t *testing.T) {
	dir := t.TempDir()
	before := fstest.MapFS{}
	files, err := filepath.Glob("migrations/*.sql")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		if name := filepath.Base(file); name < "0008" {
			data, err := fs.ReadFile(os.DirFS("migrations"), name)
			if err != nil {
				t.Fatal(err)
			}
			before[name] = &fstest.MapFile{Data: data}
		}
	}
	old := rawDB(t, dir)
	provider, err := goose.NewProvider(goose.DialectSQLite3, old, before, goose.WithDisableGlobalRegistry(true))
	if err == nil {
		_, err = provider.Up(t.Context())
	}
	if err != nil {
		t.Fatal(err)
	}
	for _, statement := range []string{
		`INSERT INTO outbox (seq, channel, user, key, kind, priority, run, reply_to, text, approval, file_name, file_size, at, part, parts, tries) VALUES
			(3, 'telegram', '7', 'file', 'file', 1, 'r', '5', 'caption', '', 'a.txt', 5, 9, 1, 2, 4), (99, 'telegram', '7', 'gone', 'text', 1, '', '', 'x', '', NULL, NULL, 9, 0, 0, 0)`,
		`INSERT INTO outbox_pieces (seq, n, data) VALUES (3, 0, x'6279746573')`,
		`INSERT INTO outbox_refs (channel, user, ref, seq, n) VALUES ('telegram', '7', 'm1', 3, 1)`,
		`DELETE FROM outbox WHERE seq = 99`,
	} {
		if _, err := old.Exec(statement); err != nil {
			t.Fatalf("%s: %v", statement, err)
		}
	}
	if err := old.Close(); err != nil {
		t.Fatal(err)
	}
	db := open(t, dir)
	got := next(t, db, "7")
	want := outbox.Item{Seq: 3, Channel: "telegram", User: "7", Key: "file", Kind: wire.SendFile, Run: "r", ReplyTo: "5", Text: "caption",
		File: &wire.File{Name: "a.txt", Size: 5}, At: got.At, Part: 1, Shown: []string{"m1"}, Tries: 4}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("item (-want +got):\n%s", diff)
	}
	if data, err := db.ItemFile(t.Context(), 3, 0, 10); err != nil || string(data) != "bytes" {
		t.Errorf("ItemFile = %q, %v", data, err)
	}
	put(t, db, aMenu("8", "menu"))
	if seq := next(t, db, "8").Seq; seq != 100 {
		t.Errorf("the next item is %d, want 100: no number is given twice", seq)
	}
	// What refers to an item goes with it.
	raw(t, dir, `PRAGMA foreign_keys = 1; DELETE FROM outbox WHERE seq = 3`)
	if n := count(t, dir, `SELECT (SELECT count(*) FROM outbox_refs) + (SELECT count(*) FROM outbox_pieces)`); n != 0 {
		t.Errorf("%d rows are left of an item that is gone", n)
	}
	if text := fmt.Sprint(count(t, dir, `SELECT count(*) FROM pragma_foreign_key_check`)); text != "0" {
		t.Errorf("%s rows refer to nothing", text)
	}
}
