package capability_test

import (
	"testing"
	"time"

	"github.com/secureclaw/secureclaw/internal/capability"
)

// A payload that verifies is the only spelling of its claims: signing the claims again gives the
// same token. The fuzzer works on the payload, and signs it, because it cannot guess signatures.
func FuzzVerifyPayload(f *testing.F) {
	key := gatewayKey(f)
	f.Add(payload(f, nil))
	f.Add(payload(f, func(c *capability.Claims) { c.Domains = []string{"a.example", "\u2028<&>"} }))
	f.Add(payload(f, func(c *capability.Claims) { c.Mounts = nil }))
	f.Add(`{"iss":"secureclaw-gateway","Iss":"x"}`)
	f.Fuzz(func(t *testing.T, payload string) {
		token := signed(key, goodHeader, payload)
		c, err := capability.NewVerifier(public(key), at(noon)).Verify(token, []string{"file", "shell"}, task)
		if err != nil {
			return
		}
		again, err := capability.SignForTest(key, c)
		if err != nil || again != token {
			t.Fatalf("Verify(%q) is good, but its claims sign to %q, %v", token, again, err)
		}
	})
}

// No change to a good token leaves it good.
func FuzzVerifyToken(f *testing.F) {
	good := signed(gatewayKey(f), goodHeader, payload(f, nil)) // the same in every process of the fuzzer
	verifier := capability.NewVerifier(public(gatewayKey(f)), at(noon))
	f.Add(good)
	f.Add(good + "=")
	f.Add(b64(`{"alg":"none"}`) + ".e30.")
	f.Fuzz(func(t *testing.T, token string) {
		if _, err := verifier.Verify(token, []string{"file"}, task); err == nil && token != good {
			t.Fatalf("Verify(%q) = no error, and nobody minted it", token)
		}
	})
}

func BenchmarkMint(b *testing.B) {
	m := capability.NewMinter(gatewayKey(b), time.Now)
	for b.Loop() {
		if _, err := m.Mint(order()); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkVerify(b *testing.B) {
	token := mint(b, noon, order())
	v := capability.NewVerifier(public(gatewayKey(b)), at(noon))
	for b.Loop() {
		if _, err := v.Verify(token, []string{"file"}, task); err != nil {
			b.Fatal(err)
		}
	}
}
