package sqlite_test

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/secureclaw/secureclaw/gateway/internal/claw"
	"github.com/secureclaw/secureclaw/gateway/internal/gate"
	"github.com/secureclaw/secureclaw/gateway/internal/outbox"
	"github.com/secureclaw/secureclaw/gateway/internal/sqlite"
	"github.com/secureclaw/secureclaw/internal/wire"
)

var noon = time.UnixMilli(1_700_000_000_000).UTC()

func text(user, key string) outbox.Item {
	return outbox.Item{Channel: "telegram", User: user, Key: key, Kind: wire.SendText, Text: "about " + key, At: noon}
}

func card(user string, n int) outbox.Item {
	return outbox.Item{Channel: "telegram", User: user, Key: "card:" + approval(n).ID, Kind: wire.SendCard, Approval: approval(n).ID, At: noon}
}

func put(t testing.TB, db *sqlite.DB, items ...outbox.Item) {
	t.Helper()
	for _, item := range items {
		if fresh, err := db.PutItem(t.Context(), item, nil); err != nil || !fresh {
			t.Fatalf("PutItem(%s) = %v, %v", item.Key, fresh, err)
		}
	}
}

func ask(t testing.TB, db *sqlite.DB, n int) {
	t.Helper()
	if err := db.Approvals().Insert(t.Context(), approval(n)); err != nil {
		t.Fatal(err)
	}
}

func move(t testing.TB, db *sqlite.DB, n int, from, to gate.State) {
	t.Helper()
	if won, err := db.Approvals().Move(t.Context(), approval(n).ID, from, to, gate.Change{At: noon}); err != nil || !won {
		t.Fatalf("Move(%d, %s, %s) = %v, %v", n, from, to, won, err)
	}
}

// due says "user:key@part" of all that is due, in the order of the users.
func due(t testing.TB, db *sqlite.DB, now time.Time) string {
	t.Helper()
	items, _, err := db.DueItems(t.Context(), "telegram", now)
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, i := range items {
		key := i.Key
		if i.Kind == wire.SendCard {
			key = fmt.Sprintf("card%s>%s", strings.TrimLeft(i.Approval, "0"), i.State)
		}
		out = append(out, fmt.Sprintf("%s:%s@%d", i.User, key, i.Part))
	}
	return strings.Join(out, " ")
}

func wantDue(t testing.TB, db *sqlite.DB, want string) {
	t.Helper()
	if got := due(t, db, noon); got != want {
		t.Errorf("due = %q, want %q", got, want)
	}
}

// next returns the one item that is due for a user.
func next(t testing.TB, db *sqlite.DB, user string) outbox.Item {
	t.Helper()
	items, _, err := db.DueItems(t.Context(), "telegram", noon)
	if err != nil {
		t.Fatal(err)
	}
	for _, i := range items {
		if i.User == user {
			return i
		}
	}
	t.Fatalf("nothing is due for %s", user)
	return outbox.Item{}
}

func sent(t testing.TB, db *sqlite.DB, user string, part, parts int, ref, state string) {
	t.Helper()
	item := next(t, db, user)
	if err := db.ItemSent(t.Context(), item.Seq, part, parts, ref, state, len(item.Shown)); err != nil {
		t.Fatal(err)
	}
}

func TestItemsComeBackAsTheyWere(t *testing.T) {
	dir := t.TempDir()
	db := open(t, dir)
	full := outbox.Item{Channel: "telegram", User: "7", Key: "file:c1", Kind: wire.SendFile, Run: "r1", ReplyTo: "55", Text: "**see**\x00\xff 🔐", At: noon,
		File: &wire.File{Name: "a.bin", Mime: "application/x", Size: 3, SHA256: "ab"}}
	if fresh, err := db.PutItem(t.Context(), full, []byte("abc")); err != nil || !fresh {
		t.Fatal(fresh, err)
	}
	again := full
	again.Text = "another text under a key that was taken"
	if fresh, err := db.PutItem(t.Context(), again, []byte("abc")); err != nil || fresh {
		t.Errorf("PutItem of a repetition = %v, %v, want false", fresh, err)
	}
	again.User = "8"
	if fresh, err := db.PutItem(t.Context(), again, []byte("abc")); err != nil || !fresh {
		t.Errorf("PutItem of the key for another user = %v, %v, want true", fresh, err)
	}
	got := next(t, db, "7")
	full.Seq = got.Seq
	if diff := cmp.Diff(full, got); diff != "" {
		t.Errorf("item (-want +got):\n%s", diff)
	}
}

