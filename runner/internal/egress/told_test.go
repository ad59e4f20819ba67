package egress

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/netip"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/secureclaw/secureclaw/internal/domain"
	"github.com/secureclaw/secureclaw/internal/run"
)

// answers is a DNS that counts and does something at each question.
type answers struct {
	mu    sync.Mutex
	names map[string]int
	next  func() netip.Addr
}

func (a *answers) LookupNetIP(_ context.Context, _, name string) ([]netip.Addr, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.names[name]++
	return []netip.Addr{a.next()}, nil
}

// teller is a task of which all is remembered.
type teller struct {
	*Task
	dns    *answers
	events []run.Egress
}

func newTeller(t *testing.T, next func() netip.Addr) *teller {
	t.Helper()
	r := newRig(t)
	out := &teller{dns: &answers{names: map[string]int{}, next: next}}
	r.proxy.resolver = out.dns
	r.site = func(conn net.Conn) { _, _ = conn.Read(make([]byte, 1)) }
	out.Task = r.proxy.Task(r.list, func(e run.Egress) { out.events = append(out.events, e) })
	return out
}

// browse serves one connection of ctx, in which the browser asks for a name, and then greets or leaves.
func (o *teller) browse(ctx context.Context, t *testing.T, name string, greets bool) (code string) {
	t.Helper()
	browser, served := socketPair(t)
	var serving sync.WaitGroup
	serving.Go(func() { o.Serve(ctx, served) })
	_, code, _ = ask(browser, connectTo(name+":443"))
	if greets && code == "" {
		_, _ = browser.Write(plainHello(name).bytes())
		_, _ = io.Copy(io.Discard, browser)
	}
	browser.Close()
	serving.Wait()
	return code
}

func public() netip.Addr { return publicAddress }

// A flood of refusals must not leave the one connection that carried something without its name.
func TestFloodHidesNothing(t *testing.T) {
	o := newTeller(t, public)
	for i := range maxDecisions + 10 {
		o.browse(t.Context(), t, fmt.Sprintf("n%d.evil.test", i), true)
	}
	o.browse(t.Context(), t, "secret.allowed.test", true)
	o.Close()
	want := run.Egress{Name: "secret.allowed.test", Allowed: true, Address: publicAddress.String()}
	if got := o.events[len(o.events)-3]; !cmp.Equal(got, want) {
		t.Errorf("told %+v, want %+v", got, want)
	}
}

// Nor may a site hide by a new address each time: the name stays.
func TestFloodOfAddresses(t *testing.T) {
	n := uint32(0)
	o := newTeller(t, func() netip.Addr {
		n++
		return netip.AddrFrom4([4]byte(binary.BigEndian.AppendUint32(nil, 0x5db80000+n)))
	})
	for range maxDecisions + 10 {
		o.browse(t.Context(), t, "example.com", true)
	}
	o.browse(t.Context(), t, "secret.allowed.test", true)
	o.browse(t.Context(), t, "strange.evil.test", true)
	if last := o.events[len(o.events)-1]; last.Name != "strange.evil.test" || last.Code != "not_allowed" {
		t.Errorf("told %+v, want the refusal with its name", last)
	}
	o.Close()
	if o.tell(decision{name: "example.com"}, nil) {
		t.Error("after Close a connection that nobody is told of may go on, want it ended")
	}
	told := map[string]int64{}
	for _, e := range o.events {
		if e.Allowed && !e.Total && (e.Address == "" || e.Name != "example.com") {
			told[e.Name+" "+e.Address] += max(e.Count, 1)
		}
	}
	if want := map[string]int64{"example.com ": 11, "secret.allowed.test ": 1}; !cmp.Equal(told, want) {
		t.Errorf("without an address were told %v, want %v: the first, and all 10 at the end", told, want)
	}
	if len(o.events) > maxDecisions+6 {
		t.Errorf("%d events were told, want a bounded number", len(o.events))
	}
}

// Below a wildcard a name is a message to its owner's servers, so there are not many of them.
func TestNamesAreBounded(t *testing.T) {
	o := newTeller(t, public)
	name := func(i int) string { return fmt.Sprintf("data%d.allowed.test", i) }
	for i := range maxNames + 5 {
		if code := o.browse(t.Context(), t, name(i), false); (code == "") != (i < maxNames) || code != "" && code != "limit" {
			t.Fatalf("name %d: answered %q, want limit after %d", i, code, maxNames)
		}
	}
	if code := o.browse(t.Context(), t, name(0), true); code != "" {
		t.Errorf("a name that was asked for before: %q, want it let through", code)
	}
	if len(o.dns.names) != maxNames {
		t.Errorf("the DNS was asked for %d names, want %d", len(o.dns.names), maxNames)
	}
}

// A hostile program opens and leaves as fast as it can: the sites it knocks at are not ours.
func TestKnocksAreBounded(t *testing.T) {
	o := newTeller(t, public)
	for range maxAsked {
		if err := o.ask("example.com"); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"example.com", "a.allowed.test"} {
		if code := o.browse(t.Context(), t, name, true); code != "limit" {
			t.Errorf("%s after %d questions: answered %q, want limit", name, maxAsked, code)
		}
	}
	if len(o.dns.names) > 0 {
		t.Errorf("the DNS was asked for %v, want nothing more", o.dns.names)
	}
	if code := o.browse(t.Context(), t, "evil.test", true); code != "not_allowed" {
		t.Errorf("a strange name after that: answered %q, want not_allowed", code)
	}
}

// A name that was asked for has left this computer, also when nobody greets.
func TestGivenUpIsTold(t *testing.T) {
	o := newTeller(t, public)
	for range 3 {
		o.browse(t.Context(), t, "data.allowed.test", false)
	}
	o.Close()
	text := o.events[0].Text
	gone := run.Egress{Name: "data.allowed.test", Code: "gone", Text: text, Address: publicAddress.String()}
	thrice := gone
	thrice.Count = 3
	if diff := cmp.Diff([]run.Egress{gone, thrice, {Total: true, Count: 3}}, o.events); diff != "" || text == "" {
		t.Errorf("told (-want +got):\n%s", diff)
	}
}

// Whoever resets its stream as soon as it has asked cannot take back what was decided.
func TestResetHidesNothing(t *testing.T) {
	for name, tc := range map[string]struct {
		address string
		want    domain.Code
	}{
		"a private address": {"10.0.0.1", "private"},
		"a public one":      {"93.184.216.34", "gone"},
	} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			o := newTeller(t, func() netip.Addr {
				cancel()
				return netip.MustParseAddr(tc.address)
			})
			o.browse(ctx, t, "example.com", true)
			o.Close()
			if got := o.events[0]; got.Name != "example.com" || got.Code != string(tc.want) {
				t.Errorf("told %+v, want example.com and %s", got, tc.want)
			}
		})
	}
}
