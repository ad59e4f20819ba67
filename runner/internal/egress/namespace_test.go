package egress

import (
	"crypto/tls"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/secureclaw/secureclaw/internal/domain"
	"github.com/secureclaw/secureclaw/internal/run"
)

// inNamespace is set in the test program that runs in namespaces of its own.
const inNamespace = "EGRESS_TEST_IN_NAMESPACE"

// The proxy as it is in production, with nothing in place of anything: its own resolver with
// /etc/resolv.conf and /etc/hosts, its own dialer on port 443, the kernel's addresses. It runs in a
// network and a file tree of its own, in which public addresses lead back here.
func TestProduction(t *testing.T) {
	if os.Getenv(inNamespace) != "" {
		production(t)
		return
	}
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestProduction$", "-test.v")
	cmd.Env = append(os.Environ(), inNamespace+"="+t.TempDir(), "ALL_PROXY=socks5://127.0.0.1:9", "HTTPS_PROXY=http://127.0.0.1:9")
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  syscall.CLONE_NEWUSER | syscall.CLONE_NEWNS | syscall.CLONE_NEWNET,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}},
	}
	if out, err := cmd.CombinedOutput(); err != nil || !strings.Contains(string(out), "--- PASS: TestProduction/") {
		t.Fatalf("in namespaces: %v\n%s", err, out)
	}
}

func production(t *testing.T) {
	dir := os.Getenv(inNamespace)
	for name, text := range map[string]string{
		"resolv.conf": "search allowed.test evil.test\noptions ndots:5\nnameserver 127.0.0.1\n",
		"hosts":       "127.0.0.1 localhost\n10.0.0.7 hosts.allowed.test\n",
	} {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		if err := unix.Mount(path, "/etc/"+name, "", unix.MS_BIND, ""); err != nil {
			t.Fatalf("mount /etc/%s: %v", name, err)
		}
	}
	for _, args := range []string{
		"link set lo up",
		"address add 198.41.0.4/32 dev lo",     // an address of this computer
		"route add local 93.184.0.0/16 dev lo", // somebody else's, answered here
	} {
		if out, err := exec.CommandContext(t.Context(), "ip", strings.Fields(args)...).CombinedOutput(); err != nil {
			t.Fatalf("ip %s: %v\n%s", args, err, out)
		}
	}
	certificate, roots := certificate(t, "example.com")
	l, err := net.Listen("tcp", "0.0.0.0:443")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	peers := make(chan string, 10)
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			peers <- conn.LocalAddr().String()
			go func() {
				defer conn.Close()
				servePage(conn, &tls.Config{Certificates: []tls.Certificate{certificate}})
			}()
		}
	}()
	proxy := New(Options{Limits: DefaultLimits()})
	list := domain.List{"example.com", "*.allowed.test", "com.allowed.test"}
	attempt := func(t *testing.T, target string, browse func(net.Conn)) (last run.Egress) {
		task := proxy.Task(list, func(e run.Egress) {
			if !e.Total {
				last = e
			}
		})
		browser, served := socketPair(t)
		done := make(chan struct{})
		go func() {
			task.Serve(t.Context(), served)
			close(done)
		}()
		status, code, err := ask(browser, connectTo(target))
		t.Logf("%s: %d %s %v", target, status, code, err)
		if status == 200 && browse != nil {
			browse(browser)
		}
		browser.Close()
		<-done
		task.Close()
		return last
	}
	for name, tc := range map[string]struct {
		target  string
		answers answer
		want    string // code, or the address that is reached
		asked   string
	}{
		"a site":               {"example.com:443", answer{A: []string{"93.184.216.34"}}, "93.184.216.34", "A example.com. AAAA example.com."},
		"a dead address first": {"example.com:443", answer{A: []string{"93.184.216.34"}, AAAA: []string{"2606:4700::1"}}, "93.184.216.34", "A example.com. AAAA example.com."},
		"this computer":        {"example.com:443", answer{A: []string{"198.41.0.4"}}, "self", "A example.com. AAAA example.com."},
		"loopback":             {"example.com:443", answer{A: []string{"127.0.0.1"}}, "loopback", "A example.com. AAAA example.com."},
		"no such name":         {"example.com:443", answer{Rcode: "NXDOMAIN"}, "dns_error", "A example.com. AAAA example.com."},
		"in the hosts file":    {"hosts.allowed.test:443", answer{A: []string{"93.184.216.34"}}, "private", ""},
		"not on the list":      {"evil.test:443", answer{A: []string{"93.184.216.34"}}, "not_allowed", ""},
		"nobody is there":      {"example.com:443", answer{AAAA: []string{"2606:4700::1"}}, "dial_error", "A example.com. AAAA example.com."},
	} {
		t.Run(name, func(t *testing.T) {
			dns := newNameserverAt(t, "127.0.0.1:53", []answer{tc.answers})
			page := ""
			last := attempt(t, tc.target, func(conn net.Conn) {
				page, err = fetchPage(conn, &tls.Config{RootCAs: roots, ServerName: "example.com"}, "example.com")
			})
			switch address, parseErr := netip.ParseAddr(tc.want); {
			case parseErr == nil:
				if !last.Allowed || last.Address != address.String() || page != "example.com example.com" {
					t.Errorf("told %+v, page %q, %v, want the page of %s", last, page, err, tc.want)
				}
				if got := <-peers; got != tc.want+":443" {
					t.Errorf("%s was reached, want %s:443", got, tc.want)
				}
			case last.Code != tc.want || len(peers) > 0:
				t.Errorf("told %+v, %d connections, want %s and none", last, len(peers), tc.want)
			}
			asked := dns.questions()
			if want := strings.ReplaceAll(tc.asked, ". A", ".|A"); len(asked) != len(strings.FieldsFunc(want, func(r rune) bool { return r == '|' })) ||
				tc.asked != "" && !contains(asked, strings.Split(want, "|")...) {
				t.Errorf("asked %q, want %q", asked, tc.asked)
			}
		})
	}
	t.Run("the canary", func(t *testing.T) {
		if err := proxy.Canary(t.Context()); err != nil || len(peers) > 0 {
			t.Errorf("Canary() = %v, %d connections, want none", err, len(peers))
		}
	})
}