func TestPutItemRefuses(t *testing.T) {
	db := open(t, t.TempDir())
	file := &wire.File{Name: "a", Size: 3}
	for name, tc := range map[string]struct {
		change func(*outbox.Item)
		file   []byte
	}{
		"no channel":             {func(i *outbox.Item) { i.Channel = "" }, nil},
		"no user":                {func(i *outbox.Item) { i.User = "" }, nil},
		"no key":                 {func(i *outbox.Item) { i.Key = "" }, nil},
		"no kind":                {func(i *outbox.Item) { i.Kind = "" }, nil},
		"another kind":           {func(i *outbox.Item) { i.Kind = "html" }, nil},
		"a card without":         {func(i *outbox.Item) { i.Kind = wire.SendCard }, nil},
		"a why without":          {func(i *outbox.Item) { i.Kind = wire.SendWhy }, nil},
		"a file without":         {func(i *outbox.Item) { i.Kind = wire.SendFile }, []byte("abc")},
		"a file of another size": {func(i *outbox.Item) { i.Kind, i.File = wire.SendFile, file }, []byte("ab")},
		"bytes for a text":       {func(i *outbox.Item) {}, []byte("abc")},
		"a file for a text":      {func(i *outbox.Item) { i.File = file }, nil},
		"too large":              {func(i *outbox.Item) { i.Kind, i.File = wire.SendFile, &wire.File{Size: wire.MaxFile + 1} }, make([]byte, wire.MaxFile+1)},
	} {
		item := text("7", "a")
		tc.change(&item)
		if fresh, err := db.PutItem(t.Context(), item, tc.file); err == nil || fresh {
			t.Errorf("%s: PutItem = %v, %v, want an error", name, fresh, err)
		}
	}
	wantDue(t, db, "")
}

func TestTextKeepsItsOrderAndItsParts(t *testing.T) {
	db := open(t, t.TempDir())
	put(t, db, text("7", "a"), text("8", "c"), text("7", "b"))
	wantDue(t, db, "7:a@0 8:c@0")
	sent(t, db, "7", 0, 3, "m1", "")
	wantDue(t, db, "7:a@1 8:c@0")
	// What was stored already, and what is not next, change nothing.
	seq := next(t, db, "7").Seq
	for _, part := range []int{0, 2} {
		if err := db.ItemSent(t.Context(), seq, part, 3, "", "", 0); err != nil {
			t.Fatal(err)
		}
	}
	wantDue(t, db, "7:a@1 8:c@0")
	sent(t, db, "7", 1, 3, "m2", "")
	if got := next(t, db, "7"); !cmp.Equal(got.Shown, []string{"m1", "m2"}) {
		t.Errorf("Shown = %q, want both, the oldest first", got.Shown)
	}
	sent(t, db, "7", 2, 3, "m3", "")
	wantDue(t, db, "7:b@0 8:c@0")
	sent(t, db, "7", 0, 1, "", "")
	wantDue(t, db, "8:c@0")
	if items, _, err := db.DueItems(t.Context(), "other", noon); err != nil || len(items) != 0 {
		t.Errorf("DueItems of another channel = %+v, %v", items, err)
	}
}

