package gateway

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/secureclaw/secureclaw/gateway/internal/claw"
	"github.com/secureclaw/secureclaw/gateway/internal/memory"
	"github.com/secureclaw/secureclaw/internal/wire"
)

// An import is a door: a file is what anybody wrote into it. What comes in by it is external and private,
// names the file as its source, and keeps the sources that the file tells of, so that no label gets better
// by an export and an import. Only the owner of the machine can say that a file is to be trusted, by a flag
// at his terminal.

// memoriesImport brings in rows, or with Dry says only what is wrong with them.
func (k *keep) memoriesImport(ctx context.Context, in wire.MemoriesImport) (*wire.MemoriesImported, error) {
	of, err := whose(in.Whose)
	switch {
	case err != nil:
		return nil, err
	case len(in.Rows) == 0 || len(in.Rows) > wire.MaxMemories:
		return nil, fmt.Errorf("%d rows at once: want 1 to %d", len(in.Rows), wire.MaxMemories)
	case in.File == "" || len(in.File) > 200 || strings.ContainsFunc(in.File, func(r rune) bool { return r < ' ' || r == 0x7f }):
		return nil, errors.New("an import needs the name of its file: 1 to 200 bytes on one line")
	}
	out := &wire.MemoriesImported{}
	memories := make([]claw.Memory, 0, len(in.Rows))
	for _, row := range in.Rows {
		m, err := imported(row.Memory, in, of, k.o.Now())
		if err == nil {
			err = memory.Check(m)
		}
		if err != nil {
			out.Problems = append(out.Problems, wire.LineProblem{Line: row.Line, What: err.Error()})
		}
		memories = append(memories, m)
	}
	if len(out.Problems) > 0 || in.Dry {
		return out, nil
	}
	err = k.saveAll(ctx, memories, out)
	if out.New+out.Merged > 0 {
		k.note("memories.imported", map[string]any{"file": in.File, "new": out.New, "merged": out.Merged, "trusted": in.Trust, "by": "terminal"})
	}
	if err != nil {
		return nil, fmt.Errorf("%d memories were brought in, then: %w; import the file again, what is there is merged", out.New+out.Merged, err)
	}
	return out, nil
}

// imported is a row as it will be kept. of is whose it shall be, empty for whom the row says.
func imported(row wire.Memory, in wire.MemoriesImport, of string, now time.Time) (claw.Memory, error) {
	label, err := rowLabel(row.Label)
	if err != nil {
		return claw.Memory{}, err
	}
	m := claw.Memory{
		Owner: row.Owner, Category: row.Category, Content: row.Content, Tags: row.Tags, Author: row.Author, Source: row.Source,
		Session: claw.SessionID(row.Session), Label: label, Created: row.Created, Updated: row.Updated, Used: row.Used, Uses: row.Uses,
	}
	switch {
	case in.All && row.Owner == "":
		return m, errors.New("it does not say whose it is; name a person with --of")
	case in.All && !person.MatchString(row.Owner):
		return m, fmt.Errorf("its owner %.40q is nobody with memories", row.Owner)
	case in.Of == "" && !in.All && row.Owner != "" && row.Owner != claw.Owner:
		return m, fmt.Errorf("it belongs to %.40s; --all keeps owners as they are, --of owner makes it yours", row.Owner)
	case !in.All:
		m.Owner = of
	}
	for name, t := range map[string]time.Time{"created": m.Created, "updated": m.Updated, "used": m.Used} {
		if t.After(now.Add(24 * time.Hour)) {
			return m, fmt.Errorf("%s is %s, which is not yet", name, t.Format(time.RFC3339))
		}
	}
	switch {
	case len(m.Source) > 300 || len(m.Session) > 128:
		return m, errors.New("its source or its session is too long")
	case m.Uses < 0:
		return m, fmt.Errorf("uses is %d", m.Uses)
	case m.Author != "" && !slices.Contains([]string{"model", "user", "import"}, m.Author):
		return m, fmt.Errorf("its author is %.40q: want model, user or import", m.Author)
	}
	from := "import " + in.File
	if !in.Trust {
		// Joined with the worst label, of which only the sources are written.
		m.Author, m.Source, m.Session = "import", from, ""
		m.Label = m.Label.Join(claw.Label{Sources: []string{from}})
	}
	if m.Author == "" {
		m.Author = "import"
	}
	if m.Source == "" {
		m.Source = from
	}
	return m, nil
}

// rowLabel reads a label of a file. What it leaves out is the worst; a word that nobody knows is an error.
func rowLabel(l wire.Label) (claw.Label, error) {
	out := claw.Label{}
	if l.Integrity != "" {
		if err := out.Integrity.UnmarshalText([]byte(l.Integrity)); err != nil {
			return claw.Label{}, fmt.Errorf("label: %w", err)
		}
	}
	if l.Privacy != "" {
		if err := out.Privacy.UnmarshalText([]byte(l.Privacy)); err != nil {
			return claw.Label{}, fmt.Errorf("label: %w", err)
		}
	}
	for _, s := range l.Sources {
		if len(s) > 300 {
			return claw.Label{}, errors.New("label: a source is longer than 300 bytes")
		}
	}
	// Joined with itself it is sorted, without repetitions, and no longer than a label may be.
	return out.Join(claw.Label{Integrity: out.Integrity, Privacy: out.Privacy, Sources: l.Sources}), nil
}

// saveAll keeps the memories in their order and counts what became of them.
func (k *keep) saveAll(ctx context.Context, memories []claw.Memory, out *wire.MemoriesImported) error {
	for _, m := range memories {
		saved, err := k.memory.Save(ctx, m)
		switch {
		case err != nil:
			return err
		case saved.Merged:
			out.Merged++
		default:
			out.New++
		}
	}
	return nil
}
