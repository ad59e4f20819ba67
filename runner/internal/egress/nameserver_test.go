package egress

import (
	"context"
	"encoding/binary"
	"io"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"

	"golang.org/x/net/dns/dnsmessage"
)

// answer is what the name server says of every name, as the cases write it.
type answer struct {
	A, AAAA     []string
	CNAME       string
	TTL         *uint32
	Timeout     bool // says nothing
	SelfIP      bool `json:"self_ip"`
	SearchMatch bool `json:"search_suffix_would_match"` // a name with a suffix would have an answer, too
	Rcode       string
	Sequence    []answer
	silentOn    string // a type that is never answered
	brokenOn    string // a type that is answered with SERVFAIL
}

// nameserver is a real DNS server on loopback, UDP and TCP.
type nameserver struct {
	t       *testing.T
	address string
	answers []answer // the n-th question of a type has the n-th, and the last from then on

	mu    sync.Mutex
	asked []string // "A example.com."
	tcp   int
}

func newNameserver(t *testing.T, answers []answer) *nameserver {
	t.Helper()
	return newNameserverAt(t, "127.0.0.1:0", answers)
}

func newNameserverAt(t *testing.T, address string, answers []answer) *nameserver {
	t.Helper()
	if len(answers) == 1 && len(answers[0].Sequence) > 0 {
		answers = answers[0].Sequence
	}
	s := &nameserver{t: t, answers: answers}
	tcp, udp := listenBoth(t, address)
	s.address = udp.LocalAddr().String()
	var work sync.WaitGroup
	work.Go(func() { s.serveUDP(udp) })
	work.Go(func() { s.serveTCP(tcp) })
	t.Cleanup(func() {
		udp.Close()
		tcp.Close()
		work.Wait()
	})
	return s
}

// listenBoth takes one port for TCP and UDP. One that is free for the first need not be for the other.
func listenBoth(t *testing.T, address string) (net.Listener, net.PacketConn) {
	t.Helper()
	var last error
	for range 20 {
		tcp, err := net.Listen("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		udp, err := net.ListenPacket("udp", tcp.Addr().String())
		if err == nil {
			return tcp, udp
		}
		tcp.Close()
		last = err
	}
	t.Fatal(last)
	return nil, nil
}

// resolver is the one of production, but for whom it asks.
func (s *nameserver) resolver() Resolver {
	r := systemResolver()
	r.Dial = func(ctx context.Context, network, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, network, s.address)
	}
	return r
}

func (s *nameserver) serveUDP(conn net.PacketConn) {
	buf := make([]byte, 1500)
	for {
		n, from, err := conn.ReadFrom(buf)
		if err != nil {
			return
		}
		if reply := s.reply(buf[:n]); reply != nil {
			if len(reply) > 1232 { // what the resolver says that it takes
				reply = append(reply[:12:12], buf[12:n]...) // the question again
				reply[2] |= 2                               // cut off
				copy(reply[4:12], buf[4:12])
			}
			_, _ = conn.WriteTo(reply, from)
		}
	}
}

func (s *nameserver) serveTCP(l net.Listener) {
	for {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		s.mu.Lock()
		s.tcp++
		s.mu.Unlock()
		size := make([]byte, 2)
		_, _ = io.ReadFull(conn, size)
		query := make([]byte, binary.BigEndian.Uint16(size))
		_, _ = io.ReadFull(conn, query)
		if reply := s.reply(query); reply != nil {
			_, _ = conn.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(reply))), reply...))
		}
		conn.Close()
	}
}

func (s *nameserver) reply(query []byte) []byte {
	var p dnsmessage.Parser
	header, err := p.Start(query)
	if err != nil {
		s.t.Errorf("query %x: %v", query, err)
		return nil
	}
	q, err := p.Question()
	if err != nil {
		s.t.Errorf("query %x: %v", query, err)
		return nil
	}
	kind := strings.TrimPrefix(q.Type.String(), "Type")
	s.mu.Lock()
	nth := 0
	for _, before := range s.asked {
		if strings.HasPrefix(before, kind+" ") {
			nth++
		}
	}
	s.asked = append(s.asked, kind+" "+q.Name.String())
	s.mu.Unlock()
	a := s.answers[min(nth, len(s.answers)-1)]
	if a.Timeout || kind == a.silentOn {
		return nil
	}
	m := dnsmessage.Message{
		Header:    dnsmessage.Header{ID: header.ID, Response: true, RecursionAvailable: true},
		Questions: []dnsmessage.Question{q},
	}
	switch a.Rcode {
	case "NXDOMAIN":
		m.RCode = dnsmessage.RCodeNameError
	case "SERVFAIL":
		m.RCode = dnsmessage.RCodeServerFailure
	}
	if m.Answers = a.records(q); kind == a.brokenOn {
		m.RCode, m.Answers = dnsmessage.RCodeServerFailure, nil
	}
	reply, err := m.Pack()
	if err != nil {
		s.t.Errorf("reply to %v: %v", q, err)
	}
	return reply
}

func (a answer) records(q dnsmessage.Question) (out []dnsmessage.Resource) {
	head := dnsmessage.ResourceHeader{Name: q.Name, Class: q.Class, TTL: 60}
	if a.TTL != nil {
		head.TTL = *a.TTL
	}
	if a.CNAME != "" {
		to := dnsmessage.MustNewName(a.CNAME)
		out = append(out, dnsmessage.Resource{Header: head, Body: &dnsmessage.CNAMEResource{CNAME: to}})
		head.Name = to
	}
	list := a.A
	if q.Type == dnsmessage.TypeAAAA {
		list = a.AAAA
	}
	for _, text := range list {
		addr := netip.MustParseAddr(text)
		if q.Type == dnsmessage.TypeAAAA {
			out = append(out, dnsmessage.Resource{Header: head, Body: &dnsmessage.AAAAResource{AAAA: addr.As16()}})
		} else {
			out = append(out, dnsmessage.Resource{Header: head, Body: &dnsmessage.AResource{A: addr.As4()}})
		}
	}
	return out
}

func (s *nameserver) questions() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]string(nil), s.asked...)
}