func TestCardsGoFirstAndTheirEditsAreOne(t *testing.T) {
	db := open(t, t.TempDir())
	ask(t, db, 1)
	ask(t, db, 2)
	put(t, db, text("7", "a"), card("7", 1))
	wantDue(t, db, "7:card1>@0")
	sent(t, db, "7", 0, 1, "m1", "pending")
	wantDue(t, db, "7:a@0")
	move(t, db, 1, gate.Pending, gate.Allowed)
	wantDue(t, db, "7:card1>pending@0")
	put(t, db, card("7", 2)) // a question goes before the edit of an old one
	wantDue(t, db, "7:card2>@0")
	sent(t, db, "7", 0, 1, "m2", "pending")
	sent(t, db, "7", 0, 1, "", "allowed")
	wantDue(t, db, "7:a@0")
	move(t, db, 1, gate.Allowed, gate.Started) // looks the same
	wantDue(t, db, "7:a@0")
	move(t, db, 1, gate.Started, gate.Done)
	move(t, db, 2, gate.Pending, gate.Denied)
	wantDue(t, db, "7:card1>allowed@0")
	// An older state was shown while the approval went on: it is still due.
	sent(t, db, "7", 0, 1, "", "started")
	wantDue(t, db, "7:card1>started@0")
	sent(t, db, "7", 0, 1, "", "done")
	wantDue(t, db, "7:card2>pending@0")
	why := text("7", "why")
	why.Kind, why.Approval = wire.SendWhy, approval(2).ID
	put(t, db, why)
	wantDue(t, db, "7:why@0") // as a new question
	sent(t, db, "7", 0, 1, "m3", "")
	sent(t, db, "7", 0, 1, "", "denied")
	wantDue(t, db, "7:a@0")
}

// A card of several parts is shown when the last one is; its edits count from 0 again.
func TestACardOfSeveralParts(t *testing.T) {
	db := open(t, t.TempDir())
	ask(t, db, 1)
	put(t, db, card("7", 1))
	sent(t, db, "7", 0, 2, "m1", "pending")
	wantDue(t, db, "7:card1>@1")
	sent(t, db, "7", 1, 2, "m2", "pending")
	wantDue(t, db, "")
	move(t, db, 1, gate.Pending, gate.Expired)
	wantDue(t, db, "7:card1>pending@0")
	sent(t, db, "7", 0, 2, "", "expired")
	wantDue(t, db, "")
}

// A bridge that says that a card shows the end of an approval which goes on cannot end the card.
func TestACardIsNotOverBeforeItsApproval(t *testing.T) {
	db := open(t, t.TempDir())
	ask(t, db, 1)
	put(t, db, card("7", 1))
	sent(t, db, "7", 0, 1, "m1", "denied")
	wantDue(t, db, "7:card1>denied@0")
}

func TestACardWithoutItsApprovalIsDue(t *testing.T) {
	db := open(t, t.TempDir())
	put(t, db, card("7", 1))
	wantDue(t, db, "7:card1>@0")
}

// A duplicate whose id was lost turns up when it is tapped: all messages of the card are edited again.
func TestALostDuplicateIsEditedToo(t *testing.T) {
	db := open(t, t.TempDir())
	ask(t, db, 1)
	put(t, db, card("7", 1))
	sent(t, db, "7", 0, 1, "m1", "pending")
	move(t, db, 1, gate.Pending, gate.Denied)
	sent(t, db, "7", 0, 1, "", "denied")
	wantDue(t, db, "")
	add := func(ref string) {
		t.Helper()
		if err := db.AddShown(t.Context(), "telegram", "7", card("7", 1).Key, ref); err != nil {
			t.Fatal(err)
		}
	}
	add("m1") // known
	add("")
	wantDue(t, db, "")
	add("m0")
	if got := next(t, db, "7"); got.State != "pending" || !cmp.Equal(got.Shown, []string{"m1", "m0"}) {
		t.Errorf("item = %+v, want it to show pending in both messages", got)
	}
	sent(t, db, "7", 0, 1, "", "denied")
	wantDue(t, db, "")
	for i := range 200 { // a bridge that makes them up
		add(fmt.Sprint("x", i))
	}
	if got := next(t, db, "7"); len(got.Shown) != 64 {
		t.Errorf("%d messages are kept, want 64", len(got.Shown))
	}
	if err := db.AddShown(t.Context(), "telegram", "8", card("7", 1).Key, "m9"); !errors.Is(err, sqlite.ErrNoItem) {
		t.Errorf("AddShown for another user = %v, want ErrNoItem", err)
	}
}

