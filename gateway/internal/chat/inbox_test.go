package chat

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/secureclaw/secureclaw/internal/wire"
)

func day() time.Time { return time.Date(2026, 11, 22, 23, 59, 0, 0, time.UTC) }

func newInbox(t *testing.T) (*uploads, string) {
	t.Helper()
	dir := t.TempDir()
	return newUploads(Inbox{Host: dir, Container: "/inbox"}, day), dir
}

// names are the files of a folder and what they hold.
func names(t *testing.T, dir string) map[string]string {
	t.Helper()
	out := map[string]string{}
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		data, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		out[e.Name()] = string(data)
	}
	return out
}

func piece(name string, size, offset int64, data string) wire.FilePart {
	return wire.FilePart{Message: "9.1.2", Name: name, Mime: "application/pdf", Size: size, Offset: offset, Data: []byte(data)}
}

func TestFileComesInPieces(t *testing.T) {
	u, dir := newInbox(t)
	for i, p := range []wire.FilePart{
		piece("q3.pdf", 6, 0, "abc"), piece("q3.pdf", 6, 0, "ab"), piece("b.txt", 0, 0, ""), piece("q3.pdf", 6, 2, "cd"),
	} {
		if err := u.take(p); err != nil {
			t.Fatalf("piece %d: %v", i, err)
		}
	}
	if _, ok := names(t, dir)["2026-11-22-"+digest("9.1.2", "q3.pdf")+"-q3.pdf"]; ok {
		t.Error("half a file has its name already")
	}
	if _, err := u.lines(wire.Message{ID: "9.1.2", Files: []string{"q3.pdf"}}); err == nil {
		t.Error("a message with half a file was taken")
	}
	if err := u.take(piece("q3.pdf", 6, 4, "ef")); err != nil {
		t.Fatal(err)
	}
	u.now = func() time.Time { return day().Add(time.Hour) } // delivered again, past midnight
	if err := u.take(piece("q3.pdf", 6, 0, "abcdef")); err != nil {
		t.Fatal(err)
	}
	want := map[string]string{
		"2026-11-22-" + digest("9.1.2", "q3.pdf") + "-q3.pdf": "abcdef",
		"2026-11-22-" + digest("9.1.2", "b.txt") + "-b.txt":   "",
	}
	if diff := cmp.Diff(want, names(t, dir)); diff != "" {
		t.Errorf("inbox (-want +got):\n%s", diff)
	}
	info, err := os.Stat(filepath.Join(dir, "2026-11-22-"+digest("9.1.2", "q3.pdf")+"-q3.pdf"))
	if err != nil || info.Mode().Perm() != 0o644 {
		t.Errorf("mode = %v, %v; executors are another user and must read it", info.Mode(), err)
	}
	lines, err := u.lines(wire.Message{ID: "9.1.2", Files: []string{"q3.pdf", "b.txt"}})
	if diff := cmp.Diff([]string{
		"/inbox/2026-11-22-" + digest("9.1.2", "q3.pdf") + "-q3.pdf (application/pdf, 6 bytes)",
		"/inbox/2026-11-22-" + digest("9.1.2", "b.txt") + "-b.txt (application/pdf, 0 bytes)",
	}, lines); diff != "" || err != nil {
		t.Errorf("lines (-want +got):\n%s%v", diff, err)
	}
	if _, err := u.lines(wire.Message{ID: "9.1.3", Files: []string{"q3.pdf"}}); err == nil {
		t.Error("a message was given another one's file")
	}
}

func TestBadPiecesAreRefused(t *testing.T) {
	big := strings.Repeat("x", wire.MaxChunk+1)
	for name, tc := range map[string]struct {
		before []wire.FilePart
		bad    wire.FilePart
		want   string
	}{
		"too large":                  {bad: piece("f", wire.MaxFile+1, 0, "a"), want: "the most is 20.0 MB"},
		"a negative size":            {bad: piece("f", -1, 0, ""), want: "the file has -1 bytes"},
		"a piece that is too large":  {bad: piece("f", wire.MaxFile, 0, big), want: "a piece has"},
		"more than was declared":     {bad: piece("f", 2, 0, "abc"), want: "ends at byte 3 of a file of 2"},
		"more, later":                {before: []wire.FilePart{piece("f", 4, 0, "abc")}, bad: piece("f", 4, 3, "de"), want: "ends at byte 5"},
		"a hole":                     {before: []wire.FilePart{piece("f", 9, 0, "abc")}, bad: piece("f", 9, 4, "e"), want: "byte 3 of 9 was next"},
		"a step back":                {before: []wire.FilePart{piece("f", 9, 0, "abc")}, bad: piece("f", 9, 2, "e"), want: "was next"},
		"another size":               {before: []wire.FilePart{piece("f", 9, 0, "abc")}, bad: piece("f", 8, 3, "e"), want: "was next"},
		"no beginning":               {bad: piece("f", 9, 3, "e"), want: "did not begin"},
		"an empty piece":             {bad: piece("f", 9, 0, ""), want: "empty"},
		"a negative offset":          {bad: piece("f", 9, -1, "a"), want: "a piece ends"},
		"no name":                    {bad: piece("", 9, 0, "a"), want: "a name"},
		"no message":                 {bad: wire.FilePart{Name: "f", Size: 1, Data: []byte("a")}, want: "the id of its message"},
		"too many at once":           {before: many(maxUploads), bad: piece("one more", 9, 0, "a"), want: "at once"},
		"an offset that wraps round": {before: []wire.FilePart{piece("f", 9, 0, "abc")}, bad: piece("f", 9, 1<<63-1, "e"), want: "a piece"},
	} {
		u, dir := newInbox(t)
		for _, p := range tc.before {
			if err := u.take(p); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
		}
		if err := u.take(tc.bad); err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: %v, want %q", name, err, tc.want)
		}
		u.close()
		if left := names(t, dir); len(left) != 0 {
			t.Errorf("%s: %v is left", name, left)
		}
	}
}

