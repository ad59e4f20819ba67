//go:build docker

package e2e

import (
	"bufio"
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/secureclaw/secureclaw/internal/fake"
)

// patience is the most that a story waits for something that must come.
const patience = 20 * time.Second

// longest is the most that a command of the user's may take: a call's own deadline, and what it waits behind.
const longest = 6 * patience

// world is one installation: a home, the model it talks to, and `secureclaw up` while it runs.
type world struct {
	t       testing.TB
	home    string
	model   *fake.Server      // nil: the rehearsal model
	tg      *fake.Telegram    // nil: no messenger
	program string            // the program file of all its processes
	secrets map[string]string // by the name in .env
	env     []string          // of `up`, beside a bare one
	keeps   bool              // containers wait for calls, as with a configuration that says nothing about it
	launch  []string          // what starts `up`, when it is not started by us: a program that becomes it

	up    *exec.Cmd
	ready chan struct{} // closed by the line that says so
	ended chan struct{} // closed when up is gone

	said  *transcript // what up and its children wrote
	shown *transcript // what every other command wrote
}

// transcript collects output of several processes.
type transcript struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (s *transcript) add(text []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.text.Write(text)
	s.text.WriteByte('\n')
}

func (s *transcript) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.String()
}

// in is the same installation for a subtest, which then owns the failures.
func (w *world) in(t testing.TB) *world {
	same := *w
	same.t = t
	return &same
}

// setting is what differs from an installation without a file.
type setting struct {
	config string // secureclaw.yaml; empty: the built-in one
	model  *fake.Server
	env    []string
	// telegram is who may talk to the agent there, the owner first; empty: no messenger.
	telegram []int64
	// ready keeps containers that wait for calls, as everybody's installation does; without it each call starts its own,
	// so that whoever counts containers counts those at work.
	ready bool
	// dies is set when the processes are of the build that can end at a named step.
	dies bool
}

// newWorld makes an installation and starts nothing. Its end, and what it left, is checked with the test's.
func newWorld(t testing.TB, s setting) *world {
	t.Helper()
	home, err := os.MkdirTemp("", "claw") // short: a socket's name has 107 bytes
	if err != nil {
		t.Fatal(err)
	}
	w := &world{t: t, home: home, model: s.model, program: program(), env: s.env, keeps: s.ready, said: &transcript{}, shown: &transcript{}, secrets: map[string]string{
		"CAPABILITY_SECRET": randomSecret(), "OAUTH_KEY": randomSecret(),
	}}
	if s.dies {
		w.program = dyingProgram()
	}
	if s.model != nil {
		w.secrets["ANTHROPIC_API_KEY"] = "sk-ant-api03-" + strings.NewReplacer("+", "-", "/", "_", "=", "").Replace(randomSecret())
		w.env = append(w.env, "ANTHROPIC_BASE_URL="+s.model.URL)
	}
	var lines strings.Builder
	if len(s.telegram) > 0 {
		w.secrets["TELEGRAM_BOT_TOKEN"] = "123456789:" + rand.Text() + "-abc_DEF9"
		w.tg = fake.NewTelegram(t, w.secrets["TELEGRAM_BOT_TOKEN"])
		fmt.Fprintf(&lines, "TELEGRAM_API_URL=%s\nTELEGRAM_ALLOWED_USERS=%s\n", w.tg.URL(), joinIDs(s.telegram))
	}
	for name, value := range w.secrets {
		fmt.Fprintf(&lines, "%s=%s\n", name, value)
	}
	w.write(".env", lines.String())
	if !s.ready {
		s.config = cold + s.config
	}
	if s.config != "" {
		w.write("config/secureclaw.yaml", s.config)
	}
	t.Cleanup(w.end)
	return w
}

// startWorld is newWorld, and up.
func startWorld(t testing.TB, s setting) *world {
	t.Helper()
	w := newWorld(t, s)
	w.start()
	return w
}

func randomSecret() string {
	key := make([]byte, 32)
	_, _ = rand.Read(key) // never fails
	return base64.StdEncoding.EncodeToString(key)
}

func (w *world) write(name, text string) {
	w.t.Helper()
	path := filepath.Join(w.home, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		w.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) path(name string) string { return filepath.Join(w.home, name) }

// bareEnv is the environment of every program of a story: nothing of the developer's own reaches it.
func bareEnv() []string {
	return []string{"PATH=" + binDir + ":" + os.Getenv("PATH"), "HOME=" + os.TempDir(), "LANG=C.UTF-8", "TZ=UTC"}
}

// start runs `secureclaw up` and waits for its ready line.
func (w *world) start() {
	w.t.Helper()
	line := append(slices.Clone(w.launch), w.program, "--home", w.home, "up")
	w.up = exec.Command(line[0], line[1:]...)
	w.up.Env = append(bareEnv(), w.env...)
	w.up.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	reader, writer := io.Pipe()
	w.up.Stdout, w.up.Stderr = writer, writer
	if err := w.up.Start(); err != nil {
		w.t.Fatal(err)
	}
	w.ready, w.ended = make(chan struct{}), make(chan struct{})
	go w.listen(reader, w.ready)
	go func(up *exec.Cmd, ended chan struct{}) {
		defer close(ended)
		_ = up.Wait() // how it ended is judged by who ended it
		_ = writer.Close()
	}(w.up, w.ended)
	select {
	case <-w.ready:
	case <-w.ended:
		w.t.Fatalf("secureclaw up ended:\n%s", w.said)
	case <-time.After(patience):
		w.t.Fatalf("secureclaw up is not ready after %v:\n%s", patience, w.said)
	}
}

func (w *world) listen(r io.Reader, ready chan struct{}) {
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, 4<<20)
	for lines.Scan() {
		w.said.add(lines.Bytes())
		if strings.HasPrefix(lines.Text(), "ready in ") {
			close(ready)
		}
	}
}

