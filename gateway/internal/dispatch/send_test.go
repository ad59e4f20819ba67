package dispatch_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/secureclaw/secureclaw/executor"
	"github.com/secureclaw/secureclaw/executor/file"
	"github.com/secureclaw/secureclaw/gateway/internal/claw"
	"github.com/secureclaw/secureclaw/gateway/internal/dispatch"
	"github.com/secureclaw/secureclaw/gateway/internal/gate"
	"github.com/secureclaw/secureclaw/internal/capability"
	"github.com/secureclaw/secureclaw/internal/config"
	"github.com/secureclaw/secureclaw/internal/run"
	"github.com/secureclaw/secureclaw/internal/strict"
	"github.com/secureclaw/secureclaw/internal/wire"
)

// delivered is what reached the user.
type delivered struct {
	call                gate.Call
	name, mime, caption string
	data                []byte
}

// sender is a dispatch whose runner stand-in verifies each token once and reads real files with the
// real tool, in this process. before is called ahead of each piece.
type sender struct {
	t      *testing.T
	dir    string
	pieces int
	got    []delivered
	tool   gate.Tool
}

func newSender(t *testing.T, before func(piece int, dir string), answer error) *sender {
	t.Helper()
	s := &sender{t: t, dir: t.TempDir()}
	key, err := capability.DeriveKey(strings.Repeat("k", 40))
	if err != nil {
		t.Fatal(err)
	}
	verifier, replay := capability.NewVerifier(key.Public().(ed25519.PublicKey), time.Now), capability.NewReplay(time.Now)
	socket := peer(t, func(o *run.Order, conn *wire.Conn) {
		claims, err := verifier.Verify(o.Token, []string{"file"}, o.Task)
		if err == nil {
			err = replay.Use(claims.ID, time.Unix(claims.Expires, 0))
		}
		var task run.Task
		if err == nil {
			err = strict.Decode(o.Task, &task)
		}
		if err != nil || claims.Tool != run.ToolSendFile || len(claims.Mounts) != 1 || claims.Mounts[0].Mode != "ro" {
			t.Errorf("order: %v, claims %+v", err, claims)
			return
		}
		if before != nil {
			before(s.pieces, s.dir)
		}
		s.pieces++
		out := executor.Perform(context.Background(), task, file.Tools()[task.Tool])
		_ = conn.Send(run.Event{Result: &run.Result{Outcome: run.Finished, Output: &out, Timing: run.Timing{Task: 1000}}})
	})
	cfg := &config.Config{
		Executors: map[string]config.Executor{"file": {Memory: 64 << 20, CPUs: 0.5, Pids: 64, Timeout: config.Duration(time.Minute), OutputCap: 1 << 10, Mounts: []string{"workspace"}}},
		Mounts:    []config.Mount{{Name: "workspace", Host: "/srv/w", Container: s.dir, Mode: "rw"}},
	}
	deliver := func(_ context.Context, call gate.Call, name, mime, caption string, data []byte) error {
		s.got = append(s.got, delivered{call, name, mime, caption, data})
		return answer
	}
	for _, tool := range dispatch.New(dispatch.Options{Socket: socket, Program: "test", Minter: capability.NewMinter(key, time.Now), Config: cfg, Deliver: deliver}).Tools() {
		if tool.Spec().Name == run.ToolSendFile {
			s.tool = tool
		}
	}
	return s
}

func (s *sender) put(name string, data []byte) {
	s.t.Helper()
	if err := os.WriteFile(filepath.Join(s.dir, name), data, 0o600); err != nil {
		s.t.Fatal(err)
	}
}

func (s *sender) send(ctx context.Context, name, caption string) claw.ToolResult {
	s.t.Helper()
	input, err := strict.Encode(run.SendFile{Path: name, Caption: caption})
	if err != nil {
		s.t.Fatal(err)
	}
	action, err := s.tool.Prepare(input)
	if err != nil {
		s.t.Fatal(err)
	}
	return s.tool.Run(ctx, gate.Call{ID: "call_1", ModelID: "t1", Session: "s", Run: "r", Origin: claw.Origin{Channel: "telegram", User: "7"}}, action)
}

// noise is binary data in which no piece is like another.
func noise(n int) []byte {
	out := make([]byte, 0, n+32)
	for i := 0; len(out) < n; i++ {
		sum := sha256.Sum256(fmt.Append(nil, i))
		out = append(out, sum[:]...)
	}
	return out[:n]
}

