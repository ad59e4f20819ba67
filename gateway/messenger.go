package gateway

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"

	"github.com/secureclaw/secureclaw/gateway/internal/audit"
	"github.com/secureclaw/secureclaw/gateway/internal/chat"
	"github.com/secureclaw/secureclaw/gateway/internal/claw"
	"github.com/secureclaw/secureclaw/gateway/internal/gate"
	"github.com/secureclaw/secureclaw/gateway/internal/outbox"
	"github.com/secureclaw/secureclaw/gateway/internal/sqlite"
	"github.com/secureclaw/secureclaw/internal/config"
	"github.com/secureclaw/secureclaw/internal/wire"
)

// users is the gateway's own list of who may use a messenger. The bridge has a copy and no say.
func users(o Options) chat.Users {
	out := chat.Users{}
	add := func(channel claw.Channel, id string) {
		if !slices.Contains(out[channel], id) {
			out[channel] = append(out[channel], id)
		}
	}
	for _, id := range o.Secrets.AllowedUserIDs {
		add("telegram", strconv.FormatInt(id, 10))
	}
	for channel, ids := range o.Messengers {
		for _, id := range ids {
			add(claw.Channel(channel), id)
		}
	}
	return out
}

// newOutbox keeps what messengers must still show. A card is read from the approval when it leaves, a menu from what
// it is about.
func newOutbox(o Options, db *sqlite.DB, log *audit.Log, desk func() *chat.Desk) *outbox.Outbox {
	approvals := db.Approvals()
	tell := note(o, log)
	return outbox.New(outbox.Options{
		Store: db, Now: o.Now, Log: o.Log, Step: o.Step,
		Card: func(ctx context.Context, id string) (*wire.Card, error) {
			a, err := approvals.Load(ctx, id)
			if errors.Is(err, gate.ErrUnknown) {
				return nil, fmt.Errorf("%w: %w", outbox.ErrNoApproval, err)
			}
			if err != nil {
				return nil, err
			}
			return chat.Card(a), nil
		},
		Menu: func(ctx context.Context, item outbox.Item) (string, [][]wire.Button, error) {
			return desk().Menu(ctx, item)
		},
		Failed: func(item outbox.Item, why string) {
			tell("outbox.failed", map[string]any{"channel": item.Channel, "user": item.User, "item": item.Key, "why": why})
		},
	})
}

// note writes into the audit log what precedes no effect.
func note(o Options, log *audit.Log) func(kind string, fields map[string]any) {
	return func(kind string, fields map[string]any) {
		if err := log.Note(audit.Record{Kind: kind, Fields: fields}); err != nil {
			o.Log.Error("not recorded", "kind", kind, "err", err)
		}
	}
}

// inbox is the folder of the mount for files that users send, if there is one.
func inbox(cfg *config.Config) chat.Inbox {
	i := slices.IndexFunc(cfg.Mounts, func(m config.Mount) bool { return m.Name == config.InboxMount })
	if i < 0 {
		return chat.Inbox{}
	}
	return chat.Inbox{Host: cfg.Mounts[i].Host, Container: cfg.Mounts[i].Container}
}

// record writes into the audit log what precedes an effect.
func record(log *audit.Log) func(ctx context.Context, kind string, fields map[string]any) error {
	return func(ctx context.Context, kind string, fields map[string]any) error {
		_, err := log.Append(ctx, audit.Record{Kind: kind, Fields: fields})
		return err
	}
}
