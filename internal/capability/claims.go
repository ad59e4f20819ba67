// Package capability makes and checks the signed word that says what one task may touch.
//
// A [Minter] (gateway only) signs [Claims]; a [Verifier] (runner, then executor) holds only the
// public key and can mint nothing. Any doubt is a refusal: see [Verifier.Verify]. Tokens are JWTs
// (RFC 7519) signed with Ed25519 (RFC 8037), and nothing in a token's header chooses key or algorithm.
//
// Signing and checking are done here with crypto/ed25519 alone. The usual JWT library reaches package
// net (by crypto/x509), and an executor must not; in the tests it is the second opinion.
package capability

// Issuer and Type are the only accepted iss and typ.
const (
	Issuer = "secureclaw-gateway"
	Type   = "secureclaw-cap+jwt"
)

// MaxTokenBytes is refused before anything is parsed.
const MaxTokenBytes = 8 << 10

// Mount is the right to one configured mount. Mode is "ro" or "rw".
type Mount struct {
	Name string `json:"name"`
	Mode string `json:"mode"`
}

// Claims is what one task may touch. Times are Unix seconds. Its JSON is the token's payload.
type Claims struct {
	Issuer    string `json:"iss"`
	Audience  string `json:"aud"` // executor kind: shell, file, web
	ID        string `json:"jti"` // 128 bits, hex; single use
	IssuedAt  int64  `json:"iat"`
	NotBefore int64  `json:"nbf"`
	Expires   int64  `json:"exp"` // at most IssuedAt + task timeout + 5 s

	Tool       string   `json:"tool"`
	TaskSHA256 string   `json:"task"` // hex, over the canonical bytes of the task
	Mounts     []Mount  `json:"mounts"`
	Domains    []string `json:"domains"`
	TimeoutMS  int64    `json:"timeout_ms"`
	OutputCap  int64    `json:"output_cap"` // bytes of each output text
	Memory     int64    `json:"memory"`     // bytes
	CPUMillis  int64    `json:"cpu_millis"` // thousandths of a processor
	Pids       int64    `json:"pids"`
	Session    string   `json:"session"`
	Call       string   `json:"call"`
}