func TestSendFilePutsThePiecesTogether(t *testing.T) {
	for name, tc := range map[string]struct {
		file   string
		data   []byte
		pieces int
		shown  string
		mime   string
	}{
		"a byte":              {"a.txt", []byte("x"), 1, "a.txt", "text/plain; charset=utf-8"},
		"exactly one piece":   {"a.bin", noise(run.MaxPiece), 1, "a.bin", "application/octet-stream"},
		"a byte more":         {"a.bin", noise(run.MaxPiece + 1), 2, "a.bin", "application/octet-stream"},
		"3 MB":                {"a.bin", noise(3_000_000), 6, "a.bin", "application/octet-stream"},
		"the most":            {"a.bin", noise(run.MaxSend), 20, "a.bin", "application/octet-stream"},
		"Markdown":            {"notes.MD", []byte("# x"), 1, "notes.MD", "text/markdown"},
		"a picture":           {"photo", []byte("\x89PNG\r\n\x1a\n1234"), 1, "photo", "image/png"},
		"a name of two lines": {"a\nb\u202e.txt", []byte("x"), 1, "a_b_.txt", "text/plain; charset=utf-8"},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSender(t, nil, nil)
			s.put(tc.file, tc.data)
			result := s.send(t.Context(), tc.file, "**see**")
			if result.Status != claw.OK || len(s.got) != 1 || s.pieces != tc.pieces {
				t.Fatalf("send = %+v after %d pieces, delivered %d times; want %d pieces, once", result, s.pieces, len(s.got), tc.pieces)
			}
			got := s.got[0]
			if !bytes.Equal(got.data, tc.data) || got.name != tc.shown || got.mime != tc.mime || got.caption != "**see**" || got.call.ID != "call_1" || got.call.Origin.User != "7" {
				t.Errorf("delivered %q, %q, %q, %d bytes for %+v; want %q, %q and the very bytes", got.name, got.mime, got.caption, len(got.data), got.call, tc.shown, tc.mime)
			}
			var said run.SendFileResult
			sum := sha256.Sum256(tc.data)
			if err := strict.Decode([]byte(result.Content), &said); err != nil || said.Name != tc.shown || said.Size != int64(len(tc.data)) || said.SHA256 != hex.EncodeToString(sum[:]) || said.Note != "queued for the user" {
				t.Errorf("the model reads %s, %v", result.Content, err)
			}
			if result.Label.Integrity != claw.Owned || result.Label.Privacy != claw.Private || time.Duration(result.Container) != time.Duration(tc.pieces)*time.Millisecond {
				t.Errorf("label %+v, container %v; want the user's own and %d ms", result.Label, result.Container, tc.pieces)
			}
		})
	}
}

