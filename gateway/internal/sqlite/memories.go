package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/secureclaw/secureclaw/gateway/internal/claw"
	"github.com/secureclaw/secureclaw/gateway/internal/memory"
	"github.com/secureclaw/secureclaw/internal/strict"
)

var _ memory.Store = (*DB)(nil)

// AddMemory adds a row and returns its id; an owner who has most already gets memory.ErrMany.
func (db *DB) AddMemory(ctx context.Context, row memory.Row, most int) (id int64, err error) {
	err = db.inTx(ctx, func(tx *sql.Tx) error {
		id, err = addMemory(ctx, tx, row, most)
		return err
	})
	return id, err
}

// AddMemories adds rows in one transaction, for those who have a whole store to fill.
func (db *DB) AddMemories(ctx context.Context, rows []memory.Row) error {
	return db.inTx(ctx, func(tx *sql.Tx) error {
		for _, row := range rows {
			if _, err := addMemory(ctx, tx, row, memory.MaxOwned); err != nil {
				return err
			}
		}
		return nil
	})
}

func addMemory(ctx context.Context, tx *sql.Tx, row memory.Row, most int) (int64, error) {
	tags, label, err := encodeMemory(row.Memory)
	if err != nil {
		return 0, err
	}
	place, count, err := nextPlace(ctx, tx, row.Owner, 1)
	if err != nil {
		return 0, err
	}
	if count > most {
		return 0, memory.ErrMany
	}
	var id int64
	err = tx.QueryRowContext(ctx, `INSERT INTO memories (place, owner, category, content, tags_json, author, source, session, label_json, created, updated, used, uses, gist, terms)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) RETURNING id`,
		place, row.Owner, row.Category, row.Content, tags, row.Author, row.Source, string(row.Session), label,
		row.Created.UnixMilli(), millis(row.Updated), millis(row.Used), row.Uses, row.Gist, row.Terms).Scan(&id)
	return id, err
}

// nextPlace takes the owner's next place, counts what is added, and returns how many there are then.
func nextPlace(ctx context.Context, tx *sql.Tx, owner string, added int) (place int64, count int, err error) {
	err = tx.QueryRowContext(ctx, `INSERT INTO memory_owners (n, owner, count, last)
			SELECT coalesce(max(n), 0) + 1, ?1, ?2, ((coalesce(max(n), 0) + 1) << 32) + 1 FROM memory_owners WHERE true
		ON CONFLICT (owner) DO UPDATE SET count = count + ?2, last = last + 1 RETURNING last, count`, owner, added).Scan(&place, &count)
	return place, count, err
}

func encodeMemory(m claw.Memory) (tags, label string, err error) {
	if m.Tags == nil {
		m.Tags = []string{}
	}
	t, err := strict.Encode(m.Tags)
	if err != nil {
		return "", "", err
	}
	l, err := strict.Encode(m.Label)
	return string(t), string(l), err
}

// MergeMemory replaces a row, which becomes its owner's newest, and keeps the wording that is none of its own now.
func (db *DB) MergeMemory(ctx context.Context, row memory.Row, wording string) error {
	tags, label, err := encodeMemory(row.Memory)
	if err != nil {
		return err
	}
	return db.inTx(ctx, func(tx *sql.Tx) error {
		place, _, err := nextPlace(ctx, tx, row.Owner, 0)
		if err != nil {
			return err
		}
		result, err := tx.ExecContext(ctx, `UPDATE memories SET place = ?, category = ?, content = ?, tags_json = ?, author = ?, source = ?, session = ?,
				label_json = ?, updated = ?, gist = ?, terms = ? WHERE id = ? AND owner = ?`,
			place, row.Category, row.Content, tags, row.Author, row.Source, string(row.Session), label, millis(row.Updated), row.Gist, row.Terms, row.ID, row.Owner)
		if err != nil {
			return err
		}
		if n, err := result.RowsAffected(); err != nil || n == 0 {
			return errors.Join(err, fmt.Errorf("memory %d of %s is not there any more", row.ID, row.Owner))
		}
		if wording == "" {
			return nil
		}
		_, err = tx.ExecContext(ctx, `INSERT INTO memory_versions (memory, at, content) VALUES (?, ?, ?)`, row.ID, row.Updated.UnixMilli(), wording)
		return err
	})
}

const memoryColumns = `id, owner, category, content, tags_json, author, source, session, label_json, created, updated, used, uses`

