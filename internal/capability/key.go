package capability

import (
	"crypto/ed25519"
	"crypto/hkdf"
	"crypto/sha256"
	"errors"
	"fmt"
)

// MinSecretBytes is the least CAPABILITY_SECRET may hold. A shorter one could be guessed offline
// from a single token, because the public key is no secret.
const MinSecretBytes = 32

// The two uses of the one secret. They must never meet: an audit checkpoint that is also a valid
// signature over a token would let the log mint. A change here makes every old signature invalid.
const (
	infoTokens = "secureclaw capability tokens v1 ed25519"
	infoAudit  = "secureclaw audit checkpoints v1 ed25519"
)

// ErrShortSecret is a secret with fewer than [MinSecretBytes] bytes. The error never shows it.
var ErrShortSecret = errors.New("secret is too short")

// DeriveKey derives the key that signs tokens from CAPABILITY_SECRET (HKDF-SHA256, RFC 5869). Only
// the gateway may hold it; runner and executors get its public half.
func DeriveKey(secret string) (ed25519.PrivateKey, error) { return derive(secret, infoTokens) }

// DeriveAuditKey derives the key that signs the checkpoints of the audit log from the same secret.
// What it signs is no token, and what [DeriveKey] signs is no checkpoint.
func DeriveAuditKey(secret string) (ed25519.PrivateKey, error) { return derive(secret, infoAudit) }

func derive(secret, info string) (ed25519.PrivateKey, error) {
	if len(secret) < MinSecretBytes {
		return nil, fmt.Errorf("%w: %d bytes, want at least %d", ErrShortSecret, len(secret), MinSecretBytes)
	}
	seed, err := hkdf.Key(sha256.New, []byte(secret), nil, info, ed25519.SeedSize)
	if err != nil {
		return nil, fmt.Errorf("derive key: %w", err)
	}
	return ed25519.NewKeyFromSeed(seed), nil
}
