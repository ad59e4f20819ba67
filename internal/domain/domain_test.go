package domain_test

import (
	"strings"
	"testing"

	"github.com/secureclaw/secureclaw/internal/domain"
)

func TestParse(t *testing.T) {
	long := strings.Repeat("a", 63) + "."
	for name, tc := range map[string]struct {
		in   string
		want domain.Name
		code domain.Code
	}{
		"plain":                         {"example.com", "example.com", ""},
		"upper case":                    {"EXAMPLE.Com", "example.com", ""},
		"one final dot":                 {"example.com.", "example.com", ""},
		"punycode":                      {"xn--bcher-kva.example", "xn--bcher-kva.example", ""},
		"a number that is not last":     {"1.2.3.example", "1.2.3.example", ""},
		"hexadecimal that is no number": {"a.0xg", "a.0xg", ""},
		"longest label":                 {long + "example", domain.Name(long + "example"), ""},
		"longest name":                  {long + long + long + strings.Repeat("b", 61), domain.Name(long + long + long + strings.Repeat("b", 61)), ""},
		"one letter too many":           {long + long + long + strings.Repeat("b", 62), "", domain.CodeBadAuthority},
		"label of 64":                   {"a" + long + "example", "", domain.CodeBadAuthority},
		"nothing":                       {"", "", domain.CodeBadAuthority},
		"a dot":                         {".", "", domain.CodeBadAuthority},
		"two final dots":                {"example.com..", "", domain.CodeBadAuthority},
		"dot in front":                  {".example.com", "", domain.CodeBadAuthority},
		"hyphen at the end":             {"a-.example", "", domain.CodeBadAuthority},
		"underscore":                    {"a_b.example", "", domain.CodeBadAuthority},
		"wildcard":                      {"*.example.com", "", domain.CodeBadAuthority},
		"NUL":                           {"example.com\x00", "", domain.CodeBadAuthority},
		"soft hyphen":                   {"exam\u00adple.com", "", domain.CodeBadAuthority},
		"bytes that are no UTF-8":       {"exam\xffple.com", "", domain.CodeBadAuthority},
		"Kelvin sign folds to k":        {"\u212aernel.example", "", domain.CodeBadAuthority},
		"long s folds to s":             {"example.\u017fite", "", domain.CodeBadAuthority},
		"address":                       {"93.184.216.34", "", domain.CodeIPLiteral},
		"address with a dot":            {"93.184.216.34.", "", domain.CodeIPLiteral},
		"IPv6":                          {"2606:4700::1111", "", domain.CodeIPLiteral},
		"IPv6 in brackets":              {"[::1]", "", domain.CodeIPLiteral},
		"IPv6 with a zone":              {"fe80::1%eth0", "", domain.CodeIPLiteral},
		"octal parts":                   {"0177.0.0.01", "", domain.CodeIPLiteral},
		"hexadecimal parts":             {"0x7f.0x0.0x0.0x1", "", domain.CodeIPLiteral},
		"empty hexadecimal":             {"1.2.3.0x", "", domain.CodeIPLiteral},
		"upper hexadecimal":             {"0X7F000001", "", domain.CodeIPLiteral},
		"too large a part":              {"1.2.3.256", "", domain.CodeIPLiteral},
		"name that ends in a number":    {"example.443", "", domain.CodeIPLiteral},
		"this computer":                 {"localhost", "", domain.CodeSpecialName},
		"this computer's":               {"a.localhost.", "", domain.CodeSpecialName},
		"no dot":                        {"com", "", domain.CodeSpecialName},
		"no dot but the final one":      {"intranet.", "", domain.CodeSpecialName},
		"multicast DNS":                 {"printer.local", "", domain.CodeSpecialName},
		"metadata of a cloud":           {"metadata.google.internal", "", domain.CodeSpecialName},
		"service of a cluster":          {"kubernetes.default.svc", "", domain.CodeSpecialName},
		"service, in full":              {"kubernetes.default.svc.cluster.local", "", domain.CodeSpecialName},
		"home network":                  {"router.home.arpa", "", domain.CodeSpecialName},
		"reverse lookup":                {"1.0.0.127.in-addr.arpa", "", domain.CodeSpecialName},
		"router":                        {"fritz.lan", "", domain.CodeSpecialName},
		"hidden service":                {"abc.onion", "", domain.CodeSpecialName},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := domain.Parse(tc.in)
			if got != tc.want || domain.CodeOf(err) != tc.code || (err == nil) != (tc.code == "") {
				t.Errorf("Parse(%.80q) = %.80q, %v (%s), want %.80q, %s", tc.in, got, err, domain.CodeOf(err), tc.want, tc.code)
			}
		})
	}
}

