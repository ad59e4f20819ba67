package gateway

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/secureclaw/secureclaw/gateway/internal/chat"
	"github.com/secureclaw/secureclaw/gateway/internal/claw"
	"github.com/secureclaw/secureclaw/gateway/internal/sqlite"
	"github.com/secureclaw/secureclaw/internal/strict"
	"github.com/secureclaw/secureclaw/internal/wire"
)

// manageSessions answers what a terminal asks about conversations.
func (k *keep) manageSessions() map[string]chat.Manager {
	return map[string]chat.Manager{
		wire.ManageSessionsList:      managed(k.sessionsList),
		wire.ManageSessionsShow:      managed(k.sessionsShow),
		wire.ManageSessionsExport:    managed(k.sessionsExport),
		wire.ManageSessionsTasks:     managed(k.sessionsTasks),
		wire.ManageSessionsSummaries: managed(k.sessionsSummaries),
		wire.ManageSessionsStop:      managed(k.sessionsStop),
	}
}

// How much of a turn is shown to be read; an export has all of it.
const (
	maxShownText = 64 << 10
	maxShownPart = 8 << 10
	// maxShownNotes are the last ones of a task that go into a page; each has some 3 KB.
	maxShownNotes = 10
)

func (k *keep) sessionsList(ctx context.Context, in wire.SessionsList) (*wire.SessionsPage, error) {
	limit, err := bounded("limit", in.Limit, 50, 1000)
	if err != nil {
		return nil, err
	}
	var found []claw.Session
	if in.Parent != "" {
		if found, err = k.db.Children(ctx, claw.SessionID(in.Parent)); err != nil {
			return nil, err
		}
	} else {
		all, err := k.db.Sessions(ctx)
		if err != nil {
			return nil, err
		}
		for _, s := range all {
			if in.All || s.Parent == "" {
				found = append(found, s)
			}
		}
	}
	page := &wire.SessionsPage{Sessions: []wire.Session{}}
	busy := k.desk().AtWork()
	found, err = behind(found, in.Skip)
	if err != nil {
		return nil, err
	}
	var fits int
	for _, s := range found[:min(len(found), limit)] {
		shown := shownSession(s, busy)
		if fits += weight(shown); fits > maxPage && len(page.Sessions) > 0 {
			break
		}
		page.Sessions = append(page.Sessions, shown)
	}
	if len(page.Sessions) < len(found) {
		page.Next = in.Skip + len(page.Sessions)
	}
	return page, nil
}

// session is the conversation of an id, or a sentence that there is none.
func (k *keep) session(ctx context.Context, id string) (claw.Session, error) {
	s, err := k.db.Session(ctx, claw.SessionID(id))
	if errors.Is(err, sqlite.ErrNoSession) {
		return s, fmt.Errorf("there is no session %.128q", id)
	}
	return s, err
}

