//go:build docker

package e2e

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/secureclaw/secureclaw/internal/fake"
)

// The addresses of a street. All are public, for nothing else is reached; none of them is asked for
// anything, because the street leads nowhere.
const (
	ownAddress  = "93.184.216.2" // where the installation lives
	siteAddress = "93.184.216.34"
	nameServer  = "93.184.216.53"
)

// street is two network namespaces and a wire between them. The installation, its model and its
// containers' way out are at one end, in `here`; the Internet is at the other: a name server, a web server
// that is every host, and nothing else. What passes on the wire is seen by `wire`.
type street struct {
	t     testing.TB
	here  string
	there string
	site  *fake.Site
	dns   *fake.DNS
	wire  *wiretap
	image string // the web executor's, which trusts the site's authority besides
}

// newStreet makes a street. It needs root, as a container engine does.
func newStreet(t testing.TB) *street {
	t.Helper()
	name := strings.ToLower(rand.Text()[:6])
	s := &street{t: t, here: "claw-" + name + "-a", there: "claw-" + name + "-b"}
	a, b := "cl"+name+"a", "cl"+name+"b"
	for _, ns := range []string{s.here, s.there} {
		s.ip("netns", "add", ns)
		t.Cleanup(func() { s.ip("netns", "delete", ns) })
		s.ip("-n", ns, "link", "set", "lo", "up")
		// The kernel's own chatter (router solicitations, multicast reports) would be packets of nobody.
		s.within(ns, func() error {
			return os.WriteFile("/proc/sys/net/ipv6/conf/all/disable_ipv6", []byte("1"), 0)
		})
	}
	s.ip("link", "add", a, "netns", s.here, "type", "veth", "peer", "name", b, "netns", s.there)
	s.ip("-n", s.here, "addr", "add", ownAddress+"/24", "dev", a)
	s.ip("-n", s.there, "addr", "add", siteAddress+"/24", "dev", b)
	s.ip("-n", s.there, "addr", "add", nameServer+"/24", "dev", b)
	s.within(s.there, func() (err error) { s.wire, err = tap(t, b); return err })
	for _, end := range [][3]string{{s.here, a, b}, {s.there, b, a}} {
		s.ip("-n", end[0], "link", "set", end[1], "up")
	}
	// Everything leads to the other end, so that what tries to leave is seen and not unreachable. The
	// neighbours are written down, or ARP would be on the wire.
	s.ip("-n", s.here, "route", "add", "default", "via", siteAddress)
	hard := func(ns, link string) string {
		out, err := exec.Command("ip", "-n", ns, "-json", "link", "show", link).Output()
		var links []struct{ Address string }
		if err != nil || json.Unmarshal(out, &links) != nil || len(links) != 1 {
			t.Fatalf("ip link show %s: %v: %s", link, err, out)
		}
		return links[0].Address
	}
	for _, addr := range []string{siteAddress, nameServer} {
		s.ip("-n", s.here, "neigh", "replace", addr, "lladdr", hard(s.there, b), "dev", a, "nud", "permanent")
	}
	s.ip("-n", s.there, "neigh", "replace", ownAddress, "lladdr", hard(s.here, a), "dev", b, "nud", "permanent")

	s.within(s.there, func() error {
		https, err := net.Listen("tcp4", siteAddress+":443")
		if err != nil {
			return err
		}
		plain, err := net.Listen("tcp4", siteAddress+":80")
		if err != nil {
			return err
		}
		s.site = fake.NewSiteOn(t, https, plain)
		tcp, err := net.Listen("tcp4", nameServer+":53")
		if err != nil {
			return err
		}
		udp, err := net.ListenPacket("udp4", nameServer+":53")
		if err != nil {
			return err
		}
		s.dns = fake.NewDNSOn(t, udp, tcp)
		return nil
	})
	// `ip netns exec` puts this over /etc/resolv.conf.
	etc := filepath.Join("/etc/netns", s.here)
	if err := os.MkdirAll(etc, 0o755); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(etc) })
	if err := os.WriteFile(filepath.Join(etc, "resolv.conf"), []byte("nameserver "+nameServer+"\noptions timeout:2 attempts:1\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	s.image = trusting(t, s.site)
	return s
}

func (s *street) ip(args ...string) {
	s.t.Helper()
	if out, err := exec.Command("ip", args...).CombinedOutput(); err != nil {
		s.t.Errorf("ip %s: %v: %s", strings.Join(args, " "), err, out)
	}
}

// within runs f in a namespace: the sockets it makes stay there.
func (s *street) within(ns string, f func() error) {
	s.t.Helper()
	done := make(chan error)
	go func() {
		// Never unlocked: the thread ends with this goroutine, and nobody finds himself elsewhere.
		runtime.LockOSThread()
		file, err := os.Open("/run/netns/" + ns)
		if err == nil {
			defer file.Close()
			err = unix.Setns(int(file.Fd()), unix.CLONE_NEWNET)
		}
		if err == nil {
			err = f()
		}
		done <- err
	}()
	if err := <-done; err != nil {
		s.t.Fatalf("in namespace %s: %v", ns, err)
	}
}

// trusting makes an image of the web executor that takes the site's certificates. It differs by one
// file, a policy of Chromium's; program, flags and container are those that ship.
func trusting(t testing.TB, site *fake.Site) string {
	t.Helper()
	dir := t.TempDir()
	policy, err := json.Marshal(map[string]any{"CACertificates": []string{base64.StdEncoding.EncodeToString(site.AuthorityDER())}})
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"authority.json": string(policy),
		"Dockerfile":     "FROM secureclaw/executor-web:latest\nCOPY authority.json /etc/chromium/policies/managed/authority.json\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	image := "secureclaw-test/web:" + strings.ToLower(rand.Text()[:12])
	build := exec.Command("docker", "build", "--quiet", "--tag", image, dir)
	build.Env = append(os.Environ(), "DOCKER_BUILDKIT=0", "BUILDX_BUILDER=default")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("docker build: %v: %s\n  fix  images/build.sh", err, out)
	}
	t.Cleanup(func() { _ = exec.Command("docker", "rmi", "--force", image).Run() })
	return image
}

// live starts an installation at this end, with a model that does what the story says.
func (s *street) live(trusted ...string) *world {
	s.t.Helper()
	var model *fake.Server
	s.within(s.here, func() error { model = fake.NewAnthropic(s.t); return nil })
	return s.liveWith(model, trusted...)
}

// liveWith is live with a model, or with the rehearsal's when there is none.
func (s *street) liveWith(model *fake.Server, trusted ...string) *world {
	s.t.Helper()
	config := fmt.Sprintf("executors:\n  shell: {}\n  file: {}\n  web: {image: %q}\nactionTiers:\n  notify:\n    - {tool: browse_web, when: {domain: trustedDomains}}\ntrustedDomains: [%s]\n",
		s.image, strings.Join(trusted, ", "))
	w := newWorld(s.t, setting{model: model, config: config})
	w.launch = []string{"ip", "netns", "exec", s.here}
	w.start()
	return w
}

// answers gives names the site's address.
func (s *street) answers(names ...string) {
	for _, name := range names {
		s.dns.Answer(name, siteAddress)
	}
}

// browse is a call of browse_web.
func browse(url string) fake.Call {
	return fake.Call{Tool: "browse_web", Input: object(map[string]any{"url": url, "extract": "tree"})}
}
