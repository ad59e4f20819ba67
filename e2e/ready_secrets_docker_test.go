//go:build docker

package e2e

import (
	"bytes"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/secureclaw/secureclaw/internal/capability"
	"github.com/secureclaw/secureclaw/internal/fake"
)

// A container that waits holds no secret, no task, no token and no key that signs: neither in what the engine shows of it,
// nor anywhere in its processes, their memory included. The one key in it is that which verifies.
func TestReadyHoldsNothing(t *testing.T) {
	if os.Getuid() != 0 {
		t.Fatal("the memory of other users' processes is read, so this needs root")
	}
	t.Parallel()
	w := startWorld(t, setting{model: fake.NewAnthropic(t), telegram: []int64{owner}, ready: true})
	w.isReady("shell", "file", "web")

	// What must be nowhere: of this installation, of a call before, and of one that runs meanwhile.
	forbidden := map[string][]byte{}
	for name, secret := range w.secrets {
		forbidden[name] = []byte(secret)
		if raw, err := base64.StdEncoding.DecodeString(secret); err == nil {
			forbidden[name+" as bytes"] = raw
		}
	}
	key, err := capability.DeriveKey(w.secrets["CAPABILITY_SECRET"])
	if err != nil {
		t.Fatal(err)
	}
	spell := func(name string, data []byte) {
		forbidden[name] = data
		forbidden[name+" in hex"] = []byte(hex.EncodeToString(data))
		forbidden[name+" in base64"] = []byte(base64.RawStdEncoding.EncodeToString(data))
	}
	spell("the key that signs", key.Seed())
	if audit, err := capability.DeriveAuditKey(w.secrets["CAPABILITY_SECRET"]); err == nil {
		spell("the key of the log", audit.Seed())
	}
	for _, mark := range []string{"marker-0815", "marker-4711"} {
		forbidden["the task of "+mark] = []byte(mark)
	}
	token, err := capability.NewMinter(key, time.Now).Mint(capability.Claims{Audience: "shell", Tool: "run_shell_command", TaskSHA256: capability.TaskDigest([]byte("{}")),
		TimeoutMS: 1000, OutputCap: 1, Memory: 1, CPUMillis: 1, Pids: 1, Session: "s", Call: "c"})
	if err != nil {
		t.Fatal(err)
	}
	head, _, _ := strings.Cut(token, ".")
	forbidden["a token"] = []byte(head + ".eyJ")

	// One call is over, and another runs while we look.
	c, _ := w.runs("echo marker-0815", 10)
	w.cameReady(c)
	forbidden["the last call"] = []byte(c.Call)
	w.model.Script(calls(shell("echo marker-4711; sleep 8", 20)), says("done"))
	talk := w.newTalk("take your time")
	atWork := w.oneContainer()
	// The search finds what is there: else it would show nothing of the others.
	if b := lookInto(t, atWork); b == nil || b.find([]byte("marker-4711")) == "" {
		t.Error("the task is not found in the container that has it: the search finds nothing")
	}
	w.isReady("shell", "file", "web")

	public := base64.StdEncoding.EncodeToString(key.Public().(ed25519.PublicKey))
	kinds := map[string]bool{}
	var read int64
	for _, id := range w.containers() {
		if strings.HasPrefix(id, atWork) || strings.HasPrefix(atWork, id) {
			continue
		}
		b := lookInto(t, id)
		if b == nil {
			continue // it went meanwhile
		}
		kinds[b.image] = true
		read += b.read
		for name, secret := range forbidden {
			if where := b.find(secret); where != "" {
				t.Errorf("%s stands in %s of a waiting container of %s", name, where, b.image)
			}
		}
		// The same search finds what is there.
		if where := b.find([]byte(public)); where == "" {
			t.Errorf("the verifying key is not found in a waiting container of %s, so nothing was tested", b.image)
		}
		want := []string{"SECURECLAW_VERIFY_KEY=" + public, "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/tmp", "LANG=C.UTF-8"}
		if !slices.Equal(b.env, want) {
			t.Errorf("the environment of %s is %q, want %q", b.image, b.env, want)
		}
		for _, file := range b.files {
			if !waitingFile.MatchString(file) {
				t.Errorf("a waiting container of %s has %q open", b.image, file)
			}
		}
	}
	if len(kinds) != 3 {
		t.Errorf("looked into %v, want containers of three images", kinds)
	}
	t.Logf("read %d MiB of memory of containers of %v", read>>20, kinds)
	// And in a process that holds them it finds the secrets, so that it would have.
	brain := &box{parts: map[string][]byte{}}
	brain.process(t, w.pid("gateway"))
	for _, name := range []string{"CAPABILITY_SECRET", "ANTHROPIC_API_KEY", "the key that signs"} {
		if brain.find(forbidden[name]) == "" {
			t.Errorf("%s is not found in the gateway, which holds it: the search finds nothing", name)
		}
	}
	if doc := talk(); len(doc.Calls) != 1 || doc.Calls[0].Status != "ok" {
		t.Errorf("the call that ran meanwhile: %+v", doc.Calls)
	}
	// A container is gone soon after its one call.
	if !w.gone(atWork, 2*time.Second) {
		t.Errorf("the container %s is there 2 s after its call", atWork)
	}
}