// memories reads rows that select the columns of a memory.
func (db *DB) memories(ctx context.Context, query string, args ...any) ([]claw.Memory, error) {
	rows, err := db.reads.query(ctx, query, args...)
	if err != nil {
		return nil, explain(err)
	}
	defer rows.Close()
	var out []claw.Memory
	for rows.Next() {
		var m claw.Memory
		var tags, label string
		var created, updated, used sql.NullInt64
		if err := rows.Scan(&m.ID, &m.Owner, &m.Category, &m.Content, &tags, &m.Author, &m.Source, &m.Session, &label, &created, &updated, &used, &m.Uses); err != nil {
			return nil, err
		}
		if err := errors.Join(strict.Decode([]byte(tags), &m.Tags), strict.Decode([]byte(label), &m.Label)); err != nil {
			return nil, fmt.Errorf("memory %d was stored in another form: %w", m.ID, err)
		}
		if len(m.Tags) == 0 {
			m.Tags = nil
		}
		m.Created, m.Updated, m.Used = fromMillis(created), fromMillis(updated), fromMillis(used)
		out = append(out, m)
	}
	return out, explain(rows.Err())
}

// MemoriesOfGist are those of one owner that say the same.
func (db *DB) MemoriesOfGist(ctx context.Context, owner string, gist int64) ([]claw.Memory, error) {
	return db.memories(ctx, `SELECT `+memoryColumns+` FROM memories WHERE owner = ? AND gist = ? ORDER BY id LIMIT 20`, owner, gist)
}

// MemoriesByID returns those that are there, in the order of the ids.
func (db *DB) MemoriesByID(ctx context.Context, ids []int64) ([]claw.Memory, error) {
	if len(ids) == 0 {
		return nil, nil
	}
	list, err := strict.Encode(ids)
	if err != nil {
		return nil, err
	}
	return db.memories(ctx, `SELECT `+memoryColumns+` FROM (SELECT key AS k, value AS v FROM json_each(?)) CROSS JOIN memories ON id = v ORDER BY k`, string(list))
}

// ListMemories returns a page, the newest first.
func (db *DB) ListMemories(ctx context.Context, q claw.MemoryQuery) ([]claw.Memory, error) {
	where, args := []string{"true"}, []any{}
	add := func(condition string, arg any) { where, args = append(where, condition), append(args, arg) }
	if q.Owner != "" {
		add("owner = ?", q.Owner)
	}
	if q.Category != "" {
		add("category = ?", q.Category)
	}
	if q.Below > 0 {
		add("id < ?", q.Below)
	}
	if q.Limit < 1 {
		q.Limit = 100
	}
	return db.memories(ctx, `SELECT `+memoryColumns+` FROM memories WHERE `+strings.Join(where, " AND ")+` ORDER BY id DESC LIMIT ?`, append(args, q.Limit)...)
}

// MemoryCategories counts, by name; an empty owner is all.
func (db *DB) MemoryCategories(ctx context.Context, owner string) ([]claw.MemoryCategory, error) {
	where, args := "", []any{}
	if owner != "" {
		where, args = "WHERE owner = ?", []any{owner} // one condition for both would read everybody's
	}
	rows, err := db.read.QueryContext(ctx, `SELECT category, count(*) FROM memories `+where+` GROUP BY category ORDER BY category`, args...)
	if err != nil {
		return nil, explain(err)
	}
	defer rows.Close()
	var out []claw.MemoryCategory
	for rows.Next() {
		var c claw.MemoryCategory
		if err := rows.Scan(&c.Name, &c.Count); err != nil {
			return nil, err
		}
		out = append(out, c)
	}
	return out, explain(rows.Err())
}

// MemoryVersions are the wordings that were merged into a memory, the oldest first.
func (db *DB) MemoryVersions(ctx context.Context, id int64) ([]memory.Version, error) {
	rows, err := db.read.QueryContext(ctx, `SELECT at, content FROM memory_versions WHERE memory = ? ORDER BY rowid`, id)
	if err != nil {
		return nil, explain(err)
	}
	defer rows.Close()
	var out []memory.Version
	for rows.Next() {
		var at sql.NullInt64
		var v memory.Version
		if err := rows.Scan(&at, &v.Content); err != nil {
			return nil, err
		}
		v.At = fromMillis(at)
		out = append(out, v)
	}
	return out, explain(rows.Err())
}

