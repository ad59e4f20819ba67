package capability_test

import (
	"bytes"
	"encoding/base64"
	"errors"
	"strings"
	"testing"

	"github.com/golang-jwt/jwt/v5"

	"github.com/secureclaw/secureclaw/internal/capability"
)

func decode(tb testing.TB, segment string) string {
	tb.Helper()
	raw, err := base64.RawURLEncoding.DecodeString(segment)
	if err != nil {
		tb.Fatal(err)
	}
	return string(raw)
}

// What the caller wrote where the Minter writes must not survive, or a caller could choose an id
// or a life span.
func TestMintSetsWhatIsNotTheCallersToChoose(t *testing.T) {
	c := order()
	c.Issuer, c.ID = "somebody", strings.Repeat("ab", 16)
	c.IssuedAt, c.NotBefore, c.Expires = 1, 1, 1<<40
	verifier := capability.NewVerifier(public(gatewayKey(t)), at(noon))

	seen := map[string]bool{strings.Repeat("ab", 16): true}
	for range 100 {
		got, err := verifier.Verify(mint(t, noon, c), []string{"file"}, task)
		if err != nil {
			t.Fatal(err)
		}
		if got.Issuer != capability.Issuer || got.IssuedAt != noon.Unix() || got.NotBefore != noon.Unix() || got.Expires != noon.Unix()+35 {
			t.Fatalf("Mint: issuer and times are %q %d %d %d", got.Issuer, got.IssuedAt, got.NotBefore, got.Expires)
		}
		if seen[got.ID] {
			t.Fatalf("Mint: id %s was given twice", got.ID)
		}
		seen[got.ID] = true
	}
}

func TestMintRefusesAnIncompleteOrder(t *testing.T) {
	for name, tc := range map[string]struct {
		change func(*capability.Claims)
		want   string
	}{
		"nothing at all":   {func(c *capability.Claims) { *c = capability.Claims{} }, "audience"},
		"audience":         {func(c *capability.Claims) { c.Audience = "" }, "audience"},
		"tool":             {func(c *capability.Claims) { c.Tool = "" }, "tool"},
		"task":             {func(c *capability.Claims) { c.TaskSHA256 = "" }, "SHA-256"},
		"session":          {func(c *capability.Claims) { c.Session = "" }, "session"},
		"call":             {func(c *capability.Claims) { c.Call = "" }, "call"},
		"timeout":          {func(c *capability.Claims) { c.TimeoutMS = 0 }, "timeout"},
		"negative timeout": {func(c *capability.Claims) { c.TimeoutMS = -1 }, "timeout"},
		"output cap":       {func(c *capability.Claims) { c.OutputCap = 0 }, "output cap"},
		"memory":           {func(c *capability.Claims) { c.Memory = 0 }, "memory"},
		"processor":        {func(c *capability.Claims) { c.CPUMillis = 0 }, "processor"},
		"processes":        {func(c *capability.Claims) { c.Pids = 0 }, "process limit"},
		"mode of a mount":  {func(c *capability.Claims) { c.Mounts[0].Mode = "" }, "mode"},
		"too much":         {func(c *capability.Claims) { c.Domains = []string{strings.Repeat("x", 9000)} }, "limit 8192"},
		"invalid UTF-8":    {func(c *capability.Claims) { c.Session = "\xff" }, "UTF-8"},
	} {
		t.Run(name, func(t *testing.T) {
			c := order()
			tc.change(&c)
			token, err := capability.NewMinter(gatewayKey(t), at(noon)).Mint(c)
			if token != "" || err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("Mint(without %s) = %q, %v, want an error with %q", name, token, err, tc.want)
			}
		})
	}
}

func TestZeroMinterMintsNothing(t *testing.T) {
	for name, m := range map[string]*capability.Minter{
		"zero":     new(capability.Minter),
		"no key":   capability.NewMinter(nil, at(noon)),
		"no clock": capability.NewMinter(gatewayKey(t), nil),
	} {
		if token, err := m.Mint(order()); token != "" || err == nil {
			t.Errorf("%s: Mint = %q, %v, want an error", name, token, err)
		}
	}
}

// The usual library, told to be strict, reads our tokens; and what it signs with our header and
// our claims is, byte for byte, what a Minter signs. So these are JWTs, not something like them.
func TestAnotherLibraryAgrees(t *testing.T) {
	key := gatewayKey(t)
	token := mint(t, noon, order())
	var claims jwt.MapClaims
	_, err := jwt.NewParser(
		jwt.WithValidMethods([]string{"EdDSA"}), jwt.WithAudience("file"), jwt.WithIssuer(capability.Issuer),
		jwt.WithExpirationRequired(), jwt.WithIssuedAt(), jwt.WithStrictDecoding(), jwt.WithTimeFunc(at(noon)),
	).ParseWithClaims(token, &claims, func(*jwt.Token) (any, error) { return public(key), nil })
	if err != nil {
		t.Errorf("jwt.Parse(%s) = %v, want no error", token, err)
	}
	if got := claims["task"]; got != capability.TaskDigest(task) {
		t.Errorf("jwt.Parse: task is %v, want %s", got, capability.TaskDigest(task))
	}

	text, _, _ := strings.Cut(token, "."+token[strings.LastIndexByte(token, '.')+1:])
	sig, err := jwt.SigningMethodEdDSA.Sign(text, key)
	if err != nil {
		t.Fatal(err)
	}
	if want := text + "." + b64(string(sig)); token != want {
		t.Errorf("Mint = %s, the library signs %s", token, want)
	}
}

func TestDeriveKey(t *testing.T) {
	secret := strings.Repeat("s", capability.MinSecretBytes)
	one, err := capability.DeriveKey(secret)
	if err != nil {
		t.Fatal(err)
	}
	again, err := capability.DeriveKey(secret)
	if err != nil || !bytes.Equal(one, again) {
		t.Errorf("DeriveKey twice differs, err %v: tokens would not outlive a restart", err)
	}
	other, err := capability.DeriveKey(secret + "x")
	if err != nil || bytes.Equal(one, other) {
		t.Errorf("DeriveKey of another secret is the same key, err %v", err)
	}
	audit, err := capability.DeriveAuditKey(secret)
	if err != nil || bytes.Equal(one, audit) {
		t.Errorf("DeriveAuditKey = DeriveKey, err %v: a checkpoint would be a token", err)
	}
}

func TestDeriveKeyRefusesAShortSecret(t *testing.T) {
	for _, secret := range []string{"", "hunter2", strings.Repeat("s", capability.MinSecretBytes-1)} {
		for name, derive := range map[string]func(string) error{
			"DeriveKey":      func(s string) error { _, err := capability.DeriveKey(s); return err },
			"DeriveAuditKey": func(s string) error { _, err := capability.DeriveAuditKey(s); return err },
		} {
			err := derive(secret)
			if !errors.Is(err, capability.ErrShortSecret) {
				t.Errorf("%s(%d bytes) = %v, want ErrShortSecret", name, len(secret), err)
			}
			if secret != "" && err != nil && strings.Contains(err.Error(), secret) {
				t.Errorf("%s: the error shows the secret: %v", name, err)
			}
		}
	}
}
