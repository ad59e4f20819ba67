package egress

import (
	"fmt"
	"math/big"
	"math/rand/v2"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/secureclaw/secureclaw/internal/domain"
)

// registry is the two IANA registries and the rest of the rules once more, written as patterns of
// bits or of hexadecimal digits: x is any. It shares nothing with the table that it checks. The first
// pattern that fits is the answer; what fits none is public.
var registry = []struct{ bits, code string }{
	{v4("00000000"), "unspecified"},
	{v4("00001010"), "private"},
	{v4("01100100 01"), "cgnat"},
	{v4("01111111"), "loopback"},
	{v4("10101000 00111111 10000001 00010000"), "metadata"},
	{v4("10101001 11111110"), "link_local"},
	{v4("10101100 0001"), "private"},
	{v4("11000000 00000000 00000000"), "ietf"},
	{v4("11000000 00000000 00000010"), "documentation"},
	{v4("11000000 00011111 11000100"), "as112"},
	{v4("11000000 00110100 11000001"), "amt"},
	{v4("11000000 01011000 01100011"), "relay6to4"},
	{v4("11000000 10101000"), "private"},
	{v4("11000000 10101111 00110000"), "as112"},
	{v4("11000110 0001001"), "benchmark"},
	{v4("11000110 00110011 01100100"), "documentation"},
	{v4("11001011 00000000 01110001"), "documentation"},
	{v4("11111111 11111111 11111111 11111111"), "broadcast"},
	{v4("1110"), "multicast"},
	{v4("1111"), "reserved"},
	{v4(""), ""},

	{v6("0000 0000 0000 0000 0000 0000 0000 0000"), "unspecified"},
	{v6("0000 0000 0000 0000 0000 0000 0000 0001"), "loopback"},
	{v6("0000 0000 0000 0000 0000 0000"), "ipv4_compat"},
	{v6("0064 ff9b 0000 0000 0000 0000"), "nat64"},
	{v6("0064 ff9b 0001"), "nat64"},
	{v6("2001 0000"), "teredo"},
	{v6("2001 0002 0000"), "benchmark"},
	{v6("2001 0003"), "amt"},
	{v6("2001 0004 0112"), "as112"},
	{v6("2001 001"), "orchid"},
	{v6("2001 002"), "orchid"},
	{v6("2001 003"), "drone"},
	{v6("2001 0db8"), "documentation"},
	{v6("2001 00"), "ietf"}, {v6("2001 01"), "ietf"},
	{v6("2002"), "6to4"},
	{v6("2620 004f 8000"), "as112"},
	{v6("3fff 0"), "documentation"},
	{v6("fc"), "ula"}, {v6("fd"), "ula"},
	{v6("fe8"), "link_local"}, {v6("fe9"), "link_local"}, {v6("fea"), "link_local"}, {v6("feb"), "link_local"},
	{v6("fec"), "site_local"}, {v6("fed"), "site_local"}, {v6("fee"), "site_local"}, {v6("fef"), "site_local"},
	{v6("ff"), "multicast"},
	{v6("0"), "not_global_v6"}, {v6("1"), "not_global_v6"},
	{v6("4"), "not_global_v6"}, {v6("5"), "not_global_v6"}, {v6("6"), "not_global_v6"}, {v6("7"), "not_global_v6"},
	{v6("8"), "not_global_v6"}, {v6("9"), "not_global_v6"}, {v6("a"), "not_global_v6"}, {v6("b"), "not_global_v6"},
	{v6("c"), "not_global_v6"}, {v6("d"), "not_global_v6"}, {v6("e"), "not_global_v6"}, {v6("f"), "not_global_v6"},
	{v6("xxxx xxxx xxxx xxxx 0000 5efe"), "isatap"}, {v6("xxxx xxxx xxxx xxxx 0100 5efe"), "isatap"},
	{v6("xxxx xxxx xxxx xxxx 0200 5efe"), "isatap"}, {v6("xxxx xxxx xxxx xxxx 0300 5efe"), "isatap"},
	{v6(""), ""},
}

// v4 is 32 bits after a 4, v6 is 128 bits after a 6.
func v4(bits string) string {
	return fmt.Sprintf("4%-32s", strings.ReplaceAll(bits, " ", ""))
}

