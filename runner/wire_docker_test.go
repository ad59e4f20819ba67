//go:build docker

package runner

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/secureclaw/secureclaw/internal/config"
	"github.com/secureclaw/secureclaw/internal/run"
	"github.com/secureclaw/secureclaw/internal/strict"
	"github.com/secureclaw/secureclaw/runner/internal/egress"
)

// A hostile program in the web executor's container plays what no browser sends. The tunnel, the way
// out and the container are the real ones.

type ssrfCase struct {
	ID, Kind, Expect, Why string
	Input                 json.RawMessage
}

// cases are those of a kind, at least n.
func cases(tb testing.TB, kind string, n int) []ssrfCase {
	tb.Helper()
	data, err := os.ReadFile("../internal/domain/testdata/ssrf-cases.json")
	if err != nil {
		tb.Fatal(err)
	}
	var all, some []ssrfCase
	if err := json.Unmarshal(data, &all); err != nil {
		tb.Fatal(err)
	}
	for _, c := range all {
		if c.Kind == kind {
			some = append(some, c)
		}
	}
	if len(some) < n {
		tb.Fatalf("%d cases of kind %s, want at least %d", len(some), kind, n)
	}
	return some
}

// play runs a script in the hostile executor, as a call for a page of host.
func (b *bed) play(tb testing.TB, host string, timeout time.Duration, script ...map[string]any) (visit, []string) {
	tb.Helper()
	claims := pageClaims(tb, b.cfg, host)
	claims.TimeoutMS = timeout.Milliseconds()
	b.prepared(tb, kindWeb)
	v := b.visitWith(tb, claims, scripted(tb, host, script))
	if v.refusal != nil {
		tb.Fatalf("refused: %+v", *v.refusal)
	}
	b.came(tb, v.result)
	var said []string
	if v.result != nil && v.result.Output != nil {
		if err := strict.Decode(v.result.Output.Value, &said); err != nil {
			tb.Fatal(err)
		}
	}
	return v, said
}

func scripted(tb testing.TB, host string, script []map[string]any) run.Browse {
	tb.Helper()
	text, err := json.Marshal(script)
	if err != nil {
		tb.Fatal(err)
	}
	return run.Browse{URL: "https://" + host + "/", Extract: run.ExtractText, Actions: []run.BrowseAction{{Do: run.DoType, Text: string(text)}}}
}

type steps = map[string]any

func on(stream int, what string, value any) steps { return steps{"on": stream, what: value} }

func sending(stream int, data string, cut int) steps {
	s := on(stream, "send", base64.StdEncoding.EncodeToString([]byte(data)))
	if cut > 1 {
		s["cut"] = cut
	}
	return s
}

const connectExample = "CONNECT example.com:443 HTTP/1.1\r\nHost: example.com:443\r\n\r\n"

// hostileBed is a runner whose web executor is hostile, in a world that records raw bytes.
func hostileBed(tb testing.TB, keep config.Bytes, limits func(*egress.Limits)) (*bed, *world, *record) {
	tb.Helper()
	w := newWorld(tb, newAuthority(tb), nil)
	r := &record{}
	w.good.serveRaw(r.serve)
	w.evil.serveRaw(r.serve)
	cfg := browserConfig(tb, hostileImage(tb))
	cfg.Executors = map[string]config.Executor{kindWeb: cfg.Executors[kindWeb]}
	cfg.Runner.Ready.Memory = keep
	return newBedWith(tb, cfg, limited(w.seam(), limits)), w, r
}

func limited(s seams, limits func(*egress.Limits)) seams {
	if limits == nil {
		return s
	}
	way := s.way
	s.way = func(o *egress.Options) {
		way(o)
		limits(&o.Limits)
	}
	return s
}

// record is what arrived outside.
type record struct {
	mu    sync.Mutex
	bytes []byte
	open  int
}

func (r *record) serve(c net.Conn) {
	defer c.Close()
	r.mu.Lock()
	r.open++
	r.mu.Unlock()
	defer func() { r.mu.Lock(); r.open--; r.mu.Unlock() }()
	_, _ = io.WriteString(c, "outside")
	for buf := make([]byte, 4096); ; {
		n, err := c.Read(buf)
		r.mu.Lock()
		r.bytes = append(r.bytes, buf[:n]...)
		r.mu.Unlock()
		if err != nil {
			return
		}
	}
}

func (r *record) arrived() []byte {
	r.mu.Lock()
	defer r.mu.Unlock()
	return bytes.Clone(r.bytes)
}

func (r *record) connections() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.open
}

// told counts the decisions with code; allowed ones have none.
func told(v visit, code string) (n int64) {
	for _, e := range v.egress {
		if !e.Total && e.Code == code && e.Allowed == (code == "") {
			n += max(e.Count, 1)
		}
	}
	return n
}

// What a taken over executor says to the proxy instead of a correct CONNECT is refused with its code,
// told, and reaches nobody; the answer says nothing back.
func TestHostileRequests(t *testing.T) { bothWays(t, hostileRequests) }

