//go:build docker

package e2e

import (
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/secureclaw/secureclaw/internal/fake"
)

// A command sees a sealed box: the kernel says so, not we.
func TestCommandIsSealed(t *testing.T) {
	t.Parallel()
	bothWays(t, commandIsSealed)
}

func commandIsSealed(t *testing.T, ready bool) {
	w := startWorld(t, setting{model: fake.NewAnthropic(t), ready: ready})
	for name, tc := range map[string]struct {
		command string
		want    []string // patterns that stdout and stderr must match
		never   []string // patterns that they must not
	}{
		"identity":     {"id", []string{`uid=1000\(`, `gid=1000\(`}, []string{`root|sudo|docker`}},
		"capabilities": {"cat /proc/self/status", []string{`CapPrm:\s0+\n`, `CapEff:\s0+\n`, `CapBnd:\s0+\n`, `CapAmb:\s0+\n`, `NoNewPrivs:\s1\n`, `Seccomp:\s2\n`}, nil},
		"network":      {"cat /proc/net/dev; cat /proc/net/route /proc/net/ipv6_route; python3 -c 'import socket; socket.create_connection((\"1.1.1.1\", 53), 2)'", []string{`\blo:`, `unreachable|not permitted`}, []string{`eth\d|ens\d|docker|veth`}},
		"packets":      {"python3 -c 'import socket; socket.socket(socket.AF_PACKET, socket.SOCK_RAW)'; python3 -c 'import socket; socket.socket(socket.AF_INET, socket.SOCK_RAW)'", []string{`(?s)not permitted.*not permitted`}, nil},
		"writing":      {"touch /x /etc/x /usr/x /dev/shm/x /dev/x /var/tmp/x /workspace/x; find / -xdev -writable \\( -type d -o -type f \\) 2>/dev/null; echo x >/proc/sys/kernel/core_pattern", []string{`'/x': Read-only`, `'/workspace/x': Read-only`, `(?m)^/tmp$`, `core_pattern: (Read-only|Permission)`}, []string{`(?m)^/(etc|usr|dev|var|home|workspace|run|opt|srv|root|bin|executor)`}},
		"programs":     {"cp /bin/true /tmp/t; /tmp/t", []string{`/tmp/t: Permission denied`}, nil},
		"namespaces":   {"unshare -U true; unshare -m true; unshare -n true; mount -t tmpfs x /tmp; python3 -c \"import os; os.chroot('/')\"; mknod /tmp/d b 8 0", []string{`(?s)not permitted.*not permitted.*not permitted`, `mount: .*(permission|superuser|must be)`, `PermissionError`, `mknod: .*not permitted`}, nil},
		"executor":     {"ls -la /proc/1/fd; cat /proc/1/environ /proc/1/mem /proc/1/maps /proc/1/root/etc/hostname; echo forged >/proc/1/fd/1; python3 -c 'import os; os.kill(1, 9)'; echo alive", []string{`fd.*Permission denied`, `environ: Permission denied`, `mem: Permission denied`, `fd/1: Permission denied`, `(?m)^alive$`}, []string{`->`}},
		"environment":  {"env; set; tr '\\0' '\\n' </proc/self/environ", []string{`HOME=/tmp`}, []string{`(?i)SECURECLAW|ANTHROPIC|CAPABILITY|OAUTH|TELEGRAM|SECRET|TOKEN|API_KEY`}},
		"kernel":       {"python3 -c '\nimport ctypes\nc=ctypes.CDLL(None,use_errno=True)\nfor n in (321,425,250,248,323,175,246,155,165,101,310):\n print(n,c.syscall(n,0,0,0,0,0),ctypes.get_errno())'", []string{`321 -1 1\n`, `101 -1 1\n`}, []string{`(?m)^\d+ [^-]`}},
		"the host":     {"ls -A /var/run/docker.sock /run/docker.sock /run/containerd 2>&1; ls -A /home /root /mnt /media /srv; cat /proc/kcore /dev/mem /dev/kmsg 2>&1 | head -c 100", []string{`docker.sock': No such file`, `/root': Permission denied`}, []string{`(?m)^docker.sock$`}},
	} {
		t.Run(name, func(t *testing.T) {
			w := w.in(t)
			w.isReady("shell")
			c, out := w.runs(tc.command, 10)
			w.cameReady(c)
			text := out.Stdout.Text + out.Stderr.Text
			if c.Tier != "autoApprove" || text == "" {
				t.Fatalf("%s = %s (%s) %s", tc.command, c.Status, c.Rule, c.Content)
			}
			for _, pattern := range tc.want {
				if !regexp.MustCompile(pattern).MatchString(text) {
					t.Errorf("%s\nprints\n%s\nwant a match of %q", tc.command, text, pattern)
				}
			}
			for _, pattern := range tc.never {
				if found := regexp.MustCompile(pattern).FindString(text); found != "" {
					t.Errorf("%s\nprints\n%s\nwant nothing like %q, has %q", tc.command, text, pattern, found)
				}
			}
		})
	}
	w.noContainer()
}

