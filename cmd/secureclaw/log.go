package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"sync"
)

// roleKey is the attribute that names the process a line is about.
const roleKey = "role"

// lines is a slog.Handler for people: "15:04:05 runner   message key=value". A role's own lines are
// passed through as they are, behind its name.
type lines struct {
	mu  *sync.Mutex
	out io.Writer
}

func newLines(out io.Writer) *lines { return &lines{&sync.Mutex{}, out} }

// Enabled leaves out debugging.
func (*lines) Enabled(_ context.Context, level slog.Level) bool { return level >= slog.LevelInfo }

// Handle writes one line.
func (l *lines) Handle(_ context.Context, r slog.Record) error {
	role, rest := "up", ""
	r.Attrs(func(a slog.Attr) bool {
		if a.Key == roleKey {
			role = a.Value.String()
		} else {
			rest += fmt.Sprintf(" %s=%s", a.Key, visibleLine(a.Value.String()))
		}
		return true
	})
	mark := ""
	if r.Level >= slog.LevelWarn {
		mark = strings.ToLower(r.Level.String()) + ": "
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	_, err := fmt.Fprintf(l.out, "%s %-8s %s%s%s\n", r.Time.Format("15:04:05"), role, mark, visibleLine(r.Message), rest)
	return err
}

// WithAttrs and WithGroup are not used by the supervisor; they change nothing.
func (l *lines) WithAttrs([]slog.Attr) slog.Handler { return l }

// WithGroup changes nothing.
func (l *lines) WithGroup(string) slog.Handler { return l }