// MemoryScope says where the memories of one owner lie.
func (db *DB) MemoryScope(ctx context.Context, owner string) (memory.Scope, error) {
	var s memory.Scope
	err := db.memory.scope.QueryRowContext(ctx, owner).Scan(&s.First, &s.Last, &s.Count)
	if errors.Is(err, sql.ErrNoRows) {
		return memory.Scope{}, nil
	}
	return s, explain(err)
}

// MemoryPlaces returns places between from and last that have all the terms, the newest first.
func (db *DB) MemoryPlaces(ctx context.Context, terms []string, prefix bool, from, last int64, limit int) ([]int64, error) {
	match := matching(terms, prefix)
	if match == "" {
		return nil, nil
	}
	rows, err := db.memory.places.QueryContext(ctx, match, from, last)
	if err != nil {
		return nil, explain(err)
	}
	defer rows.Close()
	out := make([]int64, 0, limit)
	for len(out) < limit && rows.Next() { // the index walks no further than it is asked to
		var place int64
		if err := rows.Scan(&place); err != nil {
			return nil, err
		}
		out = append(out, place)
	}
	return out, explain(rows.Err())
}

// matching is the query for all of the terms. Each stands between quotes, where nothing has a meaning but a
// quote; terms have none, and what would have one is a term that nothing has.
func matching(terms []string, prefix bool) string {
	var b strings.Builder
	for i, term := range terms {
		if strings.ContainsAny(term, "\"\x00") {
			return ""
		}
		if i > 0 {
			b.WriteString(" AND ")
		}
		b.WriteByte('"')
		b.WriteString(term)
		b.WriteByte('"')
	}
	if prefix && b.Len() > 0 {
		b.WriteByte('*')
	}
	return b.String()
}

// MemoryLeads returns what candidates are ranked by.
func (db *DB) MemoryLeads(ctx context.Context, places []int64) ([]memory.Lead, error) {
	if len(places) == 0 {
		return nil, nil
	}
	list, err := strict.Encode(places)
	if err != nil {
		return nil, err
	}
	rows, err := db.memory.leads.QueryContext(ctx, string(list))
	return leads(rows, err, len(places))
}

// MemoryLeadsBetween returns those of the memories from a place to a last one, at most limit, the oldest first.
func (db *DB) MemoryLeadsBetween(ctx context.Context, from, last int64, limit int) ([]memory.Lead, error) {
	rows, err := db.read.QueryContext(ctx, `SELECT id, place, terms, coalesce(updated, created), used FROM memories
		WHERE place BETWEEN ? AND ? ORDER BY place LIMIT ?`, from, last, limit)
	return leads(rows, err, limit)
}

func leads(rows *sql.Rows, err error, most int) ([]memory.Lead, error) {
	if err != nil {
		return nil, explain(err)
	}
	defer rows.Close()
	out := make([]memory.Lead, 0, most)
	for rows.Next() {
		var l memory.Lead
		var changed, used sql.NullInt64
		if err := rows.Scan(&l.ID, &l.Place, &l.Terms, &changed, &used); err != nil {
			return nil, err
		}
		l.Changed, l.Used = fromMillis(changed), fromMillis(used)
		out = append(out, l)
	}
	return out, explain(rows.Err())
}

// memoryReads are the statements of a search: it takes many, and to read one's text takes as long as to run it.
type memoryReads struct{ scope, places, leads *sql.Stmt }

func prepareMemoryReads(ctx context.Context, db *sql.DB) (r memoryReads, err error) {
	for text, to := range map[string]**sql.Stmt{
		`SELECT (n << 32) + 1, last, count FROM memory_owners WHERE owner = ?`:                                                                  &r.scope,
		`SELECT rowid FROM memory_index WHERE memory_index MATCH ? AND rowid BETWEEN ? AND ? ORDER BY rowid DESC`:                               &r.places,
		`SELECT id, place, terms, coalesce(updated, created), used FROM (SELECT value AS v FROM json_each(?)) CROSS JOIN memories ON place = v`: &r.leads,
	} {
		if *to, err = db.PrepareContext(ctx, text); err != nil {
			return r, err
		}
	}
	return r, nil
}

// TouchMemories adds uses, in one transaction.
func (db *DB) TouchMemories(ctx context.Context, uses map[int64]int, at time.Time) error {
	return db.inTx(ctx, func(tx *sql.Tx) error {
		for id, n := range uses {
			if _, err := tx.ExecContext(ctx, `UPDATE memories SET uses = uses + ?, used = ? WHERE id = ?`, n, at.UnixMilli(), id); err != nil {
				return err
			}
		}
		return nil
	})
}