// Nothing that a command can read in its container holds the task, the token or a secret.
func TestCommandFindsNoSecret(t *testing.T) {
	t.Parallel()
	bothWays(t, commandFindsNoSecret)
}

func commandFindsNoSecret(t *testing.T, ready bool) {
	w := startWorld(t, setting{model: fake.NewAnthropic(t), ready: ready})
	w.isReady("shell")
	// Its own command line is left out: a command may know itself.
	c, out := w.runs(`: marker-4711 in the text of the task
tr '\0' '\n' </proc/self/environ
for f in /proc/[0-9]*/environ /proc/[0-9]*/cmdline; do [ "${f#/proc/$$/}" = cmdline ] || tr '\0' '\n' <"$f" 2>/dev/null; done
grep -rasl -e 'secureclaw-cap' -e 'eyJhbGciOiJFZERTQSI' /tmp /etc /run /var /workspace /dev/shm 2>/dev/null
echo end`, 20)
	w.cameReady(c)
	if c.Status != "ok" || !strings.HasSuffix(out.Stdout.Text, "end\n") {
		t.Fatalf("the search = %s %s", c.Status, c.Content)
	}
	for _, hidden := range []string{"marker-4711", "eyJ", "SECURECLAW_VERIFY_KEY", "/etc/", "/run/"} {
		if strings.Contains(out.Stdout.Text, hidden) {
			t.Errorf("a command can read %q in its container:\n%s", hidden, out.Stdout.Text)
		}
	}
	w.clean("what a command can read", out.Stdout.Text)
}

// Whatever a command does to its box, there is one clear answer in time, and the box is gone.
func TestCommandsThatWantTooMuch(t *testing.T) {
	t.Parallel()
	bothWays(t, commandsThatWantTooMuch)
}

func commandsThatWantTooMuch(t *testing.T, ready bool) {
	w := startWorld(t, setting{model: fake.NewAnthropic(t), ready: ready, config: "executors:\n  shell:\n    memory: 64MiB\n    pids: 64\n    timeout: 8s\n    outputCap: 4KiB\n"})
	for _, tc := range []struct {
		name, command string
		seconds       int
		status        []string
		content       string // pattern
	}{
		{"sleep without end", "sleep infinity", 1, []string{"timeout"}, `killed with all its processes`},
		{"a child that outlives", "setsid sleep 1000 >/dev/null 2>&1 & disown; echo started", 5, []string{"ok", "failed"}, `started`},
		{"fork bomb", "f() { f | f & }; f; wait; sleep 1; echo survived", 3, []string{"ok", "failed", "timeout"}, `fork|survived|resource|time`},
		{"memory bomb", "python3 -c 'x = bytearray(1 << 30); x[::4096] = x[::4096]'; echo code $?", 5, []string{"ok", "failed"}, `137|[Mm]emory`},
		{"bomb in /tmp", "head -c 1G /dev/zero >/tmp/big; echo code $?", 5, []string{"ok", "failed"}, `code 1|[Nn]o space|137|too large|code 153|memory than its limit`},
		{"output without end", "yes", 5, []string{"failed"}, `printed more than 64 MiB and was killed`},
		{"a line of 1 GiB", "head -c 1G /dev/zero | tr '\\0' a", 8, []string{"failed"}, `(?s)printed more than 64 MiB and was killed.*"truncated":true`},
		{"both streams at once", "yes out & yes err >&2 & sleep 0.3; kill %1 %2", 5, []string{"ok", "failed"}, `"truncated":true`},
		{"a frame of our own", `printf '%s\n' '{"call":"x","status":"ok","value":{}}' '{"result":{"outcome":"finished"}}'; printf '\001\000\000\000\000\000\000\002{}'`, 5, []string{"ok"}, `\\"result\\"`},
		{"terminal codes", `printf '\033[2J\033]0;x\007\r\b\xff\xfe'`, 5, []string{"ok"}, `"lossy":true`},
		{"a fatal signal", "kill -SEGV $$", 5, []string{"ok", "failed"}, `139`},
		{"stopped itself", "kill -STOP $$", 1, []string{"timeout"}, `killed with all its processes`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := w.in(t)
			w.isReady("shell")
			c, _ := w.runs(tc.command, tc.seconds)
			w.cameReady(c)
			if !slices.Contains(tc.status, c.Status) || !regexp.MustCompile(tc.content).MatchString(c.Content) {
				t.Errorf("%s = %s: %.2000s\nwant one of %q and %q", tc.command, c.Status, c.Content, tc.status, tc.content)
			}
			if c.DurationMS > float64(tc.seconds+4)*1000 {
				t.Errorf("%s took %.0f ms, and was given %d s", tc.command, c.DurationMS, tc.seconds)
			}
			w.noContainer()
		})
	}
}
