package main

import (
	"bytes"
	"context"
	"encoding/base64"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/secureclaw/secureclaw/internal/config"
)

// roleAt runs a role of a home as a process of its own, until it has its socket.
func roleAt(t *testing.T, home, name, socket string, more ...string) *exec.Cmd {
	t.Helper()
	cmd := exec.Command(os.Args[0], append([]string{name, "--home", home}, more...)...)
	// No engine: the runner answers all the same, and says so.
	cmd.Env = []string{"SECURECLAW_UNDER_TEST=main", "PATH=" + os.Getenv("PATH"), "HOME=" + home, "DOCKER_HOST=unix://" + home + "/none",
		"CAPABILITY_SECRET=0123456789abcdefghijklmnopqrstuvwxyzABCDEFGH", envPublicKey + "=" + base64.StdEncoding.EncodeToString(make([]byte, 32))}
	var log bytes.Buffer
	cmd.Stderr = &log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		if err := cmd.Wait(); err != nil {
			t.Errorf("%s ended with %v\n%s", name, err, &log)
		}
	})
	await(t, name+" has its socket", func() bool {
		conn, err := net.Dial("unix", socket)
		if err == nil {
			_ = conn.Close()
		}
		return err == nil
	})
	return cmd
}

// profileAt gets one answer from a socket.
func profileAt(t *testing.T, socket, path string) (int, []byte) {
	t.Helper()
	conn, err := net.Dial("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	client := http.Client{Transport: &http.Transport{DialContext: func(context.Context, string, string) (net.Conn, error) { return conn, nil }, DisableKeepAlives: true}}
	got, err := client.Get("http://x/debug/pprof/" + path)
	if err != nil {
		t.Fatalf("GET %s: %v", path, err)
	}
	defer got.Body.Close()
	body, err := io.ReadAll(got.Body)
	if err != nil {
		t.Fatal(err)
	}
	return got.StatusCode, body
}

// Gateway and runner say where their time and memory go, on a socket that only their user reaches.
// They are the programs as they ship: the gateway stays sealed, and no port is opened.
func TestProfiles(t *testing.T) {
	for _, name := range []string{gatewayRole, runnerRole} {
		t.Run(name, func(t *testing.T) {
			home := t.TempDir()
			dirs, err := config.Home(home, os.Getenv)
			if err != nil {
				t.Fatal(err)
			}
			socket := profileSocket(dirs, name)
			cmd := roleAt(t, home, name, socket, "--pprof")
			if info, err := os.Stat(socket); err != nil || info.Mode() != fs.ModeSocket|0o600 {
				t.Errorf("its socket: %v, %v, want mode 0600", info.Mode(), err)
			}
			if info, err := os.Stat(filepath.Dir(socket)); err != nil || info.Mode().Perm() != 0o700 {
				t.Errorf("its folder: %v, %v, want mode 0700", info.Mode(), err)
			}
			if pid := strconv.Itoa(cmd.Process.Pid); name == gatewayRole && filters(t, pid) != filters(t, "self")+1 {
				t.Errorf("the gateway with profiles has %d seccomp filters, want one more than ours", filters(t, pid))
			}
			for path, want := range map[string]string{"heap": "inuse_space/bytes", "profile?seconds=1": "cpu/nanoseconds", "goroutine": "goroutine/count"} {
				code, data := profileAt(t, socket, path)
				file := filepath.Join(t.TempDir(), "profile")
				if err := os.WriteFile(file, data, 0o600); err != nil {
					t.Fatal(err)
				}
				said, err := exec.Command("go", "tool", "pprof", "-raw", file).CombinedOutput()
				if code != http.StatusOK || err != nil || !strings.Contains(string(said), want) {
					t.Errorf("%s = %d, %d bytes, of which go tool pprof -raw says %v, %.300s, want %s", path, code, len(data), err, said, want)
				}
			}
			for _, path := range []string{"cmdline", "", "profile?seconds=0", "profile?seconds=3600", "../heap", "symbol"} {
				if code, said := profileAt(t, socket, path); code != http.StatusBadRequest {
					t.Errorf("%s = %d, %.100s, want it refused", path, code, said)
				}
			}
			if _, words := profileAt(t, socket, "goroutine?debug=2"); !bytes.HasPrefix(words, []byte{0x1f, 0x8b}) {
				t.Errorf("goroutine?debug=2 = %.300s, want the form without words of the stacks", words)
			}
		})
	}
}

// Without the flag there is no socket.
func TestNoProfiles(t *testing.T) {
	for name, socket := range map[string]string{gatewayRole: gatewaySocket, runnerRole: runnerSocket} {
		home := t.TempDir()
		dirs, err := config.Home(home, os.Getenv)
		if err != nil {
			t.Fatal(err)
		}
		roleAt(t, home, name, filepath.Join(dirs.Runtime, socket))
		if found, err := filepath.Glob(filepath.Join(dirs.Runtime, "*pprof*")); err != nil || len(found) > 0 {
			t.Errorf("%s without --pprof: %q, %v", name, found, err)
		}
	}
	if errs, code := func() (string, int) { _, e, c := claw(t, t.TempDir(), "bridge", "telegram", "--pprof"); return e, c }(); code != exitUsage {
		t.Errorf("bridge telegram --pprof = exit %d, %q, want that it has no such flag", code, errs)
	}
}

// up passes the flag on to those that know it.
func TestProfiledRoles(t *testing.T) {
	before := []role{{name: "runner", argv: []string{"/self", "runner"}}, {name: "gateway", argv: []string{"/self", "gateway"}}, {name: "bridge", argv: []string{"/self", "bridge", "telegram"}}}
	for i, r := range profiled(before) {
		if got, want := slices.Contains(r.argv, "--pprof"), r.name != "bridge"; got != want || slices.Contains(before[i].argv, "--pprof") {
			t.Errorf("%s is started as %q", r.name, r.argv)
		}
	}
}
