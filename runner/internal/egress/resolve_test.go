package egress

import (
	"fmt"
	"testing"
	"time"

	"github.com/secureclaw/secureclaw/internal/domain"
)

func TestVet(t *testing.T) {
	many := func(n int) (out []string) {
		for i := range n {
			out = append(out, fmt.Sprintf("93.184.216.%d", i+1))
		}
		return out
	}
	for name, tc := range map[string]struct {
		answers answer
		code    domain.Code
		want    int // addresses
	}{
		"both families":                 {answer{A: []string{"93.184.216.34"}, AAAA: []string{"2606:4700::1"}}, "", 2},
		"the same twice":                {answer{A: []string{"93.184.216.34", "93.184.216.34"}}, "", 1},
		"sixteen":                       {answer{A: many(16)}, "", 16},
		"seventeen":                     {answer{A: many(17)}, codeDNSTooMany, 0},
		"seventeen of both":             {answer{A: many(16), AAAA: []string{"2606:4700::1"}}, codeDNSTooMany, 0},
		"too long for UDP":              {answer{CNAME: "a.very.long.name.of.a.content.delivery.network.test.", A: many(90)}, codeDNSTooMany, 0},
		"no address":                    {answer{}, codeDNSError, 0},
		"an alias without address":      {answer{CNAME: "cdn.test."}, codeDNSError, 0},
		"no such name":                  {answer{Rcode: "NXDOMAIN"}, codeDNSError, 0},
		"server broken":                 {answer{Rcode: "SERVFAIL"}, codeDNSError, 0},
		"silence":                       {answer{Timeout: true}, codeDNSError, 0},
		"public, and private in IPv6":   {answer{A: []string{"93.184.216.34"}, AAAA: []string{"fd00::1"}}, "ula", 0},
		"IPv4-compatible":               {answer{AAAA: []string{"::10.0.0.1"}}, "ipv4_compat", 0},
		"this computer":                 {answer{A: []string{"93.184.216.34", "93.184.216.99"}}, codeSelf, 0},
		"nothing, written as address":   {answer{A: []string{"0.0.0.0"}}, "unspecified", 0},
		"an alias to this computer":     {answer{CNAME: "localhost.", A: []string{"127.0.0.1"}}, "loopback", 0},
		"private among sixteen":         {answer{A: append(many(15), "10.0.0.1")}, "private", 0},
		"the resolver of a captive net": {answer{A: []string{"100.64.0.1"}}, "cgnat", 0},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, tc.answers)
			if tc.answers.Timeout {
				r.impatient()
			}
			got, err := r.proxy.vet(t.Context(), "example.com")
			if len(got) != tc.want || domain.CodeOf(err) != tc.code {
				t.Errorf("vet = %v, %v (%s), want %d addresses, %q", got, err, domain.CodeOf(err), tc.want, tc.code)
			}
			for _, to := range got {
				if to.Port() != 443 {
					t.Errorf("vet gives %v, want port 443", to)
				}
			}
			if r.dns.tcp > 0 != (name == "too long for UDP") {
				t.Errorf("asked %d times over TCP", r.dns.tcp)
			}
		})
	}
}

// One open question of the two is not half an answer.
func TestVetHalfAnswered(t *testing.T) {
	for name, half := range map[string]answer{
		"silence":        {A: []string{"93.184.216.34"}, silentOn: "AAAA"},
		"server failure": {A: []string{"93.184.216.34"}, brokenOn: "AAAA"},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, half)
			if half.silentOn != "" {
				r.impatient()
			}
			begun := time.Now()
			got, err := r.proxy.vet(t.Context(), "example.com")
			if domain.CodeOf(err) != codeDNSError || time.Since(begun) > 3*time.Second {
				t.Errorf("vet with no answer for AAAA = %v, %v after %v, want %s in time", got, err, time.Since(begun), codeDNSError)
			}
		})
	}
}
