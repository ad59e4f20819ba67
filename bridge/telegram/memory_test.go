//go:build !race

// The race detector takes several times the memory of what it watches.

package telegram_test

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/secureclaw/secureclaw/internal/fake"
	"github.com/secureclaw/secureclaw/internal/wire"
)

// The bridge stays small, also while the largest files pass through it.
func TestMemory(t *testing.T) {
	w := newWorld(t)
	cmd := w.process("GOGC=50")
	w.known(owner)
	idle := resident(t, cmd)
	data := bytes.Repeat([]byte("0123456789abcdef"), wire.MaxFile/16)
	update, _ := w.tg.SayAs(fake.UserMessage{From: owner, Document: &fake.UserFile{Name: "big", Data: data}})
	w.confirmed(update)
	in := resident(t, cmd)
	w.d.serveFile(data)
	w.d.show(wire.Send{Item: 1, Kind: wire.SendFile, File: file(data, "big")})
	out := resident(t, cmd)
	t.Logf("resident: idle %d KiB, after 20 MB in %d KiB, after 20 MB out %d KiB; peak %d KiB", idle, in, out, status(t, cmd, "VmHWM"))
	if peak := status(t, cmd, "VmHWM"); peak > 40<<10 {
		t.Errorf("peak of %d KiB", peak)
	}
}

func resident(t *testing.T, cmd *exec.Cmd) int { return status(t, cmd, "VmRSS") }

func status(t *testing.T, cmd *exec.Cmd, field string) int {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(cmd.Process.Pid), "status"))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if rest, ok := strings.CutPrefix(line, field+":"); ok {
			var n int
			if _, err := fmt.Sscan(rest, &n); err != nil {
				t.Fatal(err)
			}
			return n
		}
	}
	t.Fatalf("no %s", field)
	return 0
}
