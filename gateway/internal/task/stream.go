package task

import (
	"strings"
	"sync"

	"github.com/secureclaw/secureclaw/gateway/internal/agent"
	"github.com/secureclaw/secureclaw/gateway/internal/claw"
)

// stream passes on what happens in an iteration, without the lines that are meant for us: a line that could
// become one is held back until it is clear. A step that is called done is ticked at once.
type stream struct {
	agent.Watcher

	mu   sync.Mutex
	task claw.Task
	held string // of the line that is being written; nothing of it was passed on
	free bool   // this line was passed on so far, so all of it is
}

func watch(w agent.Watcher, t claw.Task) *stream { return &stream{Watcher: w, task: t} }

// Text passes on what is no line of the protocol.
func (s *stream) Text(delta string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for delta != "" {
		line, rest, whole := strings.Cut(delta, "\n")
		if whole {
			line += "\n"
		}
		delta = rest
		if s.held += line; s.free || !couldBeMark(s.held) {
			s.pass(!whole)
		} else if whole {
			s.line()
		}
	}
}

// Began passes on what was held back, for a call ends a text.
func (s *stream) Began(call claw.ToolCall) {
	s.flush()
	s.Watcher.Began(call)
}

// flush is for the end of a text.
func (s *stream) flush() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.line()
}

// line takes the line that is held back as a whole one.
func (s *stream) line() {
	text := strings.TrimRight(s.held, "\n")
	w := readWord(text)
	if text == "" || len(w.done) == 0 && !w.more {
		s.pass(false)
		return
	}
	s.held, s.free = "", false
	if len(w.done) > 0 {
		s.task.Plan = tick(s.task.Plan, w.done)
		s.Watcher.Progress(progressOf(s.task))
	}
}

// pass passes on what is held back; more of its line may come.
func (s *stream) pass(more bool) {
	if s.held != "" {
		s.Watcher.Text(s.held)
	}
	s.held, s.free = "", more
}

// couldBeMark reports whether a line may turn out to be one of the protocol.
func couldBeMark(line string) bool {
	line = strings.TrimLeft(line, " \t*_`>-")
	for _, mark := range []string{"[DONE ", claw.TaskGoesOn} {
		if strings.HasPrefix(mark, line) || strings.HasPrefix(line, mark) {
			return true
		}
	}
	return false
}
