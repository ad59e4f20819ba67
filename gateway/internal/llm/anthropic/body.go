package anthropic

import (
	"bytes"
	"errors"
	"slices"
	"sync"

	sdk "github.com/anthropics/anthropic-sdk-go"

	"github.com/secureclaw/secureclaw/gateway/internal/claw"
	"github.com/secureclaw/secureclaw/gateway/internal/llm"
)

// This file writes the body of a request. A conversation is sent whole each time, and all but its end is what was
// sent before: its messages are kept as they were written, and found again by comparing turns, which costs
// nearly nothing where both have the same strings. The last two messages of the user carry marks, so
// they and what stands behind them are written anew.

// pages are the conversations that were sent last. What is not there is written again.
type pages struct {
	mu sync.Mutex
	of []*page // the one used last comes last
}

// page is the beginning of a conversation. Nobody changes one that others can see.
type page struct {
	turns []claw.Turn
	at    []int    // of each message, which of the turns is its first
	wrote [][]byte // each message, with a comma behind it
	bytes int
}

const (
	maxPages     = 8
	maxPageBytes = 2 << 20
)

// body is the request as it goes out.
func (m *Model) body(req llm.Request) ([]byte, error) {
	turns := req.Turns
	req.Turns = nil
	head, err := params(m.name, m.images, req)
	if err != nil {
		return nil, err
	}
	head.Messages = []sdk.MessageParam{}
	frame, err := head.MarshalJSON()
	if err != nil {
		return nil, err
	}
	// The first one is ours: before it there is only a number, and in a text it would have escaped quotes.
	const empty = `"messages":[]`
	before, after, ok := bytes.Cut(frame, []byte(empty))
	after, whole := bytes.CutSuffix(after, []byte("}"))
	if !ok || !whole {
		return nil, errors.New("a request without a place for its messages")
	}
	p, tail, err := m.pages.conversation(turns, m.images)
	if err != nil {
		return nil, err
	}
	size := len(frame) + p.bytes + 20
	for _, one := range tail {
		size += len(one)
	}
	out := make([]byte, 0, size)
	out = append(append(out, before...), empty[:len(empty)-1]...)
	for _, one := range p.wrote {
		out = append(out, one...)
	}
	for _, one := range tail {
		out = append(out, one...)
	}
	out = append(bytes.TrimSuffix(out, []byte(",")), ']')
	return append(append(out, after...), `,"stream":true}`...), nil
}

// conversation is a beginning without marks, and the written messages behind it.
func (s *pages) conversation(turns []claw.Turn, pictures bool) (*page, [][]byte, error) {
	old := s.longest(turns)
	keep := len(old.wrote)
	messages, at := written(turns, from(old, keep), pictures)
	for keep > 0 && (marked(messages) < 0 || messages[0].Role == role(turns[old.at[keep-1]])) { // else they would be one message
		keep--
		messages, at = written(turns, from(old, keep), pictures)
	}
	mark(messages)
	plain := max(0, marked(messages)) // those before have no mark, and are written for good
	next := &page{at: append(slices.Clip(old.at[:keep]), at[:plain]...), wrote: slices.Clip(old.wrote[:keep])}
	var tail [][]byte
	for i, message := range messages {
		data, err := message.MarshalJSON()
		if err != nil {
			return nil, nil, err
		}
		if data = append(data, ','); i < plain {
			next.wrote = append(next.wrote, data)
		} else {
			tail = append(tail, data)
		}
	}
	for _, one := range next.wrote {
		next.bytes += len(one)
	}
	end := len(turns)
	if plain < len(at) {
		end = at[plain]
	}
	next.turns = turns[:end:end]
	s.keep(old, next)
	return next, tail, nil
}

// from is the turn that message n of a page, or the one behind it, begins with.
func from(p *page, n int) int {
	if n < len(p.at) {
		return p.at[n]
	}
	return len(p.turns)
}

// written are the messages of turns from one on, and which turn each begins with.
func written(turns []claw.Turn, from int, pictures bool) (messages []sdk.MessageParam, at []int) {
	for i := from; i < len(turns); i++ {
		n := len(messages)
		if messages = add(messages, turns[i], pictures); len(messages) > n {
			at = append(at, i)
		}
	}
	return messages, at
}

// marked is the first message that carries a mark, the last but one of the user's; -1 if there are not two.
func marked(messages []sdk.MessageParam) int {
	marks := 0
	for i, message := range slices.Backward(messages) {
		if message.Role == sdk.MessageParamRoleUser {
			if marks++; marks == 2 {
				return i
			}
		}
	}
	return -1
}

// longest is the page that turns begin with; an empty one if there is none.
func (s *pages) longest(turns []claw.Turn) *page {
	s.mu.Lock()
	defer s.mu.Unlock()
	best := &page{}
	for _, p := range s.of {
		if len(p.turns) > len(best.turns) && len(p.turns) <= len(turns) && slices.EqualFunc(p.turns, turns[:len(p.turns)], same) {
			best = p
		}
	}
	return best
}

// keep puts a page in the place of the one that it continues.
func (s *pages) keep(old, next *page) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.of = slices.DeleteFunc(s.of, func(p *page) bool { return p == old })
	if len(next.wrote) == 0 || next.bytes > maxPageBytes {
		return
	}
	if len(s.of) >= maxPages {
		s.of = slices.Delete(s.of, 0, 1)
	}
	s.of = append(s.of, next)
}

// same reports whether two turns are written in the same bytes. One with pictures never is: to compare them costs
// as much as to write them.
func same(a, b claw.Turn) bool {
	return a.Role == b.Role && a.Context == b.Context && a.Text == b.Text && slices.Equal(a.Calls, b.Calls) &&
		slices.EqualFunc(a.Results, b.Results, func(a, b claw.ToolResult) bool {
			return a.ModelID == b.ModelID && a.Status == b.Status && a.Content == b.Content && len(a.Images)+len(b.Images) == 0
		})
}