func TestParseAuthority(t *testing.T) {
	for name, tc := range map[string]struct {
		in   string
		want domain.Name
		code domain.Code
	}{
		"plain":                       {"example.com:443", "example.com", ""},
		"no port":                     {"example.com", "", domain.CodeBadAuthority},
		"empty port":                  {"example.com:", "", domain.CodeBadAuthority},
		"zero in front":               {"example.com:0443", "", domain.CodeBadAuthority},
		"zeros in front of zero":      {"example.com:00", "", domain.CodeBadAuthority},
		"hexadecimal port":            {"example.com:0x1bb", "", domain.CodeBadAuthority},
		"minus":                       {"example.com:-443", "", domain.CodeBadAuthority},
		"exponent":                    {"example.com:443e0", "", domain.CodeBadAuthority},
		"digits of another script":    {"example.com:\u0664\u0664\u0663", "", domain.CodeBadAuthority},
		"port of 100 digits":          {"example.com:" + strings.Repeat("9", 100), "", domain.CodePort},
		"port 80":                     {"example.com:80", "", domain.CodePort},
		"path after the port":         {"example.com:443/", "", domain.CodeBadAuthority},
		"query after the port":        {"example.com:443?", "", domain.CodeBadAuthority},
		"URL":                         {"https://example.com:443", "", domain.CodeBadAuthority},
		"user and password":           {"a:b@example.com:443", "", domain.CodeBadAuthority},
		"back slash":                  {"example.com\\@evil.test:443", "", domain.CodeBadAuthority},
		"encoded letter":              {"%65xample.com:443", "", domain.CodeBadAuthority},
		"line break":                  {"example.com\r\nHost: evil.test:443", "", domain.CodeBadAuthority},
		"tab":                         {"example.com\t:443", "", domain.CodeBadAuthority},
		"two hosts":                   {"example.com,evil.test:443", "", domain.CodeBadAuthority},
		"address on another port":     {"10.0.0.1:80", "", domain.CodeIPLiteral},
		"IPv6":                        {"[2606:4700::1111]:443", "", domain.CodeIPLiteral},
		"IPv4 in brackets":            {"[127.0.0.1]:443", "", domain.CodeIPLiteral},
		"name in brackets":            {"[example.com]:443", "", domain.CodeBadAuthority},
		"address of a future version": {"[v1.a]:443", "", domain.CodeBadAuthority},
		"bracket without port":        {"[::1]", "", domain.CodeBadAuthority},
		"bracket not closed":          {"[::1:443", "", domain.CodeBadAuthority},
		"nothing":                     {"", "", domain.CodeBadAuthority},
		"colon":                       {":", "", domain.CodeBadAuthority},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := domain.ParseAuthority(tc.in)
			if got != tc.want || domain.CodeOf(err) != tc.code || (err == nil) != (tc.code == "") {
				t.Errorf("ParseAuthority(%.80q) = %q, %v (%s), want %q, %s", tc.in, got, err, domain.CodeOf(err), tc.want, tc.code)
			}
		})
	}
}