// What reaches the user is a file as it was at one moment, or nothing.
func TestSendFileRefusesAFileThatChanges(t *testing.T) {
	write := func(t *testing.T, dir string, flags int, data string) {
		f, err := os.OpenFile(filepath.Join(dir, "f"), os.O_WRONLY|flags, 0o600)
		if err == nil {
			_, err = f.WriteString(data)
		}
		if err := errors.Join(err, f.Close()); err != nil {
			t.Error(err)
		}
	}
	for name, change := range map[string]func(t *testing.T, dir string){
		"grows":    func(t *testing.T, dir string) { write(t, dir, os.O_APPEND, "more") },
		"shrinks":  func(t *testing.T, dir string) { write(t, dir, os.O_TRUNC, "less") },
		"is empty": func(t *testing.T, dir string) { write(t, dir, os.O_TRUNC, "") },
		"is another": func(t *testing.T, dir string) {
			if err := errors.Join(os.WriteFile(filepath.Join(dir, "new"), noise(2<<20), 0o600), os.Rename(filepath.Join(dir, "new"), filepath.Join(dir, "f"))); err != nil {
				t.Error(err)
			}
		},
		"is gone": func(t *testing.T, dir string) {
			if err := os.Remove(filepath.Join(dir, "f")); err != nil {
				t.Error(err)
			}
		},
		"is a link": func(t *testing.T, dir string) {
			if err := errors.Join(os.Rename(filepath.Join(dir, "f"), filepath.Join(dir, "old")), os.Symlink("old", filepath.Join(dir, "f"))); err != nil {
				t.Error(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSender(t, func(piece int, dir string) {
				if piece == 2 {
					change(t, dir)
				}
			}, nil)
			s.put("f", noise(2<<20))
			if got := s.send(t.Context(), "f", ""); got.Status == claw.OK || len(s.got) != 0 || s.pieces != 3 {
				t.Errorf("send = %+v after %d pieces, delivered %d times; want it given up at the third", got, s.pieces, len(s.got))
			}
		})
	}
}

// Whatever a container answers, the bytes that go to the user are all those that it said there are.
func TestSendFileDistrustsPieces(t *testing.T) {
	piece := func(n int, size int64) run.SendFilePiece {
		return run.SendFilePiece{Data: noise(n), Size: size, Version: "1"}
	}
	value := func(p run.SendFilePiece) strict.Value {
		v, err := strict.CanonicalOf(p)
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	for name, answers := range map[string][]strict.Value{
		"too few":           {value(piece(10, 20))},
		"too many":          {value(piece(20, 10))},
		"none":              {value(piece(0, 20))},
		"none of the rest":  {value(piece(run.MaxPiece, run.MaxPiece+5)), value(piece(0, run.MaxPiece+5))},
		"a larger rest":     {value(piece(run.MaxPiece, run.MaxPiece+5)), value(piece(6, run.MaxPiece+5))},
		"another size":      {value(piece(run.MaxPiece, run.MaxPiece+5)), value(piece(6, run.MaxPiece+6))}, // of one version
		"a size below zero": {value(piece(0, -1))},
		"no piece":          {strict.Value(`{"content":"x"}`)},
		"nothing":           {nil},
	} {
		t.Run(name, func(t *testing.T) {
			asked := 0
			socket := peer(t, func(_ *run.Order, conn *wire.Conn) {
				answer := answers[min(asked, len(answers)-1)]
				asked++
				_ = conn.Send(run.Event{Result: &run.Result{Outcome: run.Finished, Output: &run.Output{Call: "call_1", Status: run.OutputOK, Value: answer}}})
			})
			key, err := capability.DeriveKey(strings.Repeat("k", 40))
			if err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
			defer cancel()
			deliver := func(_ context.Context, _ gate.Call, _, _, _ string, data []byte) error {
				t.Errorf("%d bytes were delivered", len(data))
				return nil
			}
			for _, tool := range dispatch.New(dispatch.Options{Socket: socket, Program: "test", Minter: capability.NewMinter(key, time.Now), Config: settings(), Deliver: deliver}).Tools() {
				if tool.Spec().Name != run.ToolSendFile {
					continue
				}
				action, err := tool.Prepare([]byte(`{"path":"a"}`))
				if err != nil {
					t.Fatal(err)
				}
				if got := tool.Run(ctx, gate.Call{ID: "call_1", Session: "s"}, action); got.Status != claw.Failed || asked != len(answers) {
					t.Errorf("send = %+v after %d answers, want it failed after %d", got, asked, len(answers))
				}
			}
		})
	}
}

func TestSendFileSaysWhyNot(t *testing.T) {
	s := newSender(t, nil, errors.New("this conversation cannot show files: it is in a terminal."))
	s.put("f", []byte("x"))
	s.put("empty", nil)
	if err := os.Truncate(filepath.Join(s.dir, "empty"), 0); err != nil {
		t.Fatal(err)
	}
	s.put("huge", nil)
	if err := os.Truncate(filepath.Join(s.dir, "huge"), run.MaxSend+1); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"f":     "Not sent: this conversation cannot show files: it is in a terminal.",
		"empty": "is empty.",
		"huge":  "has 10485761 bytes, and the most is 10485760.",
		"none":  "does not exist",
	} {
		s.got = nil
		got := s.send(t.Context(), name, "")
		if got.Status != claw.Failed || !strings.HasSuffix(got.Content, want) && !strings.Contains(got.Content, want) || strings.HasSuffix(got.Content, "..") || got.Call != "call_1" {
			t.Errorf("send(%s) = %+v, want it failed with %q", name, got, want)
		}
		if name != "f" && len(s.got) != 0 {
			t.Errorf("send(%s) delivered something", name)
		}
	}
	if s.pieces != 4 {
		t.Errorf("%d pieces were read, want one of each", s.pieces)
	}
	// Without any way to a user nothing is even read.
	got := callTool(t, t.Context(), "/nonexistent/socket", settings(), run.ToolSendFile, `{"path":"a"}`)
	if got.Status != claw.Failed || got.Content != "Not sent: this conversation cannot show files." {
		t.Errorf("send without delivery = %+v", got)
	}
}

func TestCaptionsAreShort(t *testing.T) {
	send := tool(t, run.ToolSendFile)
	for caption, ok := range map[string]bool{"": true, strings.Repeat("é", 1024): true, strings.Repeat("é", 1025): false, strings.Repeat("🔐", 512): true, strings.Repeat("🔐", 513): false} {
		input, err := strict.Encode(run.SendFile{Path: "a", Caption: caption})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := send.Prepare(input); (err == nil) != ok {
			t.Errorf("Prepare with a caption of %d bytes = %v, want ok %t", len(caption), err, ok)
		}
	}
}

func TestStoppingASendSendsNothing(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	s := newSender(t, func(piece int, _ string) {
		if piece == 1 {
			cancel()
		}
	}, nil)
	s.put("f", noise(2<<20))
	if got := s.send(ctx, "f", ""); got.Status != claw.Cancelled || len(s.got) != 0 {
		t.Errorf("send = %+v, delivered %d times; want it cancelled", got, len(s.got))
	}
}
