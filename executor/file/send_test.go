package file_test

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/secureclaw/secureclaw/executor"
	"github.com/secureclaw/secureclaw/executor/file"
	"github.com/secureclaw/secureclaw/internal/run"
	"github.com/secureclaw/secureclaw/internal/strict"
)

// sendPiece asks for one piece in this process, and for the line that a container would write.
func sendPiece(t testing.TB, path string, piece *run.Piece, roots ...run.Root) run.Output {
	t.Helper()
	task := run.Task{
		Call: "call-1", Tool: run.ToolSendFile, Input: must(strict.CanonicalOf(run.SendFile{Path: path, Caption: "c"})), Roots: roots,
		TimeoutMS: 20_000, OutputCap: testCap, Piece: piece,
	}
	out := executor.Perform(t.Context(), task, file.Tools()[run.ToolSendFile])
	if line := must(strict.Encode(out)); len(line)+1 > executor.MaxLine {
		t.Fatalf("a piece of %+v makes a line of %d bytes, the most is %d", piece, len(line), executor.MaxLine)
	}
	return out
}

// Whatever a file holds and however it is cut, its pieces make it again.
func TestPiecesMakeTheFile(t *testing.T) {
	root := workspace(t, "ro")
	path := filepath.Join(root.Path, "f")
	rapid.Check(t, func(rt *rapid.T) {
		want := bytes.Repeat(rapid.SliceOfN(rapid.Byte(), 1, 300).Draw(rt, "bytes"), rapid.IntRange(0, 8000).Draw(rt, "times"))
		limit := rapid.SampledFrom([]int{1 << 10, 100_000, run.MaxPiece}).Draw(rt, "limit")
		if len(want)/limit > 50 {
			limit = run.MaxPiece
		}
		if err := os.WriteFile(path, want, 0o600); err != nil {
			rt.Fatal(err)
		}
		var got []byte
		version := ""
		for {
			piece := value[run.SendFilePiece](t, sendPiece(t, path, &run.Piece{Offset: int64(len(got)), Limit: limit}, root))
			if version == "" {
				version = piece.Version
			}
			if piece.Size != int64(len(want)) || piece.Version != version {
				rt.Fatalf("piece at %d: size %d, version %q, want %d and always %q", len(got), piece.Size, piece.Version, len(want), version)
			}
			if got = append(got, piece.Data...); len(piece.Data) < limit {
				break
			}
		}
		if !bytes.Equal(got, want) {
			rt.Fatalf("%d bytes came out as %d others", len(want), len(got))
		}
	})
}

func TestSendReadsRegularFilesInMountsOnly(t *testing.T) {
	root := workspace(t, "ro")
	put(t, root, "f", "hello")
	put(t, root, "sub/f", "x")
	outside := workspace(t, "ro")
	put(t, outside, "secret", "no")
	mustDo(t, os.Symlink("f", root.Path+"/link"), os.Symlink(outside.Path, root.Path+"/away"), syscall.Mkfifo(root.Path+"/fifo", 0o600))
	all := &run.Piece{Limit: run.MaxPiece}
	for name, tc := range map[string]struct {
		path  string
		piece *run.Piece
		want  string
	}{
		"a link":                 {root.Path + "/link", all, "link"},
		"through a link":         {root.Path + "/away/secret", all, "link"},
		"a fifo":                 {root.Path + "/fifo", all, "fifo"},
		"a directory":            {root.Path + "/sub", all, "directory"},
		"the folder itself":      {root.Path, all, "directory"},
		"outside":                {outside.Path + "/secret", all, "no mounted folder"},
		"dots":                   {root.Path + "/../x", all, "not clean"},
		"nothing":                {root.Path + "/none", all, "not exist"},
		"no piece":               {root.Path + "/f", nil, "which piece"},
		"an empty piece":         {root.Path + "/f", &run.Piece{}, "a piece of 0 bytes"},
		"too much":               {root.Path + "/f", &run.Piece{Limit: run.MaxPiece + 1}, "want 1 to"},
		"before the start":       {root.Path + "/f", &run.Piece{Offset: -1, Limit: 1}, "from byte -1"},
		"a size below its start": {root.Path + "/f", &run.Piece{Limit: -1}, "a piece of -1 bytes"},
	} {
		t.Run(name, func(t *testing.T) { wantNo(t, sendPiece(t, tc.path, tc.piece, root), tc.want) })
	}
	if got := value[run.SendFilePiece](t, sendPiece(t, root.Path+"/f", &run.Piece{Offset: 1 << 40, Limit: 5}, root)); len(got.Data) != 0 || got.Size != 5 {
		t.Errorf("a piece behind the end = %+v, want none of 5 bytes", got)
	}
}

// nextTick waits until the kernel's clock for files, which has a tick of some milliseconds, has moved on.
func nextTick(t *testing.T, path string) {
	t.Helper()
	changed := func(name string) syscall.Timespec {
		var st syscall.Stat_t
		mustDo(t, syscall.Stat(name, &st))
		return st.Ctim
	}
	scratch := filepath.Join(t.TempDir(), "tick")
	for was := changed(path); ; {
		if mustDo(t, os.WriteFile(scratch, nil, 0o600)); changed(scratch) != was {
			return
		}
		mustDo(t, os.Remove(scratch))
	}
}

// A file is another one after each change, also when its size and its time are as before.
func TestVersionsTellChanges(t *testing.T) {
	root := workspace(t, "ro")
	path := put(t, root, "f", "aaaa")
	when := time.Unix(1_700_000_000, 0)
	seen := map[string]string{}
	for _, step := range []struct {
		name   string
		change func() error
	}{
		{"first", func() error { return nil }},
		{"appended", func() error { return os.WriteFile(path, []byte("aaaab"), 0o600) }},
		{"touched", func() error { return os.Chtimes(path, when, when) }},
		{"rewritten, and its time set back", func() error {
			nextTick(t, path)
			if err := os.WriteFile(path, []byte("baaaa"), 0o600); err != nil {
				return err
			}
			return os.Chtimes(path, when, when)
		}},
		{"replaced by a copy", func() error {
			put(t, root, "new", "baaaa")
			if err := os.Chtimes(root.Path+"/new", when, when); err != nil {
				return err
			}
			return os.Rename(root.Path+"/new", path)
		}},
	} {
		mustDo(t, step.change())
		v := value[run.SendFilePiece](t, sendPiece(t, path, &run.Piece{Limit: 10}, root)).Version
		if other, twice := seen[v]; twice || strings.TrimSpace(v) == "" {
			t.Errorf("%s and %s have the version %q", step.name, other, v)
		}
		seen[v] = step.name
	}
	again := value[run.SendFilePiece](t, sendPiece(t, path, &run.Piece{Limit: 10}, root)).Version
	if _, ok := seen[again]; !ok {
		t.Errorf("reading alone made the version %q", again)
	}
}