func TestParseURL(t *testing.T) {
	for name, tc := range map[string]struct {
		in   string
		want string // Text
		code domain.Code
	}{
		"plain":                        {"https://example.com/a?b=c#d", "https://example.com/a?b=c#d", ""},
		"another alphabet, large":      {"https://B\u00dcCHER.example/", "https://xn--bcher-kva.example/", ""},
		"no path":                      {"https://example.com", "https://example.com/", ""},
		"query without path":           {"https://example.com?q", "https://example.com/?q", ""},
		"fragment without path":        {"https://example.com#f", "https://example.com/#f", ""},
		"port 443":                     {"https://example.com:443/", "https://example.com/", ""},
		"upper scheme and host":        {"HTTPS://EXAMPLE.com./A", "https://example.com/A", ""},
		"at sign in the path":          {"https://example.com/@user", "https://example.com/@user", ""},
		"two slashes in the path":      {"https://example.com//evil.test/", "https://example.com//evil.test/", ""},
		"letters in the path":          {"https://example.com/\u00fc?\u202e", "https://example.com/%C3%BC?%E2%80%AE", ""},
		"letters in the host":          {"https://b\u00fccher.example/", "https://xn--bcher-kva.example/", ""},
		"composed letters":             {"https://bu\u0308cher.example/", "", domain.CodeBadURL},
		"no scheme":                    {"example.com", "", domain.CodeBadURL},
		"host and port":                {"example.com:443", "", domain.CodeBadURL},
		"relative":                     {"//example.com/", "", domain.CodeBadURL},
		"one slash":                    {"https:/example.com/", "", domain.CodeBadURL},
		"three slashes":                {"https:///example.com/", "", domain.CodeBadURL},
		"back slashes":                 {`https:\\example.com\`, "", domain.CodeBadURL},
		"back slash before an at":      {`https://evil.test\@example.com/`, "", domain.CodeBadURL},
		"tab in the scheme":            {"ht\ttps://example.com/", "", domain.CodeBadURL},
		"line break in the host":       {"https://exam\nple.com/", "", domain.CodeBadURL},
		"space in the path":            {"https://example.com/a b", "", domain.CodeBadURL},
		"NUL":                          {"https://example.com/\x00", "", domain.CodeBadURL},
		"bytes that are no UTF-8":      {"https://example.com/\xff", "", domain.CodeBadURL},
		"encoded dot":                  {"https://example%2ecom/", "", domain.CodeBadURL},
		"encoded slash in the host":    {"https://example.com%2f.evil.test/", "", domain.CodeBadURL},
		"half an escape":               {"https://example.com/%4", "", domain.CodeBadURL},
		"full-width dot":               {"https://example\uff0ecom/", "", domain.CodeBadURL},
		"zero-width space in the host": {"https://exam\u200bple.com/", "", domain.CodeBadURL},
		"circled digits":               {"https://\u2460\u2461\u2466.0.0.1/", "", domain.CodeIPLiteral},
		"empty host":                   {"https://:443/", "", domain.CodeBadURL},
		"empty port":                   {"https://example.com:/", "", domain.CodeBadURL},
		"zero before the port":         {"https://example.com:0443/", "", domain.CodeBadURL},
		"empty user":                   {"https://@example.com/", "", domain.CodeUserinfo},
		"user and password":            {"https://a:b@example.com/", "", domain.CodeUserinfo},
		"port as a user":               {"https://example.com:443@evil.test/", "", domain.CodeUserinfo},
		"http":                         {"http://example.com/ with space", "", domain.CodeScheme},
		"script":                       {"javascript:alert(1) // x", "", domain.CodeScheme},
		"file":                         {"file:///etc/passwd", "", domain.CodeScheme},
		"blob":                         {"blob:https://example.com/1", "", domain.CodeScheme},
		"secure WebSocket":             {"wss://example.com/", "", domain.CodeScheme},
		"address as one number":        {"https://2130706433/", "", domain.CodeIPLiteral},
		"IPv6":                         {"https://[::1]/", "", domain.CodeIPLiteral},
		"this computer":                {"https://localhost/", "", domain.CodeSpecialName},
		"grown by escaping":            {"https://example.com/" + strings.Repeat("\u00fc", 1000), "", domain.CodeURLTooLong},
		"nothing":                      {"", "", domain.CodeBadURL},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := domain.ParseURL(tc.in)
			if got.Text != tc.want || domain.CodeOf(err) != tc.code || (err == nil) != (tc.code == "") {
				t.Errorf("ParseURL(%.80q) = %q, %v (%s), want %q, %s", tc.in, got.Text, err, domain.CodeOf(err), tc.want, tc.code)
			}
		})
	}
}

