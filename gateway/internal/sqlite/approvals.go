package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"

	codes "modernc.org/sqlite/lib"

	"github.com/secureclaw/secureclaw/gateway/internal/claw"
	"github.com/secureclaw/secureclaw/gateway/internal/gate"
	"github.com/secureclaw/secureclaw/internal/strict"
)

// Approvals is the gate's store.
type Approvals struct{ db *DB }

var _ gate.Store = (*Approvals)(nil)

// Approvals returns the gate's store in this file.
func (db *DB) Approvals() *Approvals { return &Approvals{db} }

// Insert adds a pending approval.
func (s *Approvals) Insert(ctx context.Context, a gate.Approval) error {
	if a.State != gate.Pending {
		return fmt.Errorf("approval %s is %s, only a pending one can be added", a.ID, a.State)
	}
	call, err := strict.Encode(a.Call)
	if err != nil {
		return err
	}
	action, err := strict.CanonicalOf(a.Action)
	if err != nil {
		return err
	}
	_, err = s.db.exec(ctx, `INSERT INTO approvals (id, code, state, session, call, call_json, action_json, digest, rule, reason, asked, deadline)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
		a.ID, a.Code, string(a.State), string(a.Call.Session), string(a.Call.ID), string(call), string(action),
		a.Digest, a.Rule, a.Reason, a.Asked.UnixMilli(), a.Deadline.UnixMilli())
	if code(err) == codes.SQLITE_CONSTRAINT_UNIQUE && strings.Contains(err.Error(), "approvals.code") {
		return gate.ErrCodeTaken
	}
	return err
}

const approvalColumns = `id, code, state, call_json, action_json, digest, rule, reason, asked, deadline, decision_json, decided, started, ended, result_json`

// Load returns one approval.
func (s *Approvals) Load(ctx context.Context, id string) (gate.Approval, error) {
	a, err := scanApproval(s.db.read.QueryRowContext(ctx, `SELECT `+approvalColumns+` FROM approvals WHERE id = ?`, id))
	if errors.Is(err, sql.ErrNoRows) {
		return gate.Approval{}, fmt.Errorf("%w: %.64q", gate.ErrUnknown, id)
	}
	if err == nil && a.Result != nil {
		err = s.db.addPictures(ctx, a.Result)
	}
	return a, explain(err)
}

// Move is one UPDATE with the old state in its condition, so that one caller wins whatever the others do.
func (s *Approvals) Move(ctx context.Context, id string, from, to gate.State, c gate.Change) (bool, error) {
	if !from.Leads(to) {
		return false, fmt.Errorf("approval %s: %s does not lead to %s", id, from, to)
	}
	decision, err := encodeOptional(c.Decision)
	if err != nil {
		return false, err
	}
	var bare *claw.ToolResult
	if c.Result != nil {
		bare = &withoutPictures([]claw.ToolResult{*c.Result})[0]
	}
	result, err := encodeOptional(bare)
	if err != nil {
		return false, err
	}
	at := millis(c.At)
	var decided, started, ended any
	if from == gate.Pending {
		decided = at
	}
	if to == gate.Started {
		started = at
	}
	if to.Final() {
		ended = at
	}
	moved := false
	err = s.db.inTx(ctx, func(tx *sql.Tx) error {
		var session claw.SessionID
		err := tx.QueryRowContext(ctx, `UPDATE approvals SET state = ?,
				decision_json = coalesce(?, decision_json), result_json = coalesce(?, result_json),
				decided = coalesce(?, decided), started = coalesce(?, started), ended = coalesce(?, ended)
			WHERE id = ? AND state = ? RETURNING session`, string(to), decision, result, decided, started, ended, id, string(from)).Scan(&session)
		if errors.Is(err, sql.ErrNoRows) {
			return nil
		}
		if moved = err == nil; !moved || c.Result == nil {
			return err
		}
		return putPictures(ctx, tx, session, []claw.ToolResult{*c.Result})
	})
	return moved && err == nil, err
}

// List returns what the query selects.
func (s *Approvals) List(ctx context.Context, q gate.Query) ([]gate.Approval, error) {
	where, args := []string{"true"}, []any{}
	add := func(condition string, arg string) {
		if arg != "" {
			where, args = append(where, condition), append(args, arg)
		}
	}
	add("session = ?", string(q.Session))
	add("call = ?", string(q.Call))
	add("code = ?", q.Code)
	if len(q.States) > 0 {
		for _, state := range q.States {
			args = append(args, string(state))
		}
		where = append(where, "state IN (?"+strings.Repeat(", ?", len(q.States)-1)+")")
	}
	order := "asked, rowid"
	if q.Newest {
		order = "asked DESC, rowid DESC"
	}
	limit := -1
	if q.Limit > 0 {
		limit = q.Limit
	}
	rows, err := s.db.read.QueryContext(ctx, `SELECT `+approvalColumns+` FROM approvals WHERE `+strings.Join(where, " AND ")+
		` ORDER BY `+order+` LIMIT ?`, append(args, limit)...)
	if err != nil {
		return nil, explain(err)
	}
	defer rows.Close()
	var out []gate.Approval
	for rows.Next() {
		a, err := scanApproval(rows)
		if err != nil {
			return nil, err
		}
		out = append(out, a)
	}
	if err := errors.Join(rows.Err(), rows.Close()); err != nil {
		return nil, explain(err)
	}
	// Only who asks for one call goes on with its result.
	for i := range out {
		if q.Call != "" && out[i].Result != nil {
			if err := s.db.addPictures(ctx, out[i].Result); err != nil {
				return nil, err
			}
		}
	}
	return out, nil
}

// scanner is a row, or the current one of many.
type scanner interface{ Scan(...any) error }

func scanApproval(row scanner) (gate.Approval, error) {
	var a gate.Approval
	var call, action string
	var decision, result sql.NullString
	var asked, deadline, decided, started, ended sql.NullInt64
	err := row.Scan(&a.ID, &a.Code, &a.State, &call, &action, &a.Digest, &a.Rule, &a.Reason, &asked, &deadline, &decision, &decided, &started, &ended, &result)
	if err != nil {
		return gate.Approval{}, err
	}
	a.Asked, a.Deadline = fromMillis(asked), fromMillis(deadline)
	a.Decided, a.Started, a.Ended = fromMillis(decided), fromMillis(started), fromMillis(ended)
	err = errors.Join(strict.Decode([]byte(call), &a.Call), strict.Decode([]byte(action), &a.Action))
	if decision.Valid {
		a.Decision = new(gate.Decision)
		err = errors.Join(err, strict.Decode([]byte(decision.String), a.Decision))
	}
	if result.Valid {
		a.Result = new(claw.ToolResult)
		err = errors.Join(err, strict.Decode([]byte(result.String), a.Result))
	}
	if err != nil {
		return gate.Approval{}, fmt.Errorf("approval %s was stored in another form: %w", a.ID, err)
	}
	return a, nil
}

// encodeOptional returns nil, which is NULL, for a nil pointer.
func encodeOptional[T any](v *T) (any, error) {
	if v == nil {
		return nil, nil
	}
	data, err := strict.Encode(v)
	return string(data), err
}
