package gateway

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/secureclaw/secureclaw/gateway/internal/claw"
	"github.com/secureclaw/secureclaw/gateway/internal/memory"
	"github.com/secureclaw/secureclaw/gateway/internal/sqlite"
	"github.com/secureclaw/secureclaw/internal/wire"
)

// What was merged with other words while somebody thought about his yes is not deleted by it.
func TestForgetDeletesWhatWasShown(t *testing.T) {
	db, err := sqlite.Open(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	now := time.Date(2026, 11, 23, 9, 0, 0, 0, time.UTC)
	known, err := memory.New(memory.Options{Store: db, Owner: func(claw.Origin) string { return claw.Owner }, Now: func() time.Time { return now }})
	if err != nil {
		t.Fatal(err)
	}
	defer known.Close()
	save := func(content string) {
		t.Helper()
		if _, err := known.Save(t.Context(), claw.Memory{Owner: claw.Owner, Content: content, Author: "model", Label: claw.UserLabel()}); err != nil {
			t.Fatal(err)
		}
	}
	save("prefers dark mode in every editor")
	full := false
	k := &keep{memory: known, record: func(context.Context, string, map[string]any) error {
		if full {
			return errors.New("no room")
		}
		return nil
	}}
	shown, err := k.memoriesShow(t.Context(), wire.MemoriesShow{IDs: []int64{1}})
	if err != nil {
		t.Fatal(err)
	}
	seen := shown.Memories[0].Created
	now = now.Add(time.Minute)
	save("prefers dark mode in every code editor")
	if got, err := k.memoriesForget(t.Context(), wire.MemoriesForget{IDs: []int64{1}, Seen: seen}); err == nil || !strings.Contains(err.Error(), "changed meanwhile") {
		t.Errorf("memoriesForget of what changed = %+v, %v, want it refused", got, err)
	}
	full = true
	if got, err := k.memoriesForget(t.Context(), wire.MemoriesForget{IDs: []int64{1}, Seen: now}); err == nil || !strings.Contains(err.Error(), "no room") {
		t.Errorf("memoriesForget that cannot be recorded = %+v, %v, want it refused", got, err)
	}
	full = false
	if got, err := k.memoriesForget(t.Context(), wire.MemoriesForget{IDs: []int64{1}, Seen: now}); err != nil || got.Count != 1 {
		t.Errorf("memoriesForget of what was shown = %+v, %v, want 1", got, err)
	}
}
