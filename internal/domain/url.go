package domain

import (
	"fmt"
	"net/url"
	"strings"
	"unicode/utf8"

	"golang.org/x/net/idna"
)

// MaxURL is the most bytes of a URL that a call may name. Longer ones carry data out, not addresses in.
const MaxURL = 2048

// URL is a checked address of a page: https, a name, port 443, no user name. Text is its one form.
type URL struct {
	Host Name
	Text string
}

// ParseURL reads the address of a page. It refuses what a browser would mend: white space, back
// slashes, missing slashes, an encoded host. A name in another alphabet becomes its xn-- form, which
// is what everybody is shown.
func ParseURL(raw string) (URL, error) {
	switch {
	case raw == "":
		return URL{}, refuse(CodeBadURL, "the URL is empty")
	case len(raw) > MaxURL:
		return URL{}, refuse(CodeURLTooLong, "the URL has %d bytes, the most is %d", len(raw), MaxURL)
	}
	scheme, rest, ok := strings.Cut(raw, ":")
	if !ok || !isScheme(scheme) {
		return URL{}, refuse(CodeBadURL, "the URL %.80q has no scheme; write it out, as https://example.com/", raw)
	}
	if !strings.EqualFold(scheme, "https") {
		return URL{}, refuse(CodeScheme, "the scheme %.20q is not https", scheme)
	}
	if strings.ContainsFunc(raw, func(r rune) bool { return r <= 0x20 || r == 0x7f || r == '\\' || r == utf8.RuneError }) {
		return URL{}, refuse(CodeBadURL, "the URL holds white space, a control character or a back slash")
	}
	rest, ok = strings.CutPrefix(rest, "//")
	if !ok || strings.HasPrefix(rest, "/") {
		return URL{}, refuse(CodeBadURL, "https: must be followed by two slashes")
	}
	authority, tail := rest, ""
	if at := strings.IndexAny(rest, "/?#"); at >= 0 {
		authority, tail = rest[:at], rest[at:]
	}
	if strings.Contains(authority, "@") {
		return URL{}, refuse(CodeUserinfo, "the URL has a user name before its host")
	}
	host, err := parseHost(authority)
	if err != nil {
		return URL{}, err
	}
	if !strings.HasPrefix(tail, "/") {
		tail = "/" + tail
	}
	u, err := url.Parse("https://" + string(host) + escape(tail))
	if err != nil {
		return URL{}, refuse(CodeBadURL, "the URL cannot be read: %.120v", err)
	}
	text := u.String()
	if len(text) > MaxURL {
		return URL{}, refuse(CodeURLTooLong, "the URL has %d bytes when it is written out, the most is %d", len(text), MaxURL)
	}
	return URL{Host: host, Text: text}, nil
}

// isScheme is RFC 3986 section 3.1 without the dot: example.com:443 names a host, not a scheme.
func isScheme(s string) bool {
	return s != "" && (s[0]|0x20 >= 'a' && s[0]|0x20 <= 'z') &&
		strings.Trim(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789+-") == ""
}

// escape writes what is not ASCII as a browser sends it, so that no letter of another direction or
// without width stands in what people are shown.
func escape(tail string) string {
	var b strings.Builder
	for _, c := range []byte(tail) {
		if c < 0x80 {
			b.WriteByte(c)
			continue
		}
		fmt.Fprintf(&b, "%%%02X", c)
	}
	return b.String()
}

// parseHost reads the host and port of a URL.
func parseHost(authority string) (Name, error) {
	if strings.HasPrefix(authority, "[") {
		return "", refuse(CodeIPLiteral, "%.80q is an address; only names can be reached", authority)
	}
	host, port, ported := strings.Cut(authority, ":")
	if strings.Contains(host, "%") {
		return "", refuse(CodeBadURL, "the host %.80q is percent-encoded", host)
	}
	ascii, err := idna.Lookup.ToASCII(strings.TrimSuffix(host, "."))
	if isASCII(host) {
		ascii, err = host, nil // Parse says better what is wrong with it
	}
	if err != nil {
		return "", refuse(CodeBadURL, "the host %.80q is no name: %.80v", host, err)
	}
	name, err := Parse(ascii)
	switch CodeOf(err) {
	case "":
	case CodeBadAuthority:
		return "", &Error{Code: CodeBadURL, Text: err.Error()}
	default:
		return "", err
	}
	if !isASCII(host) {
		// Look-alikes of letters and dots (full width, circled digits) fold into other names.
		if back, err := idna.Lookup.ToUnicode(string(name)); err != nil || back != strings.ToLower(strings.TrimSuffix(host, ".")) {
			return "", refuse(CodeBadURL, "the host %.80q is another spelling of %s; write that", host, name)
		}
	}
	if ported && port != "443" {
		if !digits(port) || zeros(port) {
			return "", refuse(CodeBadURL, "the port %.20q is no plain number", port)
		}
		return "", refuse(CodePort, "port %.20s is not 443", port)
	}
	return name, nil
}

func isASCII(s string) bool {
	return strings.IndexFunc(s, func(r rune) bool { return r > 0x7f }) < 0
}