func TestParsePattern(t *testing.T) {
	for name, tc := range map[string]struct {
		in string
		ok bool
	}{
		"name":                             {"example.com", true},
		"wildcard":                         {"*.example.com", true},
		"wildcard below a name deep down":  {"*.a.b.example.com", true},
		"punycode":                         {"xn--bcher-kva.example", true},
		"a public suffix by itself":        {"github.io", true},
		"an exception of a wildcard rule":  {"*.city.kawasaki.jp", true},
		"wildcard below a suffix":          {"*.github.io", false},
		"wildcard below a wildcard rule":   {"*.kawasaki.jp", false},
		"wildcard on its suffixes":         {"*.any.kawasaki.jp", false},
		"wildcard of a cloud's computers":  {"*.compute.amazonaws.com", false},
		"wildcard of a cloud's region":     {"*.eu-west-1.compute.amazonaws.com", false},
		"wildcard below an unknown suffix": {"*.example", false},
		"two wildcards":                    {"*.*.example.com", false},
		"wildcard in a label":              {"a*.example.com", false},
		"wildcard in the middle":           {"a.*.example.com", false},
		"only a wildcard":                  {"*.", false},
		"dot in front":                     {".example.com", false},
		"dot behind":                       {"example.com.", false},
		"upper case":                       {"Example.com", false},
		"port":                             {"example.com:443", false},
		"URL":                              {"https://example.com", false},
		"white space":                      {" example.com", false},
		"negation":                         {"!example.com", false},
		"regular expression":               {"^example\\.com$", false},
		"address":                          {"::1", false},
		"range":                            {"10.0.0.0/8", false},
		"wildcard of addresses":            {"*.0.0.1", false},
		"this computer":                    {"*.localhost", false},
		"this network":                     {"nas.local", false},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := domain.ParsePattern(tc.in)
			if (err == nil) != tc.ok || tc.ok && string(got) != tc.in || !tc.ok && (got != "" || domain.CodeOf(err) != domain.CodeConfig) {
				t.Errorf("ParsePattern(%q) = %q, %v, want ok: %t", tc.in, got, err, tc.ok)
			}
		})
	}
}

func TestCovers(t *testing.T) {
	for name, tc := range map[string]struct {
		pattern domain.Pattern
		name    domain.Name
		want    bool
	}{
		"itself":                     {"example.com", "example.com", true},
		"one below a name":           {"example.com", "a.example.com", false},
		"one below":                  {"*.example.com", "a.example.com", true},
		"two below":                  {"*.example.com", "a.b.example.com", false},
		"the name of the wildcard":   {"*.example.com", "example.com", false},
		"no dot between":             {"*.example.com", "aexample.com", false},
		"longer at the end":          {"*.example.com", "a.example.com.evil.test", false},
		"other case, never parsed":   {"example.com", "EXAMPLE.com", false},
		"zero pattern":               {"", "example.com", false},
		"zero pattern, zero name":    {"", "", false},
		"zero name below a wildcard": {"*.example.com", "", false},
		"star alone, never parsed":   {"*", "example.com", false},
		"star and dot, never parsed": {"*.", "example.com", false},
	} {
		t.Run(name, func(t *testing.T) {
			if got := tc.pattern.Covers(tc.name); got != tc.want {
				t.Errorf("Pattern(%q).Covers(%q) = %t, want %t", tc.pattern, tc.name, got, tc.want)
			}
		})
	}
	if (domain.List)(nil).Covers("example.com") {
		t.Error("the zero List covers example.com, want nothing")
	}
	if got, err := domain.ParseList([]string{"example.com", "*.com"}); err == nil || got != nil {
		t.Errorf("ParseList with a bad entry = %v, %v, want none", got, err)
	}
}

// A name has one reading: parsing it again changes nothing, and no other reader takes it for an address.
// An accepted URL means the same host to net/url, has a text of its own, and that text stays itself.
// A pattern covers itself or names of one label more, and is never an address.