// stop ends the installation as a user does, and holds it to leaving nothing behind.
func (w *world) stop() {
	w.t.Helper()
	if w.up == nil {
		return
	}
	_ = w.up.Process.Signal(syscall.SIGTERM)
	select {
	case <-w.ended:
	case <-time.After(patience):
		w.t.Errorf("secureclaw up lives %v after SIGTERM:\n%s", patience, w.said)
		_ = w.up.Process.Kill()
		<-w.ended
	}
	w.up = nil
	if left := w.processes(); len(left) > 0 {
		w.t.Errorf("processes left after the end: %v", left)
		for _, p := range left {
			_ = syscall.Kill(p.pid, syscall.SIGKILL)
		}
	}
	if left := w.containers(); len(left) > 0 {
		w.t.Errorf("containers left after the end: %v", left)
		_ = exec.Command("docker", append([]string{"rm", "-f"}, left...)...).Run()
	}
}

func (w *world) end() {
	w.stop()
	w.noSecrets()
	if w.t.Failed() {
		w.t.Logf("what the processes said:\n%.4000s", w.said)
	}
	_ = os.RemoveAll(w.home)
}

// process is one process of this installation.
type process struct {
	pid  int
	role string
}

// processes finds every process that was started with this home, whoever is its parent now.
func (w *world) processes() []process {
	var out []process
	names, _ := filepath.Glob("/proc/[0-9]*/cmdline")
	for _, name := range names {
		raw, err := os.ReadFile(name)
		args := strings.Split(strings.TrimRight(string(raw), "\x00"), "\x00")
		at := slices.Index(args, "--home")
		if err != nil || at < 0 || at+1 >= len(args) || args[at+1] != w.home || args[0] != w.program {
			continue
		}
		pid, _ := strconv.Atoi(strings.Split(name, "/")[2])
		role := args[1]
		if role == "--home" && len(args) > 3 {
			role = args[3]
		}
		out = append(out, process{pid, role})
	}
	return out
}

// pid returns the process that has a role now, 0 when there is none.
func (w *world) pid(role string) int {
	for _, p := range w.processes() {
		if p.role == role {
			return p.pid
		}
	}
	return 0
}

// kill ends a role by SIGKILL and waits until its successor is ready.
func (w *world) kill(role string) {
	w.t.Helper()
	old := w.pid(role)
	if old == 0 {
		w.t.Fatalf("no %s runs:\n%s", role, w.said)
	}
	if err := syscall.Kill(old, syscall.SIGKILL); err != nil {
		w.t.Fatal(err)
	}
	w.eventually("a new "+role+" is ready", func() bool {
		now := w.pid(role)
		return now != 0 && now != old && w.claw("status").code == 0
	})
}

// instance is how the runner labels this installation's containers.
func (w *world) instance() string {
	sum := sha256.Sum256([]byte(w.path("state")))
	return hex.EncodeToString(sum[:8])
}

// containers lists the ids of this installation's containers, running or not.
func (w *world) containers() []string {
	w.t.Helper()
	out, err := exec.Command("docker", "ps", "-aq", "--filter", "label=org.secureclaw.instance="+w.instance()).Output()
	if err != nil {
		w.t.Errorf("docker ps: %v", err)
	}
	return strings.Fields(string(out))
}

// noContainer waits for the removal that follows a result in the background.
func (w *world) noContainer() {
	w.t.Helper()
	w.eventually("no container is left but those that wait for a call", func() bool { return w.besides() == 0 })
}

// oneContainer waits until a call runs, and returns its container.
func (w *world) oneContainer() string {
	w.t.Helper()
	var id string
	w.eventually("a container runs", func() bool {
		id = w.busy()
		return id != ""
	})
	return id
}

// eventually looks again and again at what other processes do.
func (w *world) eventually(what string, is func() bool) {
	w.t.Helper()
	limit := time.After(patience)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !is() {
		select {
		case <-tick.C:
		case <-limit:
			w.t.Fatalf("after %v it is still not so: %s\n%s", patience, what, w.said)
		}
	}
}

// outcome is how a command of the user's ended.
type outcome struct {
	stdout, stderr string
	code           int
}

// claw runs the program as a user does, on this home.
func (w *world) claw(args ...string) outcome {
	w.t.Helper()
	return w.begin(args...)()
}

// begin starts a command and returns how to wait for its end.
func (w *world) begin(args ...string) func() outcome {
	w.t.Helper()
	cmd := exec.Command(w.program, append([]string{"--home", w.home}, args...)...)
	cmd.Env = bareEnv()
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Start(); err != nil {
		w.t.Fatal(err)
	}
	timer := time.AfterFunc(longest, func() { _ = cmd.Process.Kill() })
	return func() outcome {
		w.t.Helper()
		defer timer.Stop()
		err := cmd.Wait()
		if _, ok := errors.AsType[*exec.ExitError](err); err != nil && !ok {
			w.t.Fatalf("%v: %v", args, err)
		}
		w.shown.add(stdout.Bytes())
		w.shown.add(stderr.Bytes())
		return outcome{stdout.String(), stderr.String(), cmd.ProcessState.ExitCode()}
	}
}
