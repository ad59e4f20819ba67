package egress

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/secureclaw/secureclaw/internal/domain"
	"github.com/secureclaw/secureclaw/internal/run"
)

// attack is one line of ssrf-cases.json: what somebody tries, and what must come of it.
type attack struct {
	ID, Kind, Expect, Why string
	Input                 json.RawMessage
}

// conventions is the first line of the file.
type conventions struct {
	Allow          []string
	DefaultAnswers map[string][]string `json:"default_answers"`
}

func allAttacks(t *testing.T) (all []attack) {
	t.Helper()
	raw, err := os.ReadFile("../../../internal/domain/testdata/ssrf-cases.json")
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(raw, &all); err != nil {
		t.Fatal(err)
	}
	return all
}

// attacks returns the cases of a kind.
func attacks(t *testing.T, kind string) (c conventions, cases []attack) {
	t.Helper()
	all := allAttacks(t)
	if err := json.Unmarshal(all[0].Input, &c); err != nil {
		t.Fatal(err)
	}
	for _, a := range all {
		if a.Kind == kind {
			cases = append(cases, a)
		}
	}
	if len(cases) == 0 || len(c.Allow) == 0 {
		t.Fatalf("%d cases of kind %s with the list %q, want some of both", len(cases), kind, c.Allow)
	}
	return c, cases
}

// decode reads a case's input and fails on what the test does not know.
func decode(t *testing.T, a attack, into any) {
	t.Helper()
	d := json.NewDecoder(strings.NewReader(string(a.Input)))
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		t.Fatalf("case %s: %v", a.ID, err)
	}
}

// rig is a proxy whose DNS is a real server on loopback and whose sites are one.
type rig struct {
	t     *testing.T
	proxy *Proxy
	list  domain.List
	dns   *nameserver

	mu      sync.Mutex
	dialled []netip.AddrPort
	events  []run.Egress
	site    func(net.Conn) // what the other end does, in a goroutine of its own
	work    sync.WaitGroup
}

// newRig lets example.com and the like through; answers is what its DNS says of every name.
func newRig(t *testing.T, answers ...answer) *rig {
	t.Helper()
	c, _ := attacks(t, "connect")
	list, err := domain.ParseList(c.Allow)
	if err != nil {
		t.Fatal(err)
	}
	if len(answers) == 0 {
		answers = []answer{{A: c.DefaultAnswers["A"], AAAA: c.DefaultAnswers["AAAA"]}}
	}
	r := &rig{t: t, list: list, dns: newNameserver(t, answers)}
	r.proxy = New(Options{Limits: DefaultLimits(), Resolver: r.dns.resolver(), Addresses: func() ([]netip.Addr, error) {
		return []netip.Addr{netip.MustParseAddr("93.184.216.99")}, nil
	}})
	r.proxy.connect = r.connect
	r.site = func(conn net.Conn) { _, _ = io.Copy(io.Discard, conn) }
	t.Cleanup(r.work.Wait)
	return r
}

// impatient is for tests in which somebody is silent.
func (r *rig) impatient() {
	r.proxy.limits.Resolve = 400 * time.Millisecond
	r.proxy.limits.Hello = 400 * time.Millisecond
}

// connect notes what would be dialled and goes to a real socket on loopback instead.
func (r *rig) connect(ctx context.Context, to netip.AddrPort) (net.Conn, error) {
	r.mu.Lock()
	r.dialled = append(r.dialled, to)
	r.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	here, there := socketPair(r.t)
	r.work.Go(func() {
		defer there.Close()
		r.site(there)
	})
	return here, nil
}

func (r *rig) told(e run.Egress) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.events = append(r.events, e)
}

// attempt serves one connection in which browse is the browser, and returns what was told of it
// without the totals.
func (r *rig) attempt(browse func(net.Conn)) []run.Egress {
	r.t.Helper()
	r.mu.Lock()
	r.events, r.dialled = nil, nil
	r.mu.Unlock()
	task := r.proxy.Task(r.list, r.told)
	browser, served := socketPair(r.t)
	var serving sync.WaitGroup
	serving.Go(func() { task.Serve(r.t.Context(), served) })
	browse(browser)
	browser.Close()
	serving.Wait()
	task.Close()
	r.mu.Lock()
	defer r.mu.Unlock()
	last := len(r.events) - 1
	if last < 0 || !r.events[last].Total || r.events[last].Count != 1 {
		r.t.Fatalf("told %+v, want the totals of 1 connection at the end", r.events)
	}
	return r.events[:last]
}

func (r *rig) addresses() (out []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, to := range r.dialled {
		out = append(out, to.String())
	}
	return out
}

// verdict is what a list of events says in the words of the cases: the last refusal, or allow.
func verdict(events []run.Egress) string {
	switch {
	case len(events) == 0:
		return "nothing was told"
	case events[len(events)-1].Allowed:
		return "allow"
	}
	return "deny:" + events[len(events)-1].Code
}

// ask sends a request and returns the status and the code in the answer.
func ask(conn net.Conn, request string) (status int, code string, err error) {
	_ = conn.SetDeadline(time.Now().Add(5 * time.Second))
	if _, err := io.WriteString(conn, request); err != nil {
		return 0, "", err
	}
	answer, err := http.ReadResponse(bufio.NewReaderSize(oneByte{conn}, 16), &http.Request{Method: http.MethodConnect})
	if err != nil {
		return 0, "", err
	}
	_, rest, _ := strings.Cut(answer.Header.Get("Proxy-Status"), `details="`)
	code, _, _ = strings.Cut(rest, `"`)
	return answer.StatusCode, code, nil
}

// oneByte keeps a buffered reader from taking what comes after the head.
type oneByte struct{ r io.Reader }

func (o oneByte) Read(b []byte) (int, error) { return o.r.Read(b[:1]) }

func connectTo(target string) string {
	return fmt.Sprintf("CONNECT %s HTTP/1.1\r\n\r\n", target)
}

// socketPair is a TCP connection on loopback.
func socketPair(t testing.TB) (a, b net.Conn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if a, err = net.Dial("tcp", l.Addr().String()); err != nil {
		t.Fatal(err)
	}
	if b, err = l.Accept(); err != nil {
		t.Fatal(err)
	}
	return a, b
}

func contains(list []string, all ...string) bool {
	return !slices.ContainsFunc(all, func(s string) bool { return !slices.Contains(list, s) })
}
