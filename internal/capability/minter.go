package capability

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"github.com/secureclaw/secureclaw/internal/strict"
)

// Minter signs tokens. The zero Minter signs nothing.
type Minter struct {
	key ed25519.PrivateKey
	now func() time.Time
}

// NewMinter returns a Minter that signs with key, by the clock now.
func NewMinter(key ed25519.PrivateKey, now func() time.Time) *Minter {
	return &Minter{key: key, now: now}
}

// Mint signs c and returns the token. It sets Issuer, ID, IssuedAt, NotBefore and Expires itself,
// whatever c holds there, so that no two tokens share an id and none outlives its task by more than
// 5 s. Claims that leave a limit, the tool or the task open are an error: no token is a blank cheque.
func (m *Minter) Mint(c Claims) (string, error) {
	if len(m.key) != ed25519.PrivateKeySize || m.now == nil {
		return "", errors.New("mint: no key or no clock")
	}
	var id [idBytes]byte
	if _, err := rand.Read(id[:]); err != nil {
		return "", fmt.Errorf("mint: %w", err)
	}
	c.Issuer = Issuer
	c.ID = hex.EncodeToString(id[:])
	c.IssuedAt = m.now().Unix()
	c.NotBefore = c.IssuedAt
	c.Expires = c.IssuedAt + lifetime(c.TimeoutMS)
	if err := c.check(); err != nil {
		return "", fmt.Errorf("mint: %w", err)
	}
	token, err := sign(m.key, c)
	if err != nil {
		return "", fmt.Errorf("mint: %w", err)
	}
	if len(token) > MaxTokenBytes {
		return "", fmt.Errorf("mint: token of %d bytes, limit %d", len(token), MaxTokenBytes)
	}
	return token, nil
}

// sign writes c in the one form that a [Verifier] takes. Ed25519 signs without randomness
// (RFC 8032), so the same claims are always the same bytes.
func sign(key ed25519.PrivateKey, c Claims) (string, error) {
	payload, err := strict.Encode(c)
	if err != nil {
		return "", err
	}
	signed := header + "." + segment.EncodeToString(payload)
	return signed + "." + segment.EncodeToString(ed25519.Sign(key, []byte(signed))), nil
}

// header is the only header: {"alg":"EdDSA","typ":"secureclaw-cap+jwt"}.
const header = "eyJhbGciOiJFZERTQSIsInR5cCI6InNlY3VyZWNsYXctY2FwK2p3dCJ9"

// segment is the encoding of RFC 7515. Strict refuses spare bits, which would give one token
// several spellings.
var segment = base64.RawURLEncoding.Strict()
