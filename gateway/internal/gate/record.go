package gate

import (
	"crypto/sha256"
	"encoding/hex"
	"time"

	"github.com/secureclaw/secureclaw/gateway/internal/audit"
	"github.com/secureclaw/secureclaw/gateway/internal/claw"
	"github.com/secureclaw/secureclaw/internal/strict"
)

// This file holds what the gate writes into the audit log. Inputs are recorded whole; outputs by
// size and hash, for the log is kept longer than the user's files should be.

type intentFields struct {
	Tool      string            `json:"tool"`
	Executor  string            `json:"executor,omitzero"`
	Input     strict.Value      `json:"input"`
	Mounts    []claw.MountGrant `json:"mounts,omitempty"`
	Domains   []string          `json:"domains,omitempty"`
	TimeoutMS int64             `json:"timeoutMs,omitzero"`
	Digest    string            `json:"digest"`
	Tier      claw.Tier         `json:"tier"`
	Rule      string            `json:"rule"`
	Approval  string            `json:"approval,omitzero"`
	Origin    claw.Origin       `json:"origin"`
	Step      int               `json:"step,omitzero"`
}

type resultFields struct {
	Tool          string      `json:"tool,omitzero"`
	Status        claw.Status `json:"status"`
	ContentBytes  int         `json:"contentBytes"`
	ContentSHA256 string      `json:"contentSha256,omitzero"`
	DurationUS    int64       `json:"durationUs"`
	Label         claw.Label  `json:"label"`
	Approval      string      `json:"approval,omitzero"`
	// Note says why we know no more, after a crash.
	Note string `json:"note,omitzero"`
}

type refusedFields struct {
	Tool        string      `json:"tool"`
	Why         string      `json:"why"`
	Rule        string      `json:"rule,omitzero"`
	InputBytes  int         `json:"inputBytes"`
	InputSHA256 string      `json:"inputSha256"`
	Origin      claw.Origin `json:"origin"`
	Step        int         `json:"step,omitzero"`
}

type approvalFields struct {
	Approval string            `json:"approval"`
	Code     string            `json:"code"`
	Tool     string            `json:"tool"`
	Digest   string            `json:"digest"`
	Rule     string            `json:"rule"`
	Input    strict.Value      `json:"input,omitzero"`   // asked only
	Mounts   []claw.MountGrant `json:"mounts,omitempty"` // asked only
	Domains  []string          `json:"domains,omitempty"`
	Deadline time.Time         `json:"deadline,omitzero"`
	Origin   claw.Origin       `json:"origin,omitzero"`
	Label    *claw.Label       `json:"label,omitzero"`
	State    State             `json:"state"`
	Decision *Decision         `json:"decision,omitzero"`
	Note     string            `json:"note,omitzero"`
}

func (p permit) record(kind string, fields any) audit.Record { return record(kind, p.call, fields) }

func record(kind string, call Call, fields any) audit.Record {
	return audit.Record{Kind: kind, Session: string(call.Session), Run: string(call.Run), Call: string(call.ID), Fields: fields}
}

// recordResult does not wait for the disk: no effect follows from a result. If we die before it is
// there, the call is in doubt, and an approved one has its result in the store.
func (g *Gate) recordResult(p permit, r claw.ToolResult) {
	if err := g.audit.Note(p.record(audit.KindResult, fieldsOf(r, p.approval, ""))); err != nil {
		g.log.Error("result not recorded; the call will be in doubt after a restart", "call", p.call.ID, "status", r.Status, "err", err)
	}
}

func fieldsOf(r claw.ToolResult, approval, note string) resultFields {
	sum := sha256.Sum256([]byte(r.Content))
	return resultFields{
		Tool: r.Tool, Status: r.Status, ContentBytes: len(r.Content), ContentSHA256: hex.EncodeToString(sum[:]),
		DurationUS: time.Duration(r.Duration).Microseconds(), Label: r.Label, Approval: approval, Note: note,
	}
}

// askedRecord has all that the card has.
func askedRecord(a Approval) audit.Record {
	return record(audit.KindApprovalAsked, a.Call, approvalFields{
		Approval: a.ID, Code: a.Code, Tool: a.Action.Tool, Digest: a.Digest, Rule: a.Rule, Input: a.Action.Input,
		Mounts: a.Action.Mounts, Domains: a.Action.Domains, Deadline: a.Deadline, Origin: a.Call.Origin, Label: &a.Call.Label, State: a.State,
	})
}

// settledRecord says how a question ended.
func settledRecord(a Approval, note string) audit.Record {
	kind := audit.KindApprovalDecided
	if a.State == Expired || a.State == Cancelled {
		kind = audit.KindApprovalExpired
	}
	return record(kind, a.Call, approvalFields{
		Approval: a.ID, Code: a.Code, Tool: a.Action.Tool, Digest: a.Digest, Rule: a.Rule, State: a.State, Decision: a.Decision, Note: note,
	})
}
