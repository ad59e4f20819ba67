package egress

import (
	"net"
	"net/netip"

	"github.com/secureclaw/secureclaw/internal/domain"
)

// block is a range of addresses that is not the public Internet.
type block struct {
	prefix netip.Prefix
	code   domain.Code
}

const (
	codeNotGlobal domain.Code = "not_global_v6" // IPv6 outside 2000::/3
	codeISATAP    domain.Code = "isatap"        // an IPv4 address in an interface identifier
	codeZone      domain.Code = "zone"          // means one of this host's interfaces
	codeNoAddress domain.Code = "no_address"    // the zero Addr
	codeSelf      domain.Code = "self"          // of this computer
)

// specialV4 is IANA's IPv4 Special-Purpose Address Registry and what else is no site's: multicast and
// the former class E (RFC 1112), the 6to4 relays (RFC 7526), and the one metadata service of a
// cloud that has an ordinary address. Of two that hold an address the first names it. The others of the
// clouds lie inside: 169.254.169.254, 169.254.170.2, 100.100.100.200, 192.0.0.192.
var specialV4 = blocks(`
	0.0.0.0/8           unspecified
	10.0.0.0/8          private
	100.64.0.0/10       cgnat
	127.0.0.0/8         loopback
	168.63.129.16/32    metadata
	169.254.0.0/16      link_local
	172.16.0.0/12       private
	192.0.0.0/24        ietf
	192.0.2.0/24        documentation
	192.31.196.0/24     as112
	192.52.193.0/24     amt
	192.88.99.0/24      relay6to4
	192.168.0.0/16      private
	192.175.48.0/24     as112
	198.18.0.0/15       benchmark
	198.51.100.0/24     documentation
	203.0.113.0/24      documentation
	224.0.0.0/4         multicast
	255.255.255.255/32  broadcast
	240.0.0.0/4         reserved
`)

// specialV6 is IANA's IPv6 registry the same way. What is neither here nor in 2000::/3, the only
// space that is given out, is not_global_v6.
var specialV6 = blocks(`
	::/128              unspecified
	::1/128             loopback
	::/96               ipv4_compat
	64:ff9b::/96        nat64
	64:ff9b:1::/48      nat64
	2001::/32           teredo
	2001:2::/48         benchmark
	2001:3::/32         amt
	2001:4:112::/48     as112
	2001:10::/28        orchid
	2001:20::/28        orchid
	2001:30::/28        drone
	2001:db8::/32       documentation
	2001::/23           ietf
	2002::/16           6to4
	2620:4f:8000::/48   as112
	3fff::/20           documentation
	fc00::/7            ula
	fe80::/10           link_local
	fec0::/10           site_local
	ff00::/8            multicast
`)

var globalV6 = netip.MustParsePrefix("2000::/3")

// addressCodes are all that classify and Proxy.judge can say.
var addressCodes = codesOf(specialV4, specialV6)

// classify says why an address is not the public Internet, or nothing when it is.
func classify(addr netip.Addr) domain.Code {
	if !addr.IsValid() {
		return codeNoAddress
	}
	zone := addr.Zone()
	// ::ffff:10.0.0.1 is 10.0.0.1 to the kernel, so it must be to us before any range is asked.
	addr = addr.WithZone("").Unmap()
	special := specialV6
	if addr.Is4() {
		special = specialV4
	}
	for _, b := range special {
		if b.prefix.Contains(addr) {
			return b.code
		}
	}
	switch {
	case addr.Is6() && !globalV6.Contains(addr):
		return codeNotGlobal
	case addr.Is6() && isatap(addr):
		return codeISATAP
	case zone != "":
		return codeZone
	}
	return ""
}

// isatap recognises RFC 5214 section 6.1 below any prefix: 0000:5efe or 0200:5efe, then an IPv4
// address that a host with such an interface would send to.
func isatap(addr netip.Addr) bool {
	b := addr.As16()
	return b[8]&^0x03 == 0 && b[9] == 0 && b[10] == 0x5e && b[11] == 0xfe
}

// judge is classify and the addresses of this computer. The port is what stands for 443 there.
func (p *Proxy) judge(addr netip.Addr) (port uint16, err error) {
	if port, ok := p.exempt[addr]; ok {
		return port, nil
	}
	if code := classify(addr); code != "" {
		return 0, refuse(code, "%v is no address on the public Internet (%s)", addr, code)
	}
	own, err := p.own()
	if err != nil {
		return 0, refuse(codeSelf, "the addresses of this computer cannot be listed: %v", err)
	}
	for _, mine := range own {
		switch mine := mine.WithZone("").Unmap(); {
		case mine == addr.Unmap():
			return 0, refuse(codeSelf, "%v is an address of this computer", addr)
		case neighbours(mine, addr):
			return 0, refuse(codeSelf, "%v is in the network of this computer, which has %v", addr, mine)
		}
	}
	return 443, nil
}

// neighbours reports two public IPv6 addresses of one link. At home everything has a public one, also
// the router and the disk beside it, and only the router's filter keeps strangers from them: we are
// behind it. A link has 64 bits (RFC 4291 section 2.5.1), whatever the mask of an address of its says.
func neighbours(mine, addr netip.Addr) bool {
	return globalV6.Contains(mine) && netip.PrefixFrom(mine, 64).Contains(addr)
}

// kernelAddresses asks each time: an address that came with a network a minute ago counts.
func kernelAddresses() ([]netip.Addr, error) {
	list, err := net.InterfaceAddrs()
	if err != nil {
		return nil, err
	}
	var own []netip.Addr
	for _, a := range list {
		if prefix, err := netip.ParsePrefix(a.String()); err == nil {
			own = append(own, prefix.Addr())
		} else if addr, err := netip.ParseAddr(a.String()); err == nil {
			own = append(own, addr)
		}
	}
	return own, nil
}
