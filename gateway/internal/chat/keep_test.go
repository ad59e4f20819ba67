package chat

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/secureclaw/secureclaw/gateway/internal/claw"
	"github.com/secureclaw/secureclaw/gateway/internal/gate"
	"github.com/secureclaw/secureclaw/internal/wire"
)

func TestKeep(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "inbox")
	b := NewBoard(BoardOptions{Inbox: Inbox{Host: dir, Container: "/inbox"}, Now: day})
	m := b.join("terminal")
	call := gate.Call{Session: "s", Origin: claw.Origin{Channel: "terminal"}}
	var got []string
	for _, in := range []struct{ name, mime string }{
		{"screenshot-example.com.png", "image/png"}, {"screenshot-example.com.png", "image/png"}, {"screenshot-example.com.png", "image/jpeg"}, {"../../x\u202e/.bashrc", "image/png"},
	} {
		path, err := b.Keep(t.Context(), call, in.name, in.mime, []byte(in.mime))
		if err != nil {
			t.Fatalf("Keep(%q): %v", in.name, err)
		}
		got = append(got, path)
	}
	want := []string{
		"/inbox/2026-11-22/screenshot-example.com-235900.png", "/inbox/2026-11-22/screenshot-example.com-235900-2.png",
		"/inbox/2026-11-22/screenshot-example.com-235900.jpg", "/inbox/2026-11-22/bashrc-235900.png",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("Keep (-want +got):\n%s", diff)
	}
	file := filepath.Join(dir, "2026-11-22", "screenshot-example.com-235900.png")
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o644 {
		t.Errorf("Stat = %v, %v; executors are another user and must read it", info, err)
	}
	if info, err := os.Stat(filepath.Dir(file)); err != nil || info.Mode().Perm() != 0o755 {
		t.Errorf("Stat of its folder = %v, %v; executors are another user and must look into it", info, err)
	}
	if d := <-m.out; d.Notice == nil || *d.Notice != (wire.Notice{Session: "s", Text: "saved " + file}) {
		t.Errorf("the terminal is told %+v, want where the file lies on this computer", d.Notice)
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 1 {
		t.Errorf("the inbox holds %v, %v, want the folder of the day and nothing unfinished", entries, err)
	}
	call.Origin = claw.Origin{Channel: "telegram", User: "7"}
	told := len(m.out)
	if _, err := b.Keep(t.Context(), call, "a.png", "image/png", []byte("x")); err != nil || len(m.out) != told {
		t.Errorf("Keep for a messenger's user = %v, with %d frames to the terminal; he sees the picture", err, len(m.out)-told)
	}
}

func TestKeepRefuses(t *testing.T) {
	elsewhere := t.TempDir()
	full, linked := t.TempDir(), t.TempDir()
	if err := os.WriteFile(filepath.Join(full, "a"), make([]byte, 100), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(elsewhere, filepath.Join(linked, "2026-11-22")); err != nil {
		t.Fatal(err)
	}
	for name, tc := range map[string]struct {
		inbox      Inbox
		mime, data string
		says       string
	}{
		"no inbox":             {Inbox{}, "image/png", "x", "no folder is shared"},
		"no picture":           {Inbox{Host: full}, "text/html", "x", "no type of picture"},
		"nothing":              {Inbox{Host: full}, "image/png", "", "0 bytes"},
		"too much":             {Inbox{Host: full}, "image/png", strings.Repeat("x", maxKept+1), "the most is"},
		"a full inbox":         {Inbox{Host: full, Quota: 101}, "image/png", "xx", "inbox is full"},
		"a link for a folder":  {Inbox{Host: linked}, "image/png", "x", "escapes"},
		"a file for an inbox":  {Inbox{Host: filepath.Join(full, "a")}, "image/png", "x", "not a directory"},
		"no right to write it": {Inbox{Host: "/proc/inbox"}, "image/png", "x", "kept as a file"},
	} {
		t.Run(name, func(t *testing.T) {
			b := NewBoard(BoardOptions{Inbox: tc.inbox, Now: day})
			got, err := b.Keep(t.Context(), gate.Call{}, "a.png", tc.mime, []byte(tc.data))
			if err == nil || got != "" || !strings.Contains(err.Error(), tc.says) {
				t.Errorf("Keep = %q, %v, want it refused with %q", got, err, tc.says)
			}
		})
	}
	for _, dir := range []string{elsewhere, linked} {
		entries, err := os.ReadDir(dir)
		for _, e := range entries {
			if err != nil || strings.HasPrefix(e.Name(), unfinished) || dir == elsewhere {
				t.Errorf("%s holds %s, %v", dir, e.Name(), err)
			}
		}
	}
}