func v6(digits string) string {
	bits := "6"
	for _, d := range strings.ReplaceAll(digits, " ", "") {
		if d == 'x' {
			bits += "xxxx"
			continue
		}
		n, _ := new(big.Int).SetString(string(d), 16)
		bits += fmt.Sprintf("%04b", n)
	}
	return fmt.Sprintf("%-129s", bits)
}

// lookup goes through the patterns bit by bit.
func lookup(addr netip.Addr) string {
	b := addr.As16()
	// An IPv4 address in IPv6 clothes is the IPv4 address.
	mapped := slices.Equal(b[:12], []byte{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff})
	text, raw := "6", b[:]
	if addr.Is4() || mapped {
		text, raw = "4", b[12:]
	}
	for _, octet := range raw {
		text += fmt.Sprintf("%08b", octet)
	}
next:
	for _, rule := range registry {
		for i := range rule.bits {
			if i < len(text) && rule.bits[i] != text[i] && rule.bits[i] != ' ' && rule.bits[i] != 'x' {
				continue next
			}
			if i >= len(text) && rule.bits[i] != ' ' {
				continue next
			}
		}
		return rule.code
	}
	return "no rule"
}

// Each range at its edges: the address before it, its first, its last, the one after it, and each in
// the form that hides IPv4 in IPv6.
func TestClassifyEdges(t *testing.T) {
	check := func(t *testing.T, addr netip.Addr) {
		t.Helper()
		if !addr.IsValid() {
			return // before the first or after the last of all
		}
		want := lookup(addr)
		if got := classify(addr); string(got) != want {
			t.Errorf("classify(%v) = %q, want %q", addr, got, want)
		}
		if addr.Is4() {
			if mapped := netip.AddrFrom16(addr.As16()); string(classify(mapped)) != want {
				t.Errorf("classify(%v) = %q, want %q as without the mapping", mapped, classify(mapped), want)
			}
		}
	}
	for _, b := range append(slices.Clone(specialV4), append(specialV6, block{globalV6, ""})...) {
		t.Run(b.prefix.String(), func(t *testing.T) {
			first, last := b.prefix.Addr(), lastOf(b.prefix)
			for _, addr := range []netip.Addr{first.Prev(), first, first.Next(), last.Prev(), last, last.Next()} {
				check(t, addr)
			}
			// A range that stands around others has at least one of its ends for itself.
			if classify(first) != b.code && classify(last) != b.code {
				t.Errorf("classify(%v) = %q and classify(%v) = %q, want one of them %q as the range", first, classify(first), last, classify(last), b.code)
			}
		})
	}
}

func lastOf(p netip.Prefix) netip.Addr {
	raw := p.Addr().AsSlice()
	for i := p.Bits(); i < len(raw)*8; i++ {
		raw[i/8] |= 1 << (7 - i%8)
	}
	addr, _ := netip.AddrFromSlice(raw)
	return addr
}

// Random addresses, most of them near a range: one that differs from a range's address in a few bits.
func TestClassifyAgainstBits(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	all := append(slices.Clone(specialV4), specialV6...)
	seen := map[string]int{}
	for range 60_000 {
		raw := all[random.IntN(len(all))].prefix.Addr().AsSlice()
		if random.IntN(4) == 0 {
			for i := range raw {
				raw[i] = byte(random.Uint32())
			}
		}
		if len(raw) == 16 && random.IntN(8) == 0 {
			copy(raw[8:], []byte{byte(random.IntN(5)), byte(random.IntN(2)), 0x5e, 0xfe})
		}
		for range random.IntN(6) {
			raw[random.IntN(len(raw))] ^= 1 << random.IntN(8)
		}
		addr, _ := netip.AddrFromSlice(raw)
		want := lookup(addr)
		seen[want]++
		if got := classify(addr); string(got) != want {
			t.Fatalf("classify(%v) = %q, want %q", addr, got, want)
		}
	}
	for _, rule := range registry {
		if seen[rule.code] == 0 {
			t.Errorf("no random address was %q, want each rule met", rule.code)
		}
	}
}

