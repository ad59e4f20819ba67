package sqlite

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"
	codes "modernc.org/sqlite/lib"

	"github.com/secureclaw/secureclaw/gateway/internal/claw"
	"github.com/secureclaw/secureclaw/gateway/internal/memory"
	"github.com/secureclaw/secureclaw/internal/strict"
)

// This file forgets. A memory goes from its table and from the index, and its exact words from what else is
// kept of the person's conversations, in one transaction. Deleted bytes are overwritten (secure_delete, and
// the index's own), and the log of changes is emptied after it, so that the files do not have them either.
//
// What is still under way keeps its words: an open question is bound to what it shows, and a message that
// is not answered or not sent yet has to be.

// forgotten stands where words were.
const forgotten = "[forgotten]"

// minWords is how many characters words have at least that are replaced wherever they stand. Shorter ones
// are everywhere by chance, and go only from the call that saved them.
const minWords = 8

// ForgetMemories deletes memories of one owner, with their words in the conversations that mine selects.
func (db *DB) ForgetMemories(ctx context.Context, owner string, ids []int64, mine func(claw.Origin) bool) (int, error) {
	list, err := strict.Encode(ids)
	if err != nil {
		return 0, err
	}
	n := 0
	err = db.inTx(ctx, func(tx *sql.Tx) error {
		e := &eraser{tx: tx, mine: mine, ids: ids}
		// Tags are words, too, but those of one conversation stand in a hundred others.
		e.words, err = column[string](ctx, tx, `SELECT content FROM memories WHERE owner = ?1 AND id IN (SELECT value FROM json_each(?2))
			UNION SELECT v.content FROM memory_versions v JOIN memories m ON m.id = v.memory WHERE m.owner = ?1 AND m.id IN (SELECT value FROM json_each(?2))`, owner, string(list))
		if err != nil || len(e.words) == 0 {
			return err
		}
		result, err := tx.ExecContext(ctx, `DELETE FROM memories WHERE owner = ? AND id IN (SELECT value FROM json_each(?))`, owner, string(list))
		if err != nil {
			return err
		}
		gone, err := result.RowsAffected()
		if n = int(gone); err != nil || n == 0 {
			return err
		}
		return e.erase(ctx)
	})
	db.rewrites.Add(1) // whatever the error: a commit that fails may have come to pass
	if err != nil || n == 0 {
		return 0, err
	}
	return n, db.emptyLog(context.WithoutCancel(ctx))
}

// Rewrites counts how often words were taken out of conversations: what was read before may have them still.
func (db *DB) Rewrites() int64 { return db.rewrites.Load() }

// emptyLog writes the log of changes into the file and cuts it to nothing. A reader may be in the way for a moment.
func (db *DB) emptyLog(ctx context.Context) error {
	const tries = 50
	for try := range tries {
		var busy, frames, done int
		if err := db.write.QueryRowContext(ctx, `PRAGMA wal_checkpoint(TRUNCATE)`).Scan(&busy, &frames, &done); err != nil && code(err)&0xff != codes.SQLITE_BUSY {
			return explain(err)
		} else if err == nil && busy == 0 {
			return nil
		}
		if try < tries-1 {
			time.Sleep(20 * time.Millisecond)
		}
	}
	return errors.New("it is forgotten, but its words stay in the log of changes until the next time it is written back: somebody reads the file without an end")
}

// eraser takes words out of conversations.
type eraser struct {
	tx    *sql.Tx
	mine  func(claw.Origin) bool
	ids   []int64
	words []string
	// calls are those that saved the words.
	calls []string
}