func (k *keep) sessionsShow(ctx context.Context, in wire.SessionsShow) (*wire.SessionPage, error) {
	s, err := k.session(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	rows, err := k.db.TurnRows(ctx, s.ID, max(in.After, 0), 8<<20)
	if err != nil {
		return nil, err
	}
	page := &wire.SessionPage{Session: shownSession(s, k.desk().AtWork()), Turns: []wire.SessionTurn{}}
	size, last := 0, in.After
	for _, row := range rows {
		turn, err := shownTurn(row)
		if err != nil {
			return nil, fmt.Errorf("session %s, turn %d: %w", s.ID, row.N, err)
		}
		if size += weight(turn); size > maxPage && len(page.Turns) > 0 {
			break
		}
		page.Turns, last = append(page.Turns, turn), row.N
	}
	if last < s.Turns {
		page.Next = last
	}
	return page, nil
}

// sessionsExport gives the rows as they are. One that is larger than a frame comes in pieces.
func (k *keep) sessionsExport(ctx context.Context, in wire.SessionsExport) (*wire.SessionRows, error) {
	s, err := k.session(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	// In a frame the text is a JSON string of JSON: every quotation mark in it takes two or four bytes.
	const most = 300 << 10
	rows, err := k.db.TurnRows(ctx, s.ID, max(in.After, 0), most)
	if err != nil {
		return nil, err
	}
	out := &wire.SessionRows{Rows: []wire.SessionRow{}}
	last := in.After
	for i, row := range rows {
		if i == 0 {
			if in.Offset < 0 || in.Offset > len(row.Text) {
				return nil, fmt.Errorf("offset %d of turn %d, which has %d bytes", in.Offset, row.N, len(row.Text))
			}
			row.Text = row.Text[in.Offset:]
			if len(row.Text) > most {
				row.Text, out.Cut = whole(row.Text[:most]), true
			}
		}
		out.Rows, last = append(out.Rows, wire.SessionRow(row)), row.N
		if out.Cut {
			break
		}
	}
	out.More = out.Cut || last < s.Turns
	return out, nil
}

// whole cuts the beginning of a letter off the end of a text.
func whole(text string) string { return strings.ToValidUTF8(text, "") }

func (k *keep) sessionsTasks(ctx context.Context, in wire.SessionPart) (*wire.TasksPage, error) {
	s, err := k.session(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	found, err := k.db.Tasks(ctx, s.ID)
	if err != nil {
		return nil, err
	}
	if found, err = behind(found, in.Skip); err != nil {
		return nil, err
	}
	page, size := &wire.TasksPage{Tasks: []wire.Task{}}, 0
	for _, t := range found {
		shown := shownTask(t)
		if size += weight(shown); size > maxPage && len(page.Tasks) > 0 {
			page.Next = in.Skip + len(page.Tasks)
			break
		}
		page.Tasks = append(page.Tasks, shown)
	}
	return page, nil
}

func (k *keep) sessionsSummaries(ctx context.Context, in wire.SessionPart) (*wire.SummariesPage, error) {
	s, err := k.session(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	found, err := k.db.Summaries(ctx, s.ID)
	if err != nil {
		return nil, err
	}
	if found, err = behind(found, in.Skip); err != nil {
		return nil, err
	}
	page, size := &wire.SummariesPage{Summaries: []wire.Summary{}}, 0
	for _, sum := range found {
		shown := wire.Summary{Upto: sum.Upto, At: sum.At, Model: sum.Model, Text: sum.Text}
		if size += weight(shown); size > maxPage && len(page.Summaries) > 0 {
			page.Next = in.Skip + len(page.Summaries)
			break
		}
		page.Summaries = append(page.Summaries, shown)
	}
	return page, nil
}

func (k *keep) sessionsStop(ctx context.Context, in wire.SessionsStop) (*wire.SessionsStopped, error) {
	s, err := k.session(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	said, err := k.desk().StopSession(ctx, s.ID)
	if err != nil {
		return nil, err
	}
	k.note("session.stopped", map[string]any{"session": s.ID, "by": "terminal"})
	return &wire.SessionsStopped{Said: said}, nil
}

// behind is what comes after the first n.
func behind[T any](all []T, n int) ([]T, error) {
	if n < 0 {
		return nil, fmt.Errorf("skip %d: want 0 or more", n)
	}
	return all[min(n, len(all)):], nil
}

// weight is how many bytes a value has in a frame.
func weight(v any) int {
	data, err := strict.Encode(v)
	if err != nil {
		return maxPage
	}
	return len(data)
}

func shownSession(s claw.Session, busy map[claw.SessionID]bool) wire.Session {
	return wire.Session{
		ID: string(s.ID), Channel: string(s.Channel), User: s.User, Title: short(s.Title, 200), Created: s.Created, Turns: s.Turns,
		Label: shownLabel(s.Label), Running: busy[s.ID], Parent: string(s.Parent), Task: s.Task,
	}
}

func shownTurn(row sqlite.TurnRow) (wire.SessionTurn, error) {
	var t claw.Turn
	if err := strict.Decode([]byte(row.Text), &t); err != nil {
		return wire.SessionTurn{}, err
	}
	// A model can ask for so many calls, of signs that take six bytes each in a frame, that none would hold them.
	out := turnIn(t, maxShownText, maxShownPart)
	for part := maxShownPart; weight(out) > maxPage && part > 64; part /= 2 {
		out = turnIn(t, maxShownText/2, part/2)
	}
	out.N, out.At = row.N, row.At
	return out, nil
}

// turnIn is a turn with at most so many bytes of its text and of each other part.
func turnIn(t claw.Turn, text, part int) wire.SessionTurn {
	out := wire.SessionTurn{Role: string(t.Role), Text: shownPart(t.Text, text), Notes: shownPart(t.Notes, part), Recalled: t.Recalled}
	for _, c := range t.Calls {
		out.Calls = append(out.Calls, wire.ShownCall{ID: string(c.ID), Tool: short(c.Tool, 200), Input: shownPart(c.Input, part)})
	}
	for _, r := range t.Results {
		out.Results = append(out.Results, wire.ShownEnded{
			ID: string(r.Call), Tool: short(r.Tool, 200), Status: string(r.Status), Content: shownPart(r.Content, part), Label: shownLabel(r.Label), Images: len(r.Images),
		})
	}
	return out
}

// shownPart cuts a text and says so.
func shownPart(text string, limit int) string {
	if len(text) <= limit {
		return text
	}
	return fmt.Sprintf("%s… (%d bytes in all; secureclaw sessions export has them)", whole(text[:limit]), len(text))
}

func shownTask(t claw.Task) wire.Task {
	out := wire.Task{
		ID: t.ID, State: cmp.Or(string(t.State), "open"), Request: shownPart(t.Request, maxShownPart), Steps: []wire.PlanStep{}, Iteration: t.Iteration, Most: t.Most,
		Tokens: total(t.Usage), Usage: wire.Usage(t.Usage), Answer: shownPart(t.Answer, maxShownText), Begun: t.Begun, Ended: t.Ended,
	}
	for _, note := range t.Notes[max(0, len(t.Notes)-maxShownNotes):] {
		out.Notes = append(out.Notes, shownPart(note, maxShownPart))
	}
	for _, s := range t.Plan.Steps {
		out.Steps = append(out.Steps, wire.PlanStep{Text: s.Text, State: string(s.State)})
	}
	return out
}
