package capability

import "fmt"

// Code says in one stable word why a token was refused, for tests, metrics and the audit log.
type Code string

// Why a token is refused.
const (
	RefusedSize      Code = "size"      // longer than MaxTokenBytes
	RefusedFormat    Code = "format"    // not three canonical base64url segments, or a header with more than alg and typ
	RefusedAlgorithm Code = "alg"       // any algorithm but EdDSA
	RefusedType      Code = "type"      // any typ but Type
	RefusedSignature Code = "signature" // not signed by the gateway's key
	RefusedClaims    Code = "claims"    // incomplete, unknown, duplicate or not in the one form
	RefusedIssuer    Code = "issuer"    // any iss but Issuer
	RefusedAudience  Code = "audience"  // for another executor
	RefusedTime      Code = "time"      // expired, early, too old, or living longer than its task
	RefusedReplay    Code = "replay"    // used before, or no room to remember it
	RefusedTask      Code = "task"      // the task is not the one that was signed
)

// Refusal is why a token gives no right. Callers find it with errors.AsType.
type Refusal struct {
	Code   Code
	Reason string // one clause for logs and users; holds no part of a signature or key
}

// Error implements error.
func (r *Refusal) Error() string { return fmt.Sprintf("token refused (%s): %s", r.Code, r.Reason) }

func refuse(code Code, format string, args ...any) *Refusal {
	return &Refusal{Code: code, Reason: fmt.Sprintf(format, args...)}
}
