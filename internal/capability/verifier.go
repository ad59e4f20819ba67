package capability

import (
	"crypto/ed25519"
	"slices"
	"strings"
	"time"

	"github.com/secureclaw/secureclaw/internal/strict"
)

// Leeway is how far the clocks of two processes may differ.
const Leeway = 5 * time.Second

// maxAge bounds how long ago a token was minted, however long its task may run: it is verified when
// the task starts, and a clock that is minutes off must not make an old token good.
const maxAge = 5 * time.Minute

// Verifier checks tokens and can mint none. The zero Verifier refuses every token.
type Verifier struct {
	key ed25519.PublicKey
	now func() time.Time
}

// NewVerifier returns a Verifier of tokens signed by the private half of key, by the clock now.
func NewVerifier(key ed25519.PublicKey, now func() time.Time) *Verifier {
	return &Verifier{key: key, now: now}
}

// Verify returns the claims of token when it is a right to do task, now, for one of audiences. Every
// error is a [*Refusal] and the claims are then zero. It does not know what was used before: the
// runner asks [Replay.Use] next.
//
// Nothing is parsed that the key did not sign, and the header chooses nothing: it must be, byte
// for byte, the one that a [Minter] writes.
func (v *Verifier) Verify(token string, audiences []string, task []byte) (Claims, error) {
	c, refusal := v.verify(token, audiences, task)
	if refusal != nil {
		return Claims{}, refusal
	}
	return c, nil
}

// Rehearse does the work of a Verify of claims that nobody signed, and tells nothing: the next Verify finds its
// code in memory. It makes no token, not even a false one, for none is to be found in a process that has none.
func (v *Verifier) Rehearse(task []byte) {
	payload, err := strict.Encode(Claims{Mounts: []Mount{{}}, Domains: []string{""}, TaskSHA256: TaskDigest(task)})
	if err != nil || len(v.key) != ed25519.PublicKeySize || v.now == nil {
		return
	}
	_ = ed25519.Verify(v.key, payload, make([]byte, ed25519.SignatureSize))
	if decoded, refusal := decodeSegment("payload", segment.EncodeToString(payload)); refusal == nil {
		if c, refusal := parse(decoded); refusal == nil {
			_ = c.check()
			_ = c.checkTime(v.now())
		}
	}
}

func (v *Verifier) verify(token string, audiences []string, task []byte) (Claims, *Refusal) {
	if len(token) > MaxTokenBytes {
		return Claims{}, refuse(RefusedSize, "%d bytes, limit %d", len(token), MaxTokenBytes)
	}
	if len(v.key) != ed25519.PublicKeySize || v.now == nil {
		return Claims{}, refuse(RefusedSignature, "no verifying key or no clock")
	}
	payload, refusal := v.open(token)
	if refusal != nil {
		return Claims{}, refusal
	}
	c, refusal := parse(payload)
	if refusal != nil {
		return Claims{}, refusal
	}
	if c.Issuer != Issuer {
		return Claims{}, refuse(RefusedIssuer, "issued by %.40q, want %q", c.Issuer, Issuer)
	}
	if !slices.Contains(audiences, c.Audience) {
		return Claims{}, refuse(RefusedAudience, "for executor %.40q, want one of %q", c.Audience, audiences)
	}
	if err := c.check(); err != nil {
		return Claims{}, refuse(RefusedClaims, "%v", err)
	}
	if refusal := c.checkTime(v.now()); refusal != nil {
		return Claims{}, refusal
	}
	if digest := TaskDigest(task); c.TaskSHA256 != digest {
		return Claims{}, refuse(RefusedTask, "signed for a task with digest %.12s…, got %.12s…", c.TaskSHA256, digest)
	}
	return c, nil
}

// open checks form and signature of token and returns its payload, still unparsed.
func (v *Verifier) open(token string) ([]byte, *Refusal) {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return nil, refuse(RefusedFormat, "%d segments, want 3", len(parts))
	}
	if parts[0] != header {
		return nil, diagnoseHeader(parts[0])
	}
	payload, refusal := decodeSegment("payload", parts[1])
	if refusal != nil {
		return nil, refusal
	}
	signature, refusal := decodeSegment("signature", parts[2])
	if refusal != nil {
		return nil, refusal
	}
	if !ed25519.Verify(v.key, []byte(parts[0]+"."+parts[1]), signature) {
		return nil, refuse(RefusedSignature, "not signed by this installation's gateway")
	}
	return payload, nil
}

// diagnoseHeader says what is wrong with a header that is already refused. Nothing that it reads
// can make the token good.
func diagnoseHeader(text string) *Refusal {
	raw, refusal := decodeSegment("header", text)
	if refusal != nil {
		return refusal
	}
	// kid, jku, jwk, x5u and crit would choose a key or a rule: unknown members end here.
	var h struct {
		Algorithm string `json:"alg"`
		Type      string `json:"typ"`
	}
	switch err := strict.Decode(raw, &h); {
	case err != nil:
		return refuse(RefusedFormat, "header: %v", err)
	case h.Algorithm != "EdDSA":
		return refuse(RefusedAlgorithm, "algorithm %.20q, want \"EdDSA\"", h.Algorithm)
	case h.Type != Type:
		return refuse(RefusedType, "type %.40q, want %q", h.Type, Type)
	default:
		return refuse(RefusedFormat, "header is not in the one form a gateway writes")
	}
}

// decodeSegment refuses every spelling of a segment but one: encoding/base64 skips line breaks even
// when it is strict.
func decodeSegment(name, text string) ([]byte, *Refusal) {
	raw, err := segment.DecodeString(text)
	if err != nil || segment.EncodedLen(len(raw)) != len(text) {
		return nil, refuse(RefusedFormat, "%s is not canonical base64url", name)
	}
	return raw, nil
}

// parse reads a signed payload. Only the gateway can have signed it, but two readers of the same
// bytes must still see the same rights: what does not encode back to the same bytes is refused.
func parse(payload []byte) (Claims, *Refusal) {
	var c Claims
	if err := strict.Decode(payload, &c); err != nil {
		return Claims{}, refuse(RefusedClaims, "%v", err)
	}
	again, err := strict.Encode(c)
	if err != nil {
		return Claims{}, refuse(RefusedClaims, "%v", err)
	}
	if string(again) != string(payload) {
		return Claims{}, refuse(RefusedClaims, "a claim is missing, or they are not in the one form a gateway writes")
	}
	return c, nil
}
