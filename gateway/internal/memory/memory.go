// Package memory decides what is kept beyond a conversation and what of it a model is shown.
package memory

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/secureclaw/secureclaw/gateway/internal/claw"
	"github.com/secureclaw/secureclaw/gateway/internal/gate"
)

// The tools.
const (
	ToolSave   = "save_memory"
	ToolSearch = "search_memory"
)

// Store keeps memories.
type Store interface{}

// Options is what a Memory is made of; Log is optional.
type Options struct {
	Store Store
	// Owner is the person who set a run in motion.
	Owner func(claw.Origin) string
	Now   func() time.Time
	Log   *slog.Logger
}

// Memory is safe for concurrent use.
type Memory struct{ o Options }

// New checks the options.
func New(o Options) (*Memory, error) { return &Memory{o}, nil }

var errNotYet = errors.New("memory: not yet")

// Tools are save_memory and search_memory.
func (m *Memory) Tools() []gate.Tool { return nil }

// Recall returns the few memories that are of use for a message, the most useful first.
func (m *Memory) Recall(ctx context.Context, origin claw.Origin, text string) ([]claw.Memory, error) {
	return nil, nil
}

// Memories returns those of the ids that are still there, in their order, whoever owns them.
func (m *Memory) Memories(ctx context.Context, ids []int64) ([]claw.Memory, error) { return nil, nil }

// Search ranks the memories of one person.
func (m *Memory) Search(ctx context.Context, owner, query string, limit int) ([]claw.Memory, error) {
	return nil, errNotYet
}

// List returns a page.
func (m *Memory) List(ctx context.Context, q claw.MemoryQuery) ([]claw.Memory, error) {
	return nil, errNotYet
}

// Categories counts.
func (m *Memory) Categories(ctx context.Context, owner string) ([]claw.MemoryCategory, error) {
	return nil, errNotYet
}

// Forget deletes memories of one person from table and index, and returns how many there were.
func (m *Memory) Forget(ctx context.Context, owner string, ids []int64) (int, error) {
	return 0, errNotYet
}

// Saved is what became of something that was to be kept.
type Saved struct {
	Memory claw.Memory
	// Merged says that it was said before, and is now one memory with what Before was.
	Merged bool
	Before string
}

// Save keeps one memory; Owner, Category, Content, Tags, Author, Source, Session and Label of it count.
func (m *Memory) Save(ctx context.Context, mem claw.Memory) (Saved, error) {
	return Saved{}, errNotYet
}