// waitingFile is what a process of a container that waits may have open: nothing that leads out.
var waitingFile = regexp.MustCompile(`^(pipe:|socket:|anon_inode:|/dev/(null|urandom|zero)$|/memfd:|/proc(/|$)|/sys(/|$)|/tmp(/|$)|/usr/|/etc/|/var/cache/|/$)`)

// box is all that can be seen of one container from the outside.
type box struct {
	image string
	shown []byte // docker inspect
	env   []string
	files []string
	parts map[string][]byte // by where they are
	read  int64
}

// lookInto copies all that a container and its processes hold, nil when it is gone.
func lookInto(t *testing.T, id string) *box {
	t.Helper()
	shown, err := exec.Command("docker", "inspect", id).Output()
	if err != nil {
		return nil
	}
	var got []struct {
		Image  string
		Config struct{ Env []string }
	}
	if err := json.Unmarshal(shown, &got); err != nil || len(got) != 1 {
		t.Fatalf("docker inspect: %v", err)
	}
	b := &box{image: got[0].Image, shown: shown, env: got[0].Config.Env, parts: map[string][]byte{"docker inspect": shown}}
	for _, pid := range processesOf(id) {
		b.process(t, pid)
	}
	return b
}

// process copies what one process holds. Pages of files that nobody changed are the image's and left out.
func (b *box) process(t *testing.T, pid int) {
	t.Helper()
	dir := fmt.Sprintf("/proc/%d/", pid)
	for _, name := range []string{"environ", "cmdline"} {
		data, _ := os.ReadFile(dir + name)
		b.parts[dir+name] = data
	}
	links, _ := filepath.Glob(dir + "fd/*")
	for _, link := range append(links, dir+"cwd") {
		if file, err := os.Readlink(link); err == nil {
			b.files = append(b.files, file)
			b.parts[link] = []byte(file)
		}
	}
	maps, err := os.ReadFile(dir + "maps")
	if errors.Is(err, os.ErrNotExist) {
		return
	}
	mem, err2 := os.Open(dir + "mem")
	if err != nil || err2 != nil {
		t.Fatalf("the memory of process %d: %v, %v", pid, err, err2)
	}
	defer mem.Close()
	for line := range strings.Lines(string(maps)) {
		field := strings.Fields(line)
		from, to, _ := strings.Cut(field[0], "-")
		start, err := strconv.ParseUint(from, 16, 63)
		end, err2 := strconv.ParseUint(to, 16, 63)
		if err != nil || err2 != nil || field[1][0] != 'r' || field[4] != "0" && field[1][1] != 'w' {
			continue
		}
		b.parts[dir+"mem "+field[0]] = b.region(mem, int64(start), int64(end))
	}
}

// region reads what is there of a region; pages that were never touched are nothing but zeros and left out.
func (b *box) region(mem io.ReaderAt, start, end int64) []byte {
	var held []byte
	chunk := make([]byte, 1<<20)
	zeros := make([]byte, len(chunk))
	for at := start; at < end; at += int64(len(chunk)) {
		n, _ := mem.ReadAt(chunk[:min(int64(len(chunk)), end-at)], at)
		b.read += int64(n)
		if !bytes.Equal(chunk[:n], zeros[:n]) {
			held = append(held, chunk[:n]...)
		}
	}
	return held
}

// find says where data stands, empty when nowhere.
func (b *box) find(data []byte) string {
	for where, part := range b.parts {
		if bytes.Contains(part, data) {
			return where
		}
	}
	return ""
}