func many(n int) (out []wire.FilePart) {
	for i := range n {
		out = append(out, piece(strings.Repeat("f", i+1), 9, 0, "a"))
	}
	return out
}

func TestInboxHasAQuota(t *testing.T) {
	u, dir := newInbox(t)
	u.inbox.Quota = 10
	if err := u.take(piece("a", 6, 0, "abcdef")); err != nil {
		t.Fatal(err)
	}
	if err := u.take(piece("b", 4, 0, "a")); err != nil { // room for it is kept
		t.Fatal(err)
	}
	err := u.take(piece("c", 1, 0, "a"))
	if f, ok := errors.AsType[*fault](err); !ok || f.code != "inbox" || !strings.Contains(f.what, "full") || !strings.Contains(f.fix, dir) {
		t.Errorf("over the quota: %v, want to hear that it is full and what to do", err)
	}
	if err := u.take(piece("b", 4, 1, "bcd")); err != nil {
		t.Error(err)
	}
}

func TestNoInbox(t *testing.T) {
	u := newUploads(Inbox{}, day)
	f, ok := errors.AsType[*fault](u.take(piece("a", 1, 0, "a")))
	if !ok || f.code != "inbox" || f.fix == "" {
		t.Errorf("without a mount: %+v", f)
	}
}

// Links in the folder lead nowhere: whoever could place one there must not choose what we write.
func TestLinksInTheInboxAreNotFollowed(t *testing.T) {
	u, dir := newInbox(t)
	outside := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(outside, []byte("mine"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{unfinished + digest("9.1.2", "f"), "2026-11-22-" + digest("9.1.2", "f") + "-f"} {
		if err := os.Symlink(outside, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := u.lines(wire.Message{ID: "9.1.2", Files: []string{"f"}}); err == nil {
		t.Error("a link passed for a file of the message")
	}
	if err := u.take(piece("f", 3, 0, "abc")); err != nil {
		t.Fatal(err)
	}
	if data, err := os.ReadFile(outside); string(data) != "mine" || err != nil {
		t.Errorf("the file outside holds %q, %v", data, err)
	}
	info, err := os.Lstat(filepath.Join(dir, "2026-11-22-"+digest("9.1.2", "f")+"-f"))
	if err != nil || !info.Mode().IsRegular() {
		t.Errorf("the file is %v, %v, want it in the link's place", info, err)
	}
}

func TestUnfinishedFilesAreRemoved(t *testing.T) {
	u, dir := newInbox(t)
	if err := u.take(piece("a", 9, 0, "abc")); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "kept.txt"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := u.inbox.clean(); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(map[string]string{"kept.txt": ""}, names(t, dir)); diff != "" {
		t.Errorf("after clean (-want +got):\n%s", diff)
	}
}

func TestFileName(t *testing.T) {
	for in, want := range map[string]string{
		"q3.pdf": "q3.pdf", "": "file", "..": "file", ".": "file", "../../etc/passwd": "passwd", `C:\x\y.txt`: "y.txt", ".bashrc": "bashrc", "a b\nc.txt": "a_b_c.txt",
		"Прайс 2026.xlsx": "Прайс_2026.xlsx", "\u202egnp.exe": "_gnp.exe", "a/": "file", "x\x00y": "x_y", "\xff.txt": "_.txt", "$(rm -rf).sh": "__rm_-rf_.sh",
		strings.Repeat("é", 80) + ".tar.gz": strings.Repeat("é", 48) + ".gz", "a." + strings.Repeat("x", 200): "a." + strings.Repeat("x", 98),
	} {
		if got := fileName(in); got != want {
			t.Errorf("fileName(%q) = %q, want %q", in, got, want)
		}
	}
}

func FuzzFileName(f *testing.F) {
	f.Add("../.ssh/id_ed25519")
	f.Fuzz(func(t *testing.T, in string) {
		got := fileName(in)
		if got == "" || got[0] == '.' || len(got) > maxNameBytes || strings.ContainsAny(got, "/\\\x00\n[]() ") || !utf8.ValidString(got) || filepath.Base(got) != got {
			t.Errorf("fileName(%q) = %q", in, got)
		}
		if again := fileName(got); again != got {
			t.Errorf("fileName(%q) = %q, and of that %q", in, got, again)
		}
	})
}

func TestMimeType(t *testing.T) {
	for in, want := range map[string]string{"image/jpeg": "image/jpeg", "": "", "a/b/c": "", "text/plain); x": "", "application/vnd.ms-excel+x": "application/vnd.ms-excel+x"} {
		if got := mimeType(in); got != want {
			t.Errorf("mimeType(%q) = %q, want %q", in, got, want)
		}
	}
}

// A whole file of the largest size passes.
func TestLargestFile(t *testing.T) {
	u, dir := newInbox(t)
	chunk := bytes.Repeat([]byte("x"), wire.MaxChunk)
	for at := int64(0); at < wire.MaxFile; at += wire.MaxChunk {
		if err := u.take(wire.FilePart{Message: "1", Name: "big", Size: wire.MaxFile, Offset: at, Data: chunk}); err != nil {
			t.Fatal(err)
		}
	}
	if got := names(t, dir)["2026-11-22-"+digest("1", "big")+"-big"]; len(got) != wire.MaxFile {
		t.Errorf("%d bytes arrived", len(got))
	}
}
