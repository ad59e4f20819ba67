package fake

import (
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/net/dns/dnsmessage"
)

// DNS is a name server for tests, over UDP and TCP. It knows the names it was told and counts what it
// is asked; an unknown name does not exist. Names are told and reported in lower case, without a final dot.
type DNS struct {
	udp net.PacketConn
	tcp net.Listener

	mu      sync.Mutex
	answers map[string][][]netip.Addr // one after another, the last for ever
	aliases map[string]string
	faults  map[string]DNSFault
	queries []Query
}

// Query is one question that arrived.
type Query struct {
	Name    string
	Type    string // A, AAAA, HTTPS, …
	Network string // udp or tcp
	At      time.Time
}

// DNSFault is a way not to answer.
type DNSFault string

// The faults.
const (
	Servfail  DNSFault = "servfail"
	Refused   DNSFault = "refused"
	Mute      DNSFault = "mute"      // nothing ever comes
	Truncated DNSFault = "truncated" // over UDP; TCP has it all
	Liar      DNSFault = "liar"      // the answer is for another name
)

// NewDNS serves on loopback, on a free port.
func NewDNS(tb testing.TB) *DNS {
	tb.Helper()
	tcp, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	udp, err := net.ListenPacket("udp", tcp.Addr().String())
	if err != nil {
		tb.Fatal(err)
	}
	return NewDNSOn(tb, udp, tcp)
}

// NewDNSOn serves on sockets that the test made, in another network namespace perhaps.
func NewDNSOn(tb testing.TB, udp net.PacketConn, tcp net.Listener) *DNS {
	tb.Helper()
	d := &DNS{udp: udp, tcp: tcp, answers: map[string][][]netip.Addr{}, aliases: map[string]string{}, faults: map[string]DNSFault{}}
	var served sync.WaitGroup
	served.Go(d.serveUDP)
	served.Go(d.serveTCP)
	tb.Cleanup(func() {
		_ = udp.Close()
		_ = tcp.Close()
		served.Wait()
	})
	return d
}

// Addr is where it is asked.
func (d *DNS) Addr() netip.AddrPort {
	addr, _ := netip.ParseAddrPort(d.tcp.Addr().String())
	return addr
}

// Answer gives a name its addresses.
func (d *DNS) Answer(name string, addrs ...string) { d.Rebind(name, addrs) }

// Rebind gives a name other addresses each time it is asked for A: one set after another, the last for ever.
// A question for AAAA gets those of the set that the last question for A got.
func (d *DNS) Rebind(name string, sets ...[]string) {
	var parsed [][]netip.Addr
	for _, set := range sets {
		var addrs []netip.Addr
		for _, a := range set {
			addrs = append(addrs, netip.MustParseAddr(a))
		}
		parsed = append(parsed, addrs)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.answers[name] = parsed
}

// Alias makes a name a CNAME of another.
func (d *DNS) Alias(name, target string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.aliases[name] = target
}

// Break makes questions for a name go wrong.
func (d *DNS) Break(name string, fault DNSFault) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.faults[name] = fault
}

// Queries returns all questions until now, in order.
func (d *DNS) Queries() []Query {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Clone(d.queries)
}

// Names returns the names that were asked for, sorted, each once.
func (d *DNS) Names() []string {
	var out []string
	for _, q := range d.Queries() {
		out = append(out, q.Name)
	}
	slices.Sort(out)
	return slices.Compact(out)
}

func (d *DNS) serveUDP() {
	buffer := make([]byte, 64<<10)
	for {
		n, from, err := d.udp.ReadFrom(buffer)
		if err != nil {
			return
		}
		if reply := d.reply(buffer[:n], "udp"); reply != nil {
			_, _ = d.udp.WriteTo(reply, from)
		}
	}
}

func (d *DNS) serveTCP() {
	for {
		conn, err := d.tcp.Accept()
		if err != nil {
			return
		}
		go func() {
			defer conn.Close()
			_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
			var size [2]byte
			for {
				if _, err := io.ReadFull(conn, size[:]); err != nil {
					return
				}
				question := make([]byte, binary.BigEndian.Uint16(size[:]))
				if _, err := io.ReadFull(conn, question); err != nil {
					return
				}
				reply := d.reply(question, "tcp")
				if reply == nil {
					return
				}
				if _, err := conn.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(reply))), reply...)); err != nil {
					return
				}
			}
		}()
	}
}

// reply is the packet that answers one, nil for silence.
func (d *DNS) reply(packet []byte, network string) []byte {
	var p dnsmessage.Parser
	header, err := p.Start(packet)
	if err != nil {
		return nil
	}
	question, err := p.Question()
	if err != nil {
		return nil
	}
	name := strings.ToLower(strings.TrimSuffix(question.Name.String(), "."))
	set, alias, fault, known := d.look(name, question.Type, network)
	out := dnsmessage.Message{
		Header:    dnsmessage.Header{ID: header.ID, Response: true, Authoritative: true, RecursionDesired: header.RecursionDesired, RecursionAvailable: true},
		Questions: []dnsmessage.Question{question},
	}
	owner := question.Name
	switch {
	case fault == Mute:
		return nil
	case fault == Servfail:
		out.RCode = dnsmessage.RCodeServerFailure
	case fault == Refused:
		out.RCode = dnsmessage.RCodeRefused
	case fault == Truncated && network == "udp":
		out.Truncated = true
	case !known:
		out.RCode = dnsmessage.RCodeNameError
	default:
		if fault == Liar {
			owner = dnsmessage.MustNewName("liar.test.")
		}
		if alias != "" {
			target := dnsmessage.MustNewName(alias + ".")
			out.Answers = append(out.Answers, dnsmessage.Resource{
				Header: dnsmessage.ResourceHeader{Name: owner, Class: dnsmessage.ClassINET, TTL: 0}, Body: &dnsmessage.CNAMEResource{CNAME: target},
			})
			owner = target
		}
		for _, addr := range set {
			var body dnsmessage.ResourceBody
			switch {
			case addr.Is4() && question.Type == dnsmessage.TypeA:
				body = &dnsmessage.AResource{A: addr.As4()}
			case addr.Is6() && question.Type == dnsmessage.TypeAAAA:
				body = &dnsmessage.AAAAResource{AAAA: addr.As16()}
			default:
				continue
			}
			out.Answers = append(out.Answers, dnsmessage.Resource{Header: dnsmessage.ResourceHeader{Name: owner, Class: dnsmessage.ClassINET, TTL: 0}, Body: body})
		}
	}
	reply, err := out.Pack()
	if err != nil {
		panic(errors.Join(errors.New("fake DNS cannot write its answer"), err))
	}
	return reply
}

// look keeps the question and finds its answer.
func (d *DNS) look(name string, kind dnsmessage.Type, network string) (set []netip.Addr, alias string, fault DNSFault, known bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.queries) < maxSeen {
		d.queries = append(d.queries, Query{Name: name, Type: strings.TrimPrefix(kind.String(), "Type"), Network: network, At: time.Now()})
	}
	fault, alias = d.faults[name], d.aliases[name]
	if fault == Truncated && network == "udp" {
		return nil, "", fault, true
	}
	source := name
	if alias != "" {
		source = alias
	}
	sets, known := d.answers[source]
	if len(sets) == 0 {
		return nil, alias, fault, known || alias != ""
	}
	set = sets[0]
	if kind == dnsmessage.TypeA && len(sets) > 1 {
		d.answers[source] = sets[1:]
	}
	return set, alias, fault, true
}
