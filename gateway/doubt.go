package gateway

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/secureclaw/secureclaw/gateway/internal/audit"
	"github.com/secureclaw/secureclaw/gateway/internal/chat"
	"github.com/secureclaw/secureclaw/gateway/internal/claw"
	"github.com/secureclaw/secureclaw/gateway/internal/gate"
	"github.com/secureclaw/secureclaw/gateway/internal/sqlite"
	"github.com/secureclaw/secureclaw/internal/strict"
)

// doubt is a call that was begun by an earlier gateway and whose end nobody knows.
type doubt struct {
	call    claw.CallID
	session claw.SessionID
	origin  claw.Origin
	tool    string
	at      time.Time // zero when it is not known any more
}

// recoverCalls settles what an earlier gateway left open, before anything new can start. Whoever
// caused a call whose end is unknown is told, in the sentences that it returns.
func recoverCalls(ctx context.Context, o Options, db *sqlite.DB, door *gate.Gate, log *audit.Log, board *chat.Board) (said []string, err error) {
	open, err := openIntents(ctx, db, door, log)
	if err != nil {
		return nil, fmt.Errorf("calls of the last run: %w", err)
	}
	found, err := doubts(ctx, o, db, open)
	if err != nil {
		return nil, fmt.Errorf("calls of the last run: %w", err)
	}
	// Told before they are settled: if we die in between, the next start tells again, which the key
	// makes harmless. The other way round nobody would ever hear of it.
	told := map[claw.CallID]bool{}
	for _, d := range found {
		text, err := d.tell(ctx, o, board)
		if err != nil {
			return nil, err
		}
		said = append(said, text)
		told[d.call] = true
	}
	var inDoubt []string
	for _, r := range open {
		inDoubt = append(inDoubt, r.Call)
	}
	recovered, err := door.Recover(ctx, inDoubt)
	if err != nil {
		return nil, fmt.Errorf("calls of the last run: %w", err)
	}
	for _, r := range recovered {
		o.Log.Warn("a call of the last run", "call", r.Call, "outcome", r.Outcome)
		if r.Outcome != gate.LeftUnknown || told[r.Call] || r.Approval == nil {
			continue
		}
		text, err := doubtOf(*r.Approval).tell(ctx, o, board)
		if err != nil {
			return nil, err
		}
		said = append(said, text)
	}
	return said, nil
}

// openIntents are the intents without a result, but for those whose result the conversation has: the log's last
// lines are written a moment after the call, and only they are missing. Such a call's end is recorded now.
func openIntents(ctx context.Context, db *sqlite.DB, door *gate.Gate, log *audit.Log) ([]audit.Record, error) {
	var out []audit.Record
	for _, r := range log.InDoubt() {
		result, found, err := storedResult(ctx, db, r)
		if err != nil {
			return nil, err
		}
		if !found {
			out = append(out, r)
			continue
		}
		call := gate.Call{ID: claw.CallID(r.Call), Session: claw.SessionID(r.Session), Run: claw.RunID(r.Run)}
		if err := door.Ended(ctx, call, result); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// recentTurns is how far back a result is looked for: a call in doubt belongs to a run that was under way.
const recentTurns = 100

func storedResult(ctx context.Context, db *sqlite.DB, r audit.Record) (claw.ToolResult, bool, error) {
	turns, err := db.Turns(ctx, claw.SessionID(r.Session), recentTurns)
	if err != nil {
		return claw.ToolResult{}, false, err
	}
	for _, t := range slices.Backward(turns) {
		for _, result := range t.Results {
			if string(result.Call) == r.Call && result.Status != claw.Unknown {
				return result, true, nil
			}
		}
	}
	return claw.ToolResult{}, false, nil
}

// doubts are the calls that [gate.Gate.Recover] will settle as unknown: those that were started and,
// as far as the log goes, not ended, unless the store has their result.
func doubts(ctx context.Context, o Options, db *sqlite.DB, records []audit.Record) ([]doubt, error) {
	started, err := db.Approvals().List(ctx, gate.Query{States: []gate.State{gate.Started}})
	if err != nil {
		return nil, err
	}
	var out []doubt
	for _, a := range started {
		out = append(out, doubtOf(a))
	}
	if len(records) == 0 {
		return out, nil
	}
	times := intentTimes(ctx, o)
	for _, r := range records {
		asked, err := db.Approvals().List(ctx, gate.Query{Call: claw.CallID(r.Call), Limit: 1})
		if err != nil {
			return nil, err
		}
		switch {
		case len(asked) == 0:
			out = append(out, doubtOfRecord(r, times[r.Call]))
		case asked[0].State == gate.Unknown:
			out = append(out, doubtOf(asked[0]))
		}
	}
	return out, nil
}

func doubtOf(a gate.Approval) doubt {
	return doubt{call: a.Call.ID, session: a.Call.Session, origin: a.Call.Origin, tool: a.Action.Tool, at: a.Started}
}

// doubtOfRecord reads an intent as the gate wrote it.
func doubtOfRecord(r audit.Record, at time.Time) doubt {
	d := doubt{call: claw.CallID(r.Call), session: claw.SessionID(r.Session), at: at}
	fields, ok := r.Fields.(strict.Value)
	if !ok {
		return d
	}
	var members map[string]strict.Value // an intent has more than is needed here
	if strict.Decode(fields, &members) != nil {
		return d
	}
	_ = strict.Decode(members["tool"], &d.tool)
	_ = strict.Decode(members["origin"], &d.origin) // without one the owner is told
	return d
}

// intentTimes are when the last calls began, as far as the end of the log tells.
func intentTimes(ctx context.Context, o Options) map[string]time.Time {
	out := map[string]time.Time{}
	for e, err := range audit.Tail(ctx, auditDir(o.State), 2000, false) {
		if err != nil {
			break // without the time it is told all the same
		}
		if e.Kind == audit.KindIntent {
			out[e.Call] = e.Time
		}
	}
	return out
}

// tell says it in one plain sentence, which it returns.
func (d doubt) tell(ctx context.Context, o Options, board *chat.Board) (string, error) {
	tool := d.tool
	if tool == "" {
		tool = "a call"
	}
	when := ""
	if !d.at.IsZero() {
		when = ", which began at " + d.at.In(o.Now().Location()).Format("2006-01-02 15:04:05")
	}
	text := fmt.Sprintf("SecureClaw was stopped during %s%s: it may have had effects, nobody knows, and it is not repeated. What is known: secureclaw audit query --call %s", tool, when, d.call)
	return text, board.Tell(ctx, "unknown:"+string(d.call), d.session, d.origin, text)
}