func TestClassify(t *testing.T) {
	for text, want := range map[string]domain.Code{
		"8.8.8.8":                        "",
		"9.255.255.255":                  "",
		"11.0.0.0":                       "",
		"2a00:1450:4001:81b::200e":       "",
		"2001:4860:4860::8888":           "",
		"2620:fe::fe":                    "",
		"2003::1":                        "",
		"0.0.0.1":                        "unspecified",
		"168.63.129.16":                  "metadata",
		"100.100.100.200":                "cgnat",
		"169.254.169.254":                "link_local",
		"::ffff:8.8.8.8":                 "",
		"::ffff:168.63.129.16":           "metadata",
		"::8.8.8.8":                      "ipv4_compat",
		"64:ff9b::808:808":               "nat64",
		"64:ff9b:1:fffe::a00:1":          "nat64",
		"2606:4700::200:5efe:7f00:1":     "isatap",
		"2606:4700::5efe:808:808":        "isatap",
		"2606:4700:0:0:0400:5efe:7f00:1": "",
		"100::1":                         "not_global_v6", // RFC 6666, discards
		"100:0:0:1::1":                   "not_global_v6", // RFC 9780
		"5f00::1":                        "not_global_v6", // RFC 9602, SRv6
		"4000::":                         "not_global_v6",
		"fe80::a9fe:a9fe%eth0":           "link_local",
		"2606:4700:4700::1111%eth0":      codeZone,
	} {
		if got := classify(netip.MustParseAddr(text)); got != want {
			t.Errorf("classify(%s) = %q, want %q", text, got, want)
		}
	}
	if got := classify(netip.Addr{}); got != codeNoAddress {
		t.Errorf("classify of the zero Addr = %q, want %q", got, codeNoAddress)
	}
}

func TestJudge(t *testing.T) {
	own := []netip.Addr{netip.MustParseAddr("198.41.0.4"), netip.MustParseAddr("2001:503:ba3e::2:30%eth0"), netip.MustParseAddr("::ffff:1.1.1.1")}
	p := New(Options{Addresses: func() ([]netip.Addr, error) { return own, nil }, Exempt: map[netip.Addr]uint16{netip.MustParseAddr("127.0.0.5"): 8443}})
	for text, want := range map[string]struct {
		port uint16
		code domain.Code
	}{
		"8.8.8.8":                             {443, ""},
		"198.41.0.4":                          {0, codeSelf},
		"::ffff:198.41.0.4":                   {0, codeSelf},
		"2001:503:ba3e::2:30":                 {0, codeSelf},
		"2001:503:ba3e::1":                    {0, codeSelf}, // the router, the disk: on the same link
		"2001:503:ba3e:0:ffff:ffff:ffff:ffff": {0, codeSelf},
		"2001:503:ba3e:1::1":                  {443, ""},
		"2001:503:ba3d:ffff::1":               {443, ""},
		"198.41.0.5":                          {443, ""},
		"1.1.1.1":                             {0, codeSelf},
		"127.0.0.5":                           {8443, ""},
		"127.0.0.6":                           {0, "loopback"},
	} {
		port, err := p.judge(netip.MustParseAddr(text))
		if port != want.port || domain.CodeOf(err) != want.code {
			t.Errorf("judge(%s) = %d, %v, want %d, %q", text, port, err, want.port, want.code)
		}
	}
	p = New(Options{Addresses: func() ([]netip.Addr, error) { return nil, net.ErrClosed }})
	if port, err := p.judge(publicAddress); port != 0 || domain.CodeOf(err) != codeSelf {
		t.Errorf("judge without the addresses of this computer = %d, %v, want a refusal: it could be one of them", port, err)
	}
}

// The kernel's own list: every address that a socket here can be bound to must be on it.
func TestKernelAddresses(t *testing.T) {
	own, err := kernelAddresses()
	if err != nil || !slices.Contains(own, netip.MustParseAddr("127.0.0.1")) {
		t.Fatalf("kernelAddresses() = %v, %v, want 127.0.0.1 among them", own, err)
	}
	list, err := net.InterfaceAddrs()
	if err != nil || len(list) != len(own) {
		t.Errorf("kernelAddresses() has %d, the system %d (%v)", len(own), len(list), err)
	}
}
