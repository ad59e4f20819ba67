package capability_test

import (
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/secureclaw/secureclaw/internal/capability"
)

// Tokens are made by hand here, with another encoder than the product's, so that a test can sign
// what no Minter would.

const goodHeader = `{"alg":"EdDSA","typ":"secureclaw-cap+jwt"}`

var (
	noon = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	task = []byte(`{"call":"c-1","tool":"read_file"}`)
)

func at(t time.Time) func() time.Time { return func() time.Time { return t } }

// gatewayKey is the signing key of every test here.
func gatewayKey(tb testing.TB) ed25519.PrivateKey {
	tb.Helper()
	key, err := capability.DeriveKey(strings.Repeat("k", 32))
	if err != nil {
		tb.Fatal(err)
	}
	return key
}

func public(key ed25519.PrivateKey) ed25519.PublicKey { return key.Public().(ed25519.PublicKey) }

// order is what a gateway fills in; a Minter adds the rest.
func order() capability.Claims {
	return capability.Claims{
		Audience:   "file",
		Tool:       "read_file",
		TaskSHA256: capability.TaskDigest(task),
		Mounts:     []capability.Mount{{Name: "workspace", Mode: "ro"}},
		Domains:    []string{},
		TimeoutMS:  30_000,
		OutputCap:  64 << 10,
		Memory:     256 << 20,
		CPUMillis:  1000,
		Pids:       64,
		Session:    "s-1",
		Call:       "c-1",
	}
}

// complete is order as a Minter would sign it at noon.
func complete() capability.Claims {
	c := order()
	c.Issuer = capability.Issuer
	c.ID = strings.Repeat("0f", 16)
	c.IssuedAt, c.NotBefore, c.Expires = noon.Unix(), noon.Unix(), noon.Unix()+35
	return c
}

func b64(s string) string { return base64.RawURLEncoding.EncodeToString([]byte(s)) }

// signed makes a token of any header and payload.
func signed(key ed25519.PrivateKey, header, payload string) string {
	return signedSegments(key, b64(header), b64(payload))
}

func signedSegments(key ed25519.PrivateKey, header, payload string) string {
	text := header + "." + payload
	return text + "." + b64(string(ed25519.Sign(key, []byte(text))))
}

// payload is the JSON of complete after change.
func payload(tb testing.TB, change func(*capability.Claims)) string {
	tb.Helper()
	c := complete()
	if change != nil {
		change(&c)
	}
	data, err := json.Marshal(c)
	if err != nil {
		tb.Fatal(err)
	}
	return string(data)
}

func mint(tb testing.TB, now time.Time, c capability.Claims) string {
	tb.Helper()
	token, err := capability.NewMinter(gatewayKey(tb), at(now)).Mint(c)
	if err != nil {
		tb.Fatal(err)
	}
	return token
}

// wantRefusal fails the test when err is not a Refusal with code.
func wantRefusal(tb testing.TB, call string, err error, code capability.Code) {
	tb.Helper()
	refusal, ok := errors.AsType[*capability.Refusal](err)
	if !ok || refusal.Code != code {
		tb.Errorf("%s = %v, want a refusal with code %q", call, err, code)
	}
}