func (e *eraser) erase(ctx context.Context) error {
	sessions, err := e.sessions(ctx)
	if err != nil || len(sessions) == 0 {
		return err
	}
	list, err := strict.Encode(sessions)
	if err != nil {
		return err
	}
	if err := e.asSaid(ctx, string(list)); err != nil {
		return err
	}
	// The longest first: what is part of another must not break it.
	slices.SortFunc(e.words, func(a, b string) int { return len(b) - len(a) })
	needles, err := strict.Encode(e.needles())
	if err != nil {
		return err
	}
	const theirs = `session IN (SELECT value FROM json_each(?1)) AND `
	for _, part := range []struct {
		table, column, of string
		change            func(string) (string, error)
	}{
		// The turns come first: they tell which calls saved the words.
		{"turns", "turn_json", theirs + `(instr($, '` + memory.ToolSave + `') + instr($, '` + memory.ToolSearch + `') > 0 OR ` + hasWords + `)`, e.turn},
		{"messages", "message_json", theirs + `state = 'answered' AND ` + hasWords, e.json},
		{"messages", "reply", theirs + `state = 'answered' AND reply IS NOT NULL AND ` + hasWords, e.text},
		{"summaries", "text", theirs + hasWords, e.text},
		{"sessions", "title", `id IN (SELECT value FROM json_each(?1)) AND ` + hasWords, e.text},
		{"tasks", "task_json", theirs + `state <> 'open' AND ` + hasWords, e.json},
		{"approvals", "result_json", theirs + endedApproval + ` AND result_json IS NOT NULL AND (instr($, '` + memory.ToolSearch + `') > 0 OR ` + hasWords + `)`, e.result},
		{"approvals", "action_json", theirs + endedApproval + ` AND ` + hasWords, e.json},
	} {
		of := strings.ReplaceAll(part.of, "$", part.column)
		if err := e.rewrite(ctx, part.table, part.column, of, part.change, string(list), string(needles)); err != nil {
			return fmt.Errorf("forget in %s: %w", part.table, err)
		}
	}
	if err := e.outbox(ctx, string(needles)); err != nil {
		return fmt.Errorf("forget in outbox: %w", err)
	}
	return e.ofCalls(ctx)
}

const endedApproval = `state NOT IN ('pending', 'allowed', 'started')`

// asSaid adds the words as the model wrote them when it saved them, which most often is how the user did: a memory
// is kept without joiners and the like, and they stand between letters in Persian and in pictures of people.
func (e *eraser) asSaid(ctx context.Context, sessions string) error {
	said := map[string]bool{}
	err := e.rewrite(ctx, "turns", "turn_json", `session IN (SELECT value FROM json_each(?1)) AND instr(turn_json, '`+memory.ToolSave+`') > 0`, func(value string) (string, error) {
		var turn claw.Turn
		if err := strict.Decode([]byte(value), &turn); err != nil {
			return "", err
		}
		for _, c := range turn.Calls {
			if content, ok := e.saves(c.Input); c.Tool == memory.ToolSave && ok {
				said[strings.TrimSpace(content)] = true
			}
		}
		return value, nil
	}, sessions)
	for words := range said {
		if !slices.Contains(e.words, words) {
			e.words = append(e.words, words)
		}
	}
	return err
}

// sessions are the conversations of the person.
func (e *eraser) sessions(ctx context.Context) ([]string, error) {
	rows, err := e.tx.QueryContext(ctx, `SELECT id, channel, user FROM sessions`)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var out []string
	for rows.Next() {
		var id string
		var o claw.Origin
		if err := rows.Scan(&id, &o.Channel, &o.User); err != nil {
			return nil, err
		}
		if e.mine(o) {
			out = append(out, id)
		}
	}
	return out, rows.Err()
}

// hasWords is a condition on the column $: it has one of the needles of ?2.
const hasWords = `EXISTS (SELECT 1 FROM json_each(?2) WHERE instr($, value) > 0)`

