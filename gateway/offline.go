package gateway

import (
	"context"
	"crypto/ed25519"
	"iter"
	"path/filepath"

	"github.com/secureclaw/secureclaw/gateway/internal/audit"
	"github.com/secureclaw/secureclaw/internal/capability"
)

// What can be read of a state folder without a gateway, also beside one that runs. The audit log
// is the only part of it that is made to be read by others.
type (
	// AuditEntry is one line of the audit log.
	AuditEntry = audit.Entry
	// AuditFilter chooses entries; an empty field chooses all.
	AuditFilter = audit.Filter
	// AuditReport is what a verification saw.
	AuditReport = audit.Report
	// AuditDamage is the first place where the log is not what was written.
	AuditDamage = audit.Damage
)

// AuditVerify checks the audit log in the folder state against its chain, its signed checkpoints
// and witness, the text of a checkpoint that was kept elsewhere (empty for none). An error that is
// an [*AuditDamage] says where the log was tampered with; any other, that it could not be read.
//
// secret is CAPABILITY_SECRET, from which the key of the log is made. When it is empty, the key that
// the gateway left beside the log is trusted instead: whoever can replace the whole folder can
// replace that too, and only a witness shows it.
func AuditVerify(ctx context.Context, state, secret, witness string) (AuditReport, error) {
	dir := auditDir(state)
	pub, err := auditKey(dir, secret)
	if err != nil {
		return AuditReport{}, err
	}
	return audit.Verify(ctx, dir, pub, audit.VerifyOptions{Witness: witness})
}

func auditKey(dir, secret string) (ed25519.PublicKey, error) {
	if secret == "" {
		return audit.ReadKey(dir)
	}
	key, err := capability.DeriveAuditKey(secret)
	if err != nil {
		return nil, err
	}
	return key.Public().(ed25519.PublicKey), nil
}

// AuditQuery returns the entries that f chooses, oldest first. An error ends it.
func AuditQuery(ctx context.Context, state string, f AuditFilter) iter.Seq2[AuditEntry, error] {
	return audit.Query(ctx, auditDir(state), f)
}

// AuditTail returns the last n entries and, with follow, each new one until ctx ends.
func AuditTail(ctx context.Context, state string, n int, follow bool) iter.Seq2[AuditEntry, error] {
	return audit.Tail(ctx, auditDir(state), n, follow)
}

func auditDir(state string) string { return filepath.Join(state, "audit") }
