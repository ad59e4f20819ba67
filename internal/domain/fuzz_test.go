package domain_test

import (
	"net/netip"
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/secureclaw/secureclaw/internal/domain"
)

func FuzzParse(f *testing.F) {
	for _, seed := range []string{"example.com", "EXAMPLE.com.", "xn--a.b", "0x7f.1", "1.2.3.4", "a.0x", "localhost", "a\u3002b", "[::1]", "-a.b", "a..b"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, in string) {
		name, err := domain.Parse(in)
		if err != nil {
			if name != "" || domain.CodeOf(err) == "" {
				t.Fatalf("Parse(%q) = %q, %v (code %q), want no name and a code", in, name, err, domain.CodeOf(err))
			}
			return
		}
		if again, err := domain.Parse(string(name)); again != name || err != nil {
			t.Fatalf("Parse(%q) = %q, and parsed again %q, %v", in, name, again, err)
		}
		if !strings.EqualFold(strings.TrimSuffix(in, "."), string(name)) {
			t.Fatalf("Parse(%q) = %q, which is another name", in, name)
		}
		if got, err := domain.ParseAuthority(in + ":443"); got != name || err != nil {
			t.Fatalf("ParseAuthority(%q) = %q, %v, want %q as Parse has it", in+":443", got, err, name)
		}
		if _, err := netip.ParseAddr(string(name)); err == nil {
			t.Fatalf("Parse(%q) = %q, which is an address", in, name)
		}
		for i, c := range []byte(name) {
			if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' && c != '.' {
				t.Fatalf("Parse(%q) = %q, byte %d is %#x", in, name, i, c)
			}
		}
		last := name[strings.LastIndexByte(string(name), '.')+1:]
		if last[0] >= '0' && last[0] <= '9' && strings.Trim(string(last), "0123456789") == "" {
			t.Fatalf("Parse(%q) = %q, which ends in a number", in, name)
		}
	})
}

func FuzzParseURL(f *testing.F) {
	for _, seed := range []string{
		"https://example.com/", "https://EXAMPLE.com.:443?q#f", "https://b\u00fccher.example/\u202e", "https:\\\\a.b", "https://a.b@c.d/",
		"https://a.b//c/../d;x=%2F?a=b&%zz#%41", "https://[::1]/", "https://0x7f.1/", "https://a\u3002b/", "https://\u2460.example/", "https://faß.de/",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, in string) {
		u, err := domain.ParseURL(in)
		if err != nil {
			if u != (domain.URL{}) || domain.CodeOf(err) == "" {
				t.Fatalf("ParseURL(%q) = %v, %v (code %q), want no URL and a code", in, u, err, domain.CodeOf(err))
			}
			return
		}
		std, err := url.Parse(u.Text)
		if err != nil || std.Scheme != "https" || std.Host != string(u.Host) || std.User != nil || std.Opaque != "" {
			t.Fatalf("ParseURL(%q) = %q for host %q, net/url reads %#v, %v", in, u.Text, u.Host, std, err)
		}
		if again, err := domain.ParseURL(u.Text); err != nil || !cmp.Equal(again, u) {
			t.Fatalf("ParseURL(%q) = %q, and parsed again %q, %v", in, u.Text, again.Text, err)
		}
		if name, err := domain.Parse(string(u.Host)); err != nil || name != u.Host {
			t.Fatalf("ParseURL(%q) has the host %q, which Parse reads as %q, %v", in, u.Host, name, err)
		}
		if len(u.Text) > domain.MaxURL || strings.ContainsFunc(u.Text, func(r rune) bool { return r <= 0x20 || r > 0x7e || r == '\\' }) {
			t.Fatalf("ParseURL(%q) = %q, %d bytes, want printable ASCII within the limit", in, u.Text, len(u.Text))
		}
		// Whoever reads the raw text with the standard library must not see another host that is one, too.
		if raw, err := url.Parse(in); err == nil {
			if host, err := domain.Parse(raw.Hostname()); err == nil && host != u.Host {
				t.Fatalf("ParseURL(%q) has the host %q, net/url reads %q", in, u.Host, host)
			}
		}
	})
}

func FuzzPattern(f *testing.F) {
	for _, seed := range []string{"example.com", "*.example.com", "*", "*.com", "*.co.uk", "a.*.b", "*.*.b", "xn--a.b", "*.1"} {
		f.Add(seed, "a.example.com")
	}
	f.Fuzz(func(t *testing.T, in, host string) {
		p, err := domain.ParsePattern(in)
		if err != nil {
			if p != "" || domain.CodeOf(err) != domain.CodeConfig {
				t.Fatalf("ParsePattern(%q) = %q, %v (code %q), want no pattern and %q", in, p, err, domain.CodeOf(err), domain.CodeConfig)
			}
			return
		}
		if string(p) != in {
			t.Fatalf("ParsePattern(%q) = %q, want it as it was written", in, p)
		}
		base, wild := strings.CutPrefix(in, "*.")
		if name, err := domain.Parse(base); err != nil || string(name) != base {
			t.Fatalf("ParsePattern(%q) took %q, which Parse reads as %q, %v", in, base, name, err)
		}
		if p.Covers(domain.Name(base)) == wild {
			t.Fatalf("Pattern(%q).Covers(%q) = %t", in, base, wild)
		}
		name, err := domain.Parse(host)
		if err != nil || !p.Covers(name) {
			return
		}
		got, want := strings.Split(string(name), "."), strings.Split(in, ".")
		if wild {
			got[0] = "*"
		}
		if !cmp.Equal(got, want) {
			t.Fatalf("Pattern(%q).Covers(%q) = true", in, name)
		}
	})
}