// needles are what is looked for in a row before it is read: words that are long enough, as they are, as
// JSON, and as JSON in JSON. Of several lines the longest is looked for, because each may have a mark before it.
func (e *eraser) needles() []string {
	out := []string{}
	for _, words := range e.words {
		if utf8.RuneCountInString(words) < minWords {
			continue
		}
		line := slices.MaxFunc(strings.Split(words, "\n"), func(a, b string) int { return len(a) - len(b) })
		once := quoted(line)
		out = append(out, line, once, quoted(once))
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// quoted is a text as it stands inside a JSON string.
func quoted(text string) string {
	data, err := strict.Encode(text)
	if err != nil {
		return text
	}
	return string(data[1 : len(data)-1])
}

// rewrite changes a column of the rows that a condition selects. The rows are read one by one, for they can be large.
func (e *eraser) rewrite(ctx context.Context, table, col, where string, change func(string) (string, error), args ...any) error {
	rowids, err := column[int64](ctx, e.tx, `SELECT rowid FROM `+table+` WHERE `+where+` ORDER BY rowid`, args...)
	if err != nil {
		return err
	}
	for _, rowid := range rowids {
		var before string
		if err := e.tx.QueryRowContext(ctx, `SELECT `+col+` FROM `+table+` WHERE rowid = ?`, rowid).Scan(&before); err != nil {
			return err
		}
		after, err := change(before)
		if err != nil {
			return err
		}
		if after == before {
			continue
		}
		if _, err := e.tx.ExecContext(ctx, `UPDATE `+table+` SET `+col+` = ? WHERE rowid = ?`, after, rowid); err != nil {
			return err
		}
	}
	return nil
}

// text replaces the words in plain text.
func (e *eraser) text(text string) (string, error) {
	for _, words := range e.words {
		if utf8.RuneCountInString(words) < minWords {
			continue
		}
		text = strings.ReplaceAll(text, words, forgotten)
		if strings.Contains(words, "\n") {
			text = strings.ReplaceAll(text, strings.ReplaceAll(words, "\n", "\n> "), forgotten)
		}
	}
	return text, nil
}

// json replaces the words in every string of a JSON value, and in JSON that stands in a string. What has
// none of them stays byte for byte.
func (e *eraser) json(value string) (string, error) {
	var out bytes.Buffer
	dec, enc := jsontext.NewDecoder(strings.NewReader(value)), jsontext.NewEncoder(&out)
	changed := false
	for {
		token, err := dec.ReadToken()
		if err == io.EOF {
			break
		}
		if err != nil {
			return "", err
		}
		if token.Kind() == '"' {
			text := token.String()
			after, _ := e.text(text)
			if strings.HasPrefix(strings.TrimSpace(text), "{") {
				if inner, err := e.json(text); err == nil {
					after = inner // rather than the words cut out of JSON, which might not be JSON then
				}
			}
			changed = changed || after != text
			token = jsontext.String(after)
		}
		if err := enc.WriteToken(token); err != nil {
			return "", err
		}
	}
	if !changed {
		return value, nil
	}
	return strings.TrimSuffix(out.String(), "\n"), nil
}

// result replaces the words in what a call returned.
func (e *eraser) result(value string) (string, error) {
	var r claw.ToolResult
	if err := strict.Decode([]byte(value), &r); err != nil {
		return "", err
	}
	if after := memory.Forget(r.Content, e.ids); r.Tool == memory.ToolSearch && after != r.Content {
		r.Content = after
		data, err := strict.Encode(r)
		if err != nil {
			return "", err
		}
		value = string(data)
	}
	return e.json(value)
}

// turn replaces the words in a turn, and all that a call said to save them or read when it searched, whatever their length.
func (e *eraser) turn(value string) (string, error) {
	var turn claw.Turn
	if err := strict.Decode([]byte(value), &turn); err != nil {
		return "", err
	}
	changed := false
	for i, c := range turn.Calls {
		if _, ok := e.saves(c.Input); c.Tool == memory.ToolSave && ok {
			e.calls = append(e.calls, string(c.ID))
			turn.Calls[i].Input = forgottenInput
			changed = true
		}
	}
	for i, r := range turn.Results {
		if r.Tool == memory.ToolSave && slices.Contains(e.calls, string(r.Call)) {
			turn.Results[i].Content = forgotten
			changed = true
		}
		if after := memory.Forget(r.Content, e.ids); r.Tool == memory.ToolSearch && after != r.Content {
			turn.Results[i].Content = after
			changed = true
		}
	}
	if changed {
		data, err := strict.Encode(turn)
		if err != nil {
			return "", err
		}
		value = string(data)
	}
	return e.json(value)
}

// forgottenInput is valid input of save_memory.
const forgottenInput = `{"category":"note","content":"` + forgotten + `"}`

// saves returns what a call's input saves, and whether it is one of the words.
func (e *eraser) saves(input string) (said string, ok bool) {
	if err := jsonContent(input, &said); err != nil {
		return "", false
	}
	content, err := memory.CleanContent(said)
	return said, err == nil && slices.Contains(e.words, content)
}

// jsonContent reads the member "content"; what else a model wrote does not matter.
func jsonContent(input string, content *string) error {
	var members map[string]strict.Value
	if err := strict.Decode([]byte(input), &members); err != nil {
		return err
	}
	return strict.Decode(members["content"], content)
}

// outbox replaces the words in what was sent to the person.
func (e *eraser) outbox(ctx context.Context, needles string) error {
	rows, err := e.tx.QueryContext(ctx, `SELECT DISTINCT channel, user FROM outbox`)
	if err != nil {
		return err
	}
	var users []string
	for rows.Next() {
		var o claw.Origin
		if err := rows.Scan(&o.Channel, &o.User); err != nil {
			return errors.Join(err, rows.Close())
		}
		if e.mine(o) {
			users = append(users, string(o.Channel)+"\x00"+o.User)
		}
	}
	if err := errors.Join(rows.Err(), rows.Close()); err != nil {
		return err
	}
	list, err := strict.Encode(users)
	if err != nil {
		return err
	}
	return e.rewrite(ctx, "outbox", "text", `channel || char(0) || user IN (SELECT value FROM json_each(?1)) AND state <> 'due' AND `+strings.ReplaceAll(hasWords, "$", "text"),
		e.text, string(list), needles)
}

// ofCalls takes what the calls that saved the words left elsewhere: their questions, once these have ended,
// and the notices that told of them, whose text is shortened and escaped.
func (e *eraser) ofCalls(ctx context.Context) error {
	for _, call := range e.calls {
		if _, err := e.tx.ExecContext(ctx, `UPDATE outbox SET text = ? WHERE key = ? AND kind = 'text' AND state <> 'due'`, forgotten, "notice:"+call); err != nil {
			return err
		}
		if err := e.rewrite(ctx, "approvals", "action_json", `call = ?1 AND `+endedApproval, func(value string) (string, error) {
			var a claw.Action
			if err := strict.Decode([]byte(value), &a); err != nil {
				return "", err
			}
			a.Input = strict.Value(forgottenInput)
			data, err := strict.CanonicalOf(a)
			return string(data), err
		}, call); err != nil {
			return err
		}
		if err := e.rewrite(ctx, "approvals", "result_json", `call = ?1 AND result_json IS NOT NULL AND `+endedApproval, func(value string) (string, error) {
			var r claw.ToolResult
			if err := strict.Decode([]byte(value), &r); err != nil {
				return "", err
			}
			r.Content = forgotten
			data, err := strict.Encode(r)
			return string(data), err
		}, call); err != nil {
			return err
		}
	}
	return nil
}

// column reads the one column of all rows.
func column[T any](ctx context.Context, tx *sql.Tx, query string, args ...any) ([]T, error) {
	rows, err := tx.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var out []T
	for rows.Next() {
		var v T
		if err := rows.Scan(&v); err != nil {
			return nil, err
		}
		out = append(out, v)
	}
	return out, rows.Err()
}
