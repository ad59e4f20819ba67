// Package domain says what a name on the Internet is, and which names a pattern covers.
//
// It promises that a [Name] can be read in one way only: ASCII, lower case, at least two labels of
// letters, digits and hyphens, no address in any notation, no name that stands for this computer or
// this network. Whoever compares, resolves or shows names goes by this package, so that
// configuration, policy, token, browser and proxy cannot mean different things by the same bytes.
//
// It refuses the rest with a [Code]. It resolves nothing and reaches no network. Entry points:
// [Parse], [ParseAuthority], [ParsePattern], [ParseURL].
package domain

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
)

// Name is a checked host name: lower case, without a final dot. The zero Name is none.
type Name string

// Code says in one stable word why a name was refused.
type Code string

// The refusals of this package. Package egress has more of them.
const (
	CodeIPLiteral    Code = "ip_literal"    // an address, in any notation a resolver or browser might read
	CodeBadAuthority Code = "bad_authority" // no host name, or no host:port
	CodePort         Code = "port"          // not 443
	CodeSpecialName  Code = "special_name"  // stands for this computer or a local network, or has no dot
	CodeNotAllowed   Code = "not_allowed"   // a name, but not on the list
	CodeConfig       Code = "config"        // no pattern that a configuration may hold
	CodeScheme       Code = "scheme"        // not https
	CodeUserinfo     Code = "userinfo"      // a URL with a user name
	CodeBadURL       Code = "bad_url"       // parsers would disagree about it
	CodeURLTooLong   Code = "url_too_long"  // longer than MaxURL
)

// Error is a refusal. Text says why, in one clause without a full stop.
type Error struct {
	Code Code
	Text string
}

// Error returns the text.
func (e *Error) Error() string { return e.Text }

func refuse(code Code, format string, args ...any) error {
	return &Error{Code: code, Text: fmt.Sprintf(format, args...)}
}

// CodeOf returns the code of an error of this package, empty for any other error.
func CodeOf(err error) Code {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Code
	}
	return ""
}

const (
	maxName  = 253 // RFC 1035 section 2.3.4, without the final dot
	maxLabel = 63
)

// special are the last labels of names that no public server answers for: RFC 6761, RFC 6762 with its
// appendix G, RFC 7686, RFC 8375, RFC 9476, and what home routers, container engines, clusters and
// offices use. None of them is delegated; the tests hold them against the list of public suffixes.
// The test and example of RFC 6761 are not here: they stand for the Internet in tests and manuals.
var special = map[string]bool{
	"localhost": true, "localdomain": true, "local": true, "internal": true, "invalid": true, "onion": true, "alt": true,
	"lan": true, "home": true, "corp": true, "intranet": true, "private": true, "arpa": true, "mail": true, "domain": true,
	"localhost4": true, "localdomain4": true, "localhost6": true, "localdomain6": true, "ip6-localhost": true, "ip6-loopback": true,
	"svc": true, "cluster": true, "consul": true, "docker": true, "podman": true, "containers": true, "workgroup": true,
	"router": true, "gateway": true, "modem": true, "localnet": true, "dhcp": true, "wpad": true, "i2p": true, "exit": true,
}

// Parse reads a host name. One final dot is folded away, letters become lower case, nothing else is mended.
func Parse(host string) (Name, error) {
	if at := strings.IndexFunc(host, func(r rune) bool { return r > 0x7e || r <= 0x20 }); at >= 0 {
		return "", refuse(CodeBadAuthority, "the name %.80q holds characters that no host name has; other alphabets are written as xn--…", host)
	}
	name := strings.ToLower(strings.TrimSuffix(host, "."))
	if name == "" {
		return "", refuse(CodeBadAuthority, "the host is empty")
	}
	// Before the letters are looked at: what is an address is told as one.
	if isAddress(name) {
		return "", refuse(CodeIPLiteral, "%.80q is an address; only names can be reached", host)
	}
	if len(name) > maxName {
		return "", refuse(CodeBadAuthority, "the name has %d letters, the most is %d", len(name), maxName)
	}
	labels := strings.Split(name, ".")
	for _, label := range labels {
		switch {
		case label == "":
			return "", refuse(CodeBadAuthority, "%.80q has an empty part between its dots", host)
		case len(label) > maxLabel:
			return "", refuse(CodeBadAuthority, "a part of %.80q has %d letters, the most is %d", host, len(label), maxLabel)
		case label[0] == '-' || label[len(label)-1] == '-':
			return "", refuse(CodeBadAuthority, "a part of %.80q begins or ends with a hyphen", host)
		case strings.Trim(label, "abcdefghijklmnopqrstuvwxyz0123456789-") != "":
			return "", refuse(CodeBadAuthority, "%.80q has other signs than letters, digits and hyphens", host)
		}
	}
	// WHATWG calls a host whose last label is numeric an IPv4 address, and resolvers differ.
	if numeric(labels[len(labels)-1]) {
		return "", refuse(CodeIPLiteral, "%.80q ends in a number, so programs may read it as an address", host)
	}
	switch {
	case len(labels) == 1:
		return "", refuse(CodeSpecialName, "%.80q has no dot; a name on the Internet has one", host)
	case special[labels[len(labels)-1]]:
		return "", refuse(CodeSpecialName, "%.80q is a name for this computer or a local network", host)
	}
	return Name(name), nil
}

// isAddress recognises IPv4 and IPv6 addresses and the one-number forms that old resolvers take.
func isAddress(name string) bool {
	if _, err := netip.ParseAddr(strings.Trim(name, "[]")); err == nil {
		return true
	}
	return !strings.Contains(name, ".") && numeric(name)
}

// numeric is the WHATWG URL standard's "ends in a number" for one label: digits, or 0x and hex digits.
func numeric(label string) bool {
	if hex, ok := strings.CutPrefix(label, "0x"); ok {
		return strings.Trim(hex, "0123456789abcdef") == ""
	}
	return label != "" && strings.Trim(label, "0123456789") == ""
}

// ParseAuthority reads the request-target of CONNECT (RFC 9110 section 9.3.6): a name and the port
// 443, nothing else.
func ParseAuthority(target string) (Name, error) {
	if rest, ok := strings.CutPrefix(target, "["); ok {
		inside, port, ok := strings.Cut(rest, "]:")
		if _, err := netip.ParseAddr(strings.Replace(inside, "%25", "%", 1)); ok && err == nil && digits(port) {
			return "", refuse(CodeIPLiteral, "%.80q is an address; only names can be reached", target)
		}
		return "", refuse(CodeBadAuthority, "%.80q is no host:port", target)
	}
	host, port, ok := strings.Cut(target, ":")
	if !ok || !digits(port) {
		return "", refuse(CodeBadAuthority, "%.80q is no host:port", target)
	}
	name, err := Parse(host)
	if err != nil {
		return "", err
	}
	if zeros(port) {
		return "", refuse(CodeBadAuthority, "port %.20s is written with zeros in front", port)
	}
	if port != "443" {
		return "", refuse(CodePort, "port %.20s is not 443", port)
	}
	return name, nil
}

func digits(s string) bool { return s != "" && strings.Trim(s, "0123456789") == "" }

// zeros reports a number that can be written shorter: 0443 is 443 to some readers and octal to others.
func zeros(port string) bool { return len(port) > 1 && port[0] == '0' }
