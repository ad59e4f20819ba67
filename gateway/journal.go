package gateway

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/secureclaw/secureclaw/gateway/internal/audit"
	"github.com/secureclaw/secureclaw/gateway/internal/gate"
	"github.com/secureclaw/secureclaw/internal/run"
	"github.com/secureclaw/secureclaw/internal/strict"
)

// journal returns what reads the end of the audit log in words. It says what happened and to what
// tool, never with which arguments: a chat is a place where others look over one's shoulder. Nothing
// is verified here; that reads the whole log.
func journal(o Options, log *audit.Log) func(ctx context.Context, n int) ([]string, string, error) {
	return func(ctx context.Context, n int) ([]string, string, error) {
		var entries []audit.Entry
		// Entries of the log about itself are left out, so more are read than are shown.
		for e, err := range audit.Tail(ctx, auditDir(o.State), 4*n+8, false) {
			if err != nil {
				return nil, "", err
			}
			if !strings.HasPrefix(e.Kind, "audit.") {
				entries = append(entries, e)
			}
		}
		var lines []string
		for _, e := range entries[max(0, len(entries)-n):] {
			lines = append(lines, e.Time.In(o.Now().Location()).Format("15:04:05")+" "+entryWords(e))
		}
		head := log.Head()
		state := fmt.Sprintf("The log is written without a fault; %d entries are signed. To check all of it: secureclaw audit verify", head.Size)
		if err := log.Err(); err != nil {
			state = "The log is broken, so nothing runs: " + err.Error()
		}
		return lines, state, nil
	}
}

// entryWords says one entry as a sentence without arguments.
func entryWords(e audit.Entry) string {
	var f map[string]any
	_ = strict.Decode(e.Fields, &f) // a log that is damaged is still told of
	word := func(name string) string {
		s, _ := f[name].(string)
		return s
	}
	join := func(parts ...string) string {
		return strings.Join(slices.DeleteFunc(parts, func(s string) bool { return s == "" }), " ")
	}
	switch e.Kind {
	case audit.KindMessage:
		return join("message from", word("channel"), word("user"))
	case audit.KindIntent:
		return join("begins", word("tool"), bracket(word("tier")))
	case audit.KindResult:
		return join("ended", word("tool"), word("status"))
	case audit.KindRefused:
		return join("refused", word("tool"))
	case audit.KindApprovalAsked:
		return join("asked about", word("tool"), bracket(word("code")))
	case audit.KindApprovalDecided, audit.KindApprovalExpired:
		return join(word("state"), word("tool"), bracket(word("code")))
	case audit.KindEgress:
		return egressWords(f)
	case kindBrowsingOff:
		return "browsing was switched off: the test of the way out failed"
	case kindBrowsingOn:
		return "browsing works again"
	case "stranger":
		return join("a stranger on", word("channel"), bracket(word("user")))
	case "forbidden":
		return join("not allowed:", word("channel"), word("user"))
	default:
		return e.Kind
	}
}

// egress writes what the runner decided about a connection of a call. It precedes no effect of ours: the
// connection was made or refused by then.
func egress(o Options, log *audit.Log) func(gate.Call, run.Egress) {
	return func(call gate.Call, e run.Egress) {
		err := log.Note(audit.Record{Kind: audit.KindEgress, Session: string(call.Session), Run: string(call.Run), Call: string(call.ID), Fields: e})
		if err != nil {
			o.Log.Error("a connection of a page was not recorded", "call", call.ID, "allowed", e.Allowed, "err", err)
		}
	}
}

// egressWords says a connection without its host, which is somebody's reading.
func egressWords(f map[string]any) string {
	number := func(name string) int64 {
		n, _ := f[name].(float64)
		return int64(n)
	}
	switch allowed, _ := f["allowed"].(bool); {
	case f["total"] == true:
		return fmt.Sprintf("a page's connections: %d, %d bytes out, %d bytes in", number("count"), number("up"), number("down"))
	case allowed:
		return "a page was let through to a host"
	default:
		code, _ := f["code"].(string)
		return strings.TrimSpace("a page was kept from a host " + bracket(code))
	}
}

func bracket(s string) string {
	if s == "" {
		return ""
	}
	return "(" + s + ")"
}