func TestItemByRef(t *testing.T) {
	db := open(t, t.TempDir())
	put(t, db, text("7", "a"), text("7", "b"), text("8", "c"))
	sent(t, db, "7", 0, 1, "m1", "")
	sent(t, db, "8", 0, 1, "m2", "")
	for name, tc := range map[string]struct {
		channel   claw.Channel
		user, ref string
		want      string
	}{
		"his":               {"telegram", "7", "m1", "a"},
		"another user's":    {"telegram", "7", "m2", ""},
		"another channel's": {"other", "7", "m1", ""},
		"nobody's":          {"telegram", "7", "m3", ""},
	} {
		if got, ok, err := db.ItemByRef(t.Context(), tc.channel, tc.user, tc.ref); err != nil || ok != (tc.want != "") || got.Key != tc.want {
			t.Errorf("%s: ItemByRef = %q, %v, %v, want %q", name, got.Key, ok, err, tc.want)
		}
	}
	// A new bot counts its messages anew.
	sent(t, db, "7", 0, 1, "m1", "")
	if got, _, err := db.ItemByRef(t.Context(), "telegram", "7", "m1"); err != nil || got.Key != "b" {
		t.Errorf("ItemByRef = %q, %v, want the youngest", got.Key, err)
	}
}

func TestHoldsAreKeptForEachUser(t *testing.T) {
	dir := t.TempDir()
	db, err := sqlite.Open(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	ask(t, db, 1)
	put(t, db, text("7", "a"), text("8", "b"), text("9", "c"))
	for user, wait := range map[string]time.Duration{"7": time.Minute, "9": time.Second} {
		if err := db.ItemUnsent(t.Context(), next(t, db, user).Seq, noon.Add(wait), false, "429"); err != nil {
			t.Fatal(err)
		}
	}
	put(t, db, card("7", 1)) // waits too
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	db = open(t, dir)
	for _, tc := range []struct {
		after time.Duration
		want  string
		next  time.Duration // zero for none
	}{
		{0, "8:b@0", time.Second},
		{time.Second - time.Millisecond, "8:b@0", time.Second},
		{time.Second, "8:b@0 9:c@0", time.Minute},
		{time.Minute, "7:card1>@0 8:b@0 9:c@0", 0},
		{-2 * time.Hour, "7:card1>@0 8:b@0 9:c@0", 0}, // the clock was set back
	} {
		_, got, err := db.DueItems(t.Context(), "telegram", noon.Add(tc.after))
		want := noon.Add(tc.next)
		if tc.next == 0 {
			want = time.Time{}
		}
		if keys := due(t, db, noon.Add(tc.after)); err != nil || keys != tc.want || !got.Equal(want) {
			t.Errorf("after %v: due = %q, next %v, %v, want %q, %v", tc.after, keys, got, err, tc.want, want)
		}
	}
	if items, _, err := db.DueItems(t.Context(), "telegram", noon.Add(time.Hour)); err != nil || items[2].Tries != 1 {
		t.Errorf("items = %+v, %v, want one try of the last", items, err)
	}
}

// A hold of a user with nothing to show wakes nobody.
func TestAHoldWithoutItemsIsNoReasonToWake(t *testing.T) {
	db := open(t, t.TempDir())
	put(t, db, text("7", "a"))
	if err := db.ItemUnsent(t.Context(), next(t, db, "7").Seq, noon.Add(time.Minute), true, "blocked"); err != nil {
		t.Fatal(err)
	}
	if items, next, err := db.DueItems(t.Context(), "telegram", noon); err != nil || len(items) != 0 || !next.IsZero() {
		t.Errorf("DueItems = %+v, %v, %v, want nothing", items, next, err)
	}
}

func TestWhatIsGivenUpComesNoMore(t *testing.T) {
	db := open(t, t.TempDir())
	ask(t, db, 1)
	put(t, db, text("7", "a"), card("7", 1))
	for range 2 {
		if err := db.ItemUnsent(t.Context(), next(t, db, "7").Seq, time.Time{}, true, "blocked"); err != nil {
			t.Fatal(err)
		}
	}
	move(t, db, 1, gate.Pending, gate.Denied)
	if err := db.AddShown(t.Context(), "telegram", "7", card("7", 1).Key, "m1"); err != nil {
		t.Fatal(err)
	}
	wantDue(t, db, "")
}

func TestFilesAreReadInPiecesAndForgottenWhenShown(t *testing.T) {
	dir := t.TempDir()
	db := open(t, dir)
	want := bytes.Repeat([]byte("0123456789abcdef\x00"), (wire.MaxChunk*5/2)/17)
	item := text("7", "f")
	item.Kind, item.File = wire.SendFile, &wire.File{Name: "f", Size: int64(len(want))}
	if _, err := db.PutItem(t.Context(), item, want); err != nil {
		t.Fatal(err)
	}
	seq := next(t, db, "7").Seq
	for _, limit := range []int{wire.MaxChunk, 100_003} {
		var got []byte
		for {
			data, err := db.ItemFile(t.Context(), seq, int64(len(got)), limit)
			if err != nil || len(data) > limit {
				t.Fatalf("ItemFile = %d bytes, %v", len(data), err)
			}
			if len(data) == 0 {
				break
			}
			got = append(got, data...)
		}
		if !bytes.Equal(got, want) {
			t.Errorf("in pieces of %d the file comes back as other %d bytes", limit, len(got))
		}
	}
	for _, at := range []int64{-1, int64(len(want)), 1 << 62} {
		if data, err := db.ItemFile(t.Context(), seq, at, 10); err != nil || len(data) != 0 {
			t.Errorf("ItemFile at %d = %d bytes, %v, want none", at, len(data), err)
		}
	}
	if err := db.ItemUnsent(t.Context(), seq, noon, false, "try again"); err != nil {
		t.Fatal(err)
	}
	if got := count(t, dir, `SELECT count(*) FROM outbox_pieces`); got != 3 {
		t.Errorf("%d pieces before it is shown, want 3", got)
	}
	sent(t, db, "7", 0, 1, "m1", "")
	if got := count(t, dir, `SELECT count(*) FROM outbox_pieces`); got != 0 {
		t.Errorf("%d pieces after it is shown, want none", got)
	}
}

func TestBubbles(t *testing.T) {
	db := open(t, t.TempDir())
	want := func(ref string) {
		t.Helper()
		if got, err := db.Bubble(t.Context(), "r1"); err != nil || got != ref {
			t.Errorf("Bubble = %q, %v, want %q", got, err, ref)
		}
	}
	want("")
	for _, tc := range []struct{ user, ref, want string }{{"7", "m1", "m1"}, {"7", "m2", "m2"}, {"8", "m3", "m2"}} {
		if err := db.SetBubble(t.Context(), "telegram", tc.user, "r1", tc.ref); err != nil {
			t.Fatal(err)
		}
		want(tc.want)
	}
	if err := db.PruneItems(t.Context(), time.Now().Add(-time.Hour)); err != nil {
		t.Fatal(err)
	}
	want("m2")
	if err := db.PruneItems(t.Context(), time.Now().Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	want("")
}

func TestPruneForgetsNothingThatIsStillToBeShown(t *testing.T) {
	dir := t.TempDir()
	db := open(t, dir)
	ask(t, db, 1)
	fill(t, dir, 2499)
	raw(t, dir, `UPDATE outbox SET ended = ?`, time.Now().UnixMilli())
	put(t, db, text("8", "shown"))
	sent(t, db, "8", 0, 1, "m2", "")
	reply := text("7", "reply")
	reply.Run = "r1"
	put(t, db, card("7", 1), reply, text("9", "blocked"))
	if err := db.SetBubble(t.Context(), "telegram", "7", "r1", "m1"); err != nil {
		t.Fatal(err)
	}
	sent(t, db, "7", 0, 1, "m1", "pending")
	if err := db.ItemUnsent(t.Context(), next(t, db, "9").Seq, time.Time{}, true, "blocked"); err != nil {
		t.Fatal(err)
	}
	if err := db.PruneItems(t.Context(), time.Now().Add(-time.Hour)); err != nil {
		t.Fatal(err)
	}
	if got := count(t, dir, `SELECT count(*) FROM outbox`); got != 2503 {
		t.Errorf("%d items after pruning what is older than all, want 2503", got)
	}
	if err := db.PruneItems(t.Context(), time.Now().Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	if got := count(t, dir, `SELECT count(*) FROM outbox`); got != 2 {
		t.Errorf("%d items, want the card and the reply", got)
	}
	if got := count(t, dir, `SELECT count(*) FROM outbox_refs`); got != 1 {
		t.Errorf("%d messages, want the card's", got)
	}
	if got, err := db.Bubble(t.Context(), "r1"); err != nil || got != "m1" {
		t.Errorf("Bubble = %q, %v, want it kept for the reply", got, err)
	}
	move(t, db, 1, gate.Pending, gate.Expired)
	wantDue(t, db, "7:card1>pending@0")
	// Numbers are never given twice.
	put(t, db, text("9", "new"))
	if got := next(t, db, "9").Seq; got != 2504 {
		t.Errorf("seq = %d, want 2504", got)
	}
}

func count(t testing.TB, dir, query string) (n int) {
	t.Helper()
	db := rawDB(t, dir)
	defer db.Close()
	if err := db.QueryRow(query).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

func rawDB(t testing.TB, dir string) *sql.DB {
	t.Helper()
	db, err := sql.Open("sqlite", "file:"+filepath.Join(dir, "state.db")+"?_pragma=busy_timeout(5000)")
	if err != nil {
		t.Fatal(err)
	}
	return db
}

// fill adds items that were shown, as a long life leaves them.
func fill(t testing.TB, dir string, n int) {
	t.Helper()
	raw(t, dir, `WITH RECURSIVE i (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM i WHERE n < ?)
		INSERT INTO outbox (channel, user, key, kind, priority, run, reply_to, text, approval, state, part, parts, at, ended)
		SELECT 'telegram', 7 + n % 3, 'old:' || n, 'text', 1, '', '', 'an old text', '', 'sent', 1, 1, n, n FROM i`, n)
}

// However much was shown, what is due is found through indexes alone.
func TestDueItemsNeverWalksOverTheOutbox(t *testing.T) {
	dir := t.TempDir()
	db := open(t, dir)
	fill(t, dir, 100_000)
	ask(t, db, 1)
	put(t, db, text("7", "a"), card("8", 1))
	rawdb := rawDB(t, dir)
	defer rawdb.Close()
	rows, err := rawdb.Query(`EXPLAIN QUERY PLAN `+sqlite.DueQuery, "telegram", 1, 1)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	searches, plan := 0, ""
	for rows.Next() {
		var id, parent, unused int
		var detail string
		if err := rows.Scan(&id, &parent, &unused, &detail); err != nil {
			t.Fatal(err)
		}
		plan += detail + "\n"
		// The other names are of the users and of the messages that show one item.
		if word := strings.Fields(detail); (word[0] == "SCAN" || word[0] == "SEARCH") && strings.Contains(" outbox o a h ", " "+word[1]+" ") {
			searches++
			few := strings.Contains(detail, "INDEX outbox_due ") || strings.Contains(detail, "INTEGER PRIMARY KEY (rowid=?)") || word[1] == "a" || word[1] == "h"
			if word[0] == "SCAN" || !few {
				t.Errorf("the plan has %q", detail)
			}
		}
	}
	if err := rows.Err(); err != nil || searches < 7 {
		t.Errorf("%v, the plan has %d searches, want them all:\n%s", err, searches, plan)
	}
	t.Logf("plan:\n%s", plan)
	wantDue(t, db, "7:a@0 8:card1>@0")
}

func TestAnsweredWithIsAllOrNothing(t *testing.T) {
	dir := t.TempDir()
	db := open(t, dir)
	for _, id := range []string{"1", "2", "3"} {
		if _, err := db.AcceptMessage(t.Context(), message(id)); err != nil {
			t.Fatal(err)
		}
	}
	first, second := text("7", "reply:1"), text("7", "reply:1 again")
	if ok, err := db.AnsweredWith(t.Context(), "telegram", "1", "yes", &first, nil); err != nil || !ok {
		t.Errorf("AnsweredWith = %v, %v, want it the first", ok, err)
	}
	if ok, err := db.AnsweredWith(t.Context(), "telegram", "1", "no", &second, nil); err != nil || ok {
		t.Errorf("second AnsweredWith = %v, %v, want false", ok, err)
	}
	if ok, err := db.AnsweredWith(t.Context(), "telegram", "unknown", "no", &second, nil); err != nil || ok {
		t.Errorf("AnsweredWith of no message = %v, %v, want false", ok, err)
	}
	if ok, err := db.AnsweredWith(t.Context(), "telegram", "2", "yes", nil, nil); err != nil || !ok {
		t.Errorf("AnsweredWith nothing to show = %v, %v, want it the first", ok, err)
	}
	// What cannot be put leaves the message unanswered.
	if ok, err := db.AnsweredWith(t.Context(), "telegram", "3", "yes", &outbox.Item{}, nil); err == nil || ok {
		t.Errorf("AnsweredWith an item that nobody could show = %v, %v, want an error", ok, err)
	}
	raw(t, dir, `CREATE TRIGGER broken BEFORE INSERT ON outbox BEGIN SELECT raise(ABORT, 'broken'); END`)
	if ok, err := db.AnsweredWith(t.Context(), "telegram", "3", "yes", &second, nil); err == nil || ok {
		t.Errorf("AnsweredWith a broken outbox = %v, %v, want an error", ok, err)
	}
	if got, err := db.Unanswered(t.Context()); err != nil || len(got) != 1 || got[0].ID != "3" {
		t.Errorf("Unanswered = %+v, %v, want the third", got, err)
	}
	if reply, _, err := db.Reply(t.Context(), "telegram", "1"); err != nil || reply != "yes" {
		t.Errorf("Reply = %q, %v, want the first", reply, err)
	}
	if got := count(t, dir, `SELECT count(*) FROM outbox`); got != 1 {
		t.Errorf("%d items, want 1", got)
	}
}

func BenchmarkPutItem(b *testing.B) {
	dir := b.TempDir()
	db := open(b, dir)
	fill(b, dir, 100_000)
	n := 0
	for b.Loop() {
		n++
		if _, err := db.PutItem(b.Context(), text("7", fmt.Sprint(n)), nil); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkDueItems(b *testing.B) {
	for name, waiting := range map[string]int{"3due": 1, "10000due": 3333} {
		b.Run(name, func(b *testing.B) {
			dir := b.TempDir()
			db := open(b, dir)
			fill(b, dir, 100_000)
			raw(b, dir, `UPDATE outbox SET state = 'due', part = 0, ended = NULL WHERE seq > 100000 - ?`, 3*waiting)
			for b.Loop() {
				if items, _, err := db.DueItems(context.Background(), "telegram", noon); err != nil || len(items) != 3 {
					b.Fatal(len(items), err)
				}
			}
		})
	}
}