func hostileRequests(t *testing.T, keep config.Bytes) {
	b, w, r := hostileBed(t, keep, nil)
	for _, c := range cases(t, "http", 8) {
		t.Run(c.ID, func(t *testing.T) {
			var raw string
			if err := json.Unmarshal(c.Input, &raw); err != nil {
				t.Fatal(err)
			}
			code := strings.TrimPrefix(c.Expect, "deny:")
			v, said := b.play(t, "example.com", 20*time.Second, sending(1, raw, 1), on(1, "head", true), on(1, "rest", 500))
			refusedOutside(t, c, w, r)
			if got := told(v, code); got != 1 || told(v, "") != 0 {
				t.Errorf("%s (%s): %q is told as %+v, want one refusal %s", c.ID, c.Why, raw, v.egress, code)
			}
			if len(said) != 2 || strings.HasPrefix(said[0], "HTTP/1.1 2") || strings.Contains(said[0]+said[1], "evil") || strings.Contains(said[0]+said[1], "0123456789") || strings.Contains(said[0], "Zm9v") {
				t.Errorf("%s: the proxy answers %q, want a refusal that reflects nothing", c.ID, said)
			}
			if strings.HasPrefix(said[0], "HTTP/") && !strings.Contains(said[0], `details="`+code+`"`) {
				t.Errorf("%s: the answer %q does not say %s", c.ID, said[0], code)
			}
		})
	}
}

func refusedOutside(t *testing.T, c ssrfCase, w *world, r *record) {
	t.Helper()
	if data := r.arrived(); len(data) > 0 {
		t.Errorf("%s (%s): outside arrived %q, want nothing", c.ID, c.Why, data)
	}
	if n, _, _ := w.evil.seen(); n != 0 {
		t.Errorf("%s (%s): %d connections to a host that is not allowed", c.ID, c.Why, n)
	}
}

// After a CONNECT that was taken the first bytes decide, and not one of them leaves before.
func TestHostileHellos(t *testing.T) { bothWays(t, hostileHellos) }

func hostileHellos(t *testing.T, keep config.Bytes) {
	b, w, _ := hostileBed(t, keep, func(l *egress.Limits) { l.Hello = time.Second })
	for _, c := range cases(t, "tls", 16) {
		t.Run(c.ID, func(t *testing.T) {
			r := &record{}
			w.good.serveRaw(r.serve)
			w.evil.serveRaw(r.serve)
			var in struct {
				Target string `json:"target"`
				Hello  hello  `json:"hello"`
			}
			decoder := json.NewDecoder(bytes.NewReader(c.Input))
			decoder.DisallowUnknownFields()
			if err := decoder.Decode(&in); err != nil {
				t.Fatalf("%s: %v: teach hello the new field", c.ID, err)
			}
			host, _, _ := strings.Cut(in.Target, ":")
			data := string(in.Hello.bytes(host))
			v, said := b.play(t, host, 20*time.Second,
				sending(1, "CONNECT "+in.Target+" HTTP/1.1\r\nHost: "+in.Target+"\r\n\r\n", 1), on(1, "head", true),
				sending(1, data, in.Hello.Cut), on(1, "rest", 2500))
			if len(said) < 2 || !strings.HasPrefix(said[0], "HTTP/1.1 200") {
				t.Fatalf("%s: CONNECT %s is answered %q, want 200", c.ID, in.Target, said)
			}
			last := said[len(said)-1]
			if c.Expect == "allow" {
				if got := string(r.arrived()); got != data || !strings.HasPrefix(last, "outside") || told(v, "") != 1 {
					t.Errorf("%s (%s): outside arrived %d bytes of %d, and came back %q; told %+v", c.ID, c.Why, len(got), len(data), last, v.egress)
				}
				return
			}
			code := strings.TrimPrefix(c.Expect, "deny:")
			refusedOutside(t, c, w, r)
			if strings.Contains(last, "outside") {
				t.Errorf("%s (%s): what is outside answered", c.ID, c.Why)
			}
			if got := told(v, code); got != 1 {
				t.Errorf("%s (%s): told %+v, want one refusal %s", c.ID, c.Why, v.egress, code)
			}
		})
	}
}

// Upload is capped, per stream and per task, whatever the stream pretends to be.
func TestHostileUpload(t *testing.T) { bothWays(t, hostileUpload) }

func hostileUpload(t *testing.T, keep config.Bytes) {
	b, _, r := hostileBed(t, keep, nil)
	good := string(hello{SNI: []string{"example.com"}}.bytes("example.com"))
	var script []steps
	for i := 1; i <= 8; i++ {
		script = append(script, sending(i, connectExample, 1), on(i, "head", true), sending(i, good, 1), on(i, "pump", 4<<20))
	}
	v, _ := b.play(t, "example.com", 60*time.Second, script...)
	limits := egress.DefaultLimits()
	if n := int64(len(r.arrived())); n > limits.UpTask || n == 0 {
		t.Errorf("%d bytes arrived outside, want more than none and at most %d", n, limits.UpTask)
	}
	if told(v, "limit") == 0 {
		t.Errorf("told %+v, want refusals limit", v.egress)
	}
}

// The container has nothing but loopback, no secret, and only the names of its task.
func TestHostileContainer(t *testing.T) { bothWays(t, hostileContainer) }

func hostileContainer(t *testing.T, keep config.Bytes) {
	b, _, _ := hostileBed(t, keep, nil)
	v, said := b.play(t, "site.example.com", 20*time.Second, on(0, "net", true), on(0, "env", true))
	if len(said) != 2 || strings.Count(said[0], "\n") != 3 || !strings.Contains(said[0], "lo:") {
		t.Errorf("the container's interfaces: %q, want lo alone", said)
	}
	if strings.Contains(said[1], "site.example.com") || strings.Contains(said[1], "eyJ") {
		t.Errorf("the container's environment tells of its task: %q", said[1])
	}
	if len(v.egress) != 1 || !v.egress[0].Total || v.egress[0].Count != 0 {
		t.Errorf("told %+v, want empty totals alone", v.egress)
	}
}
