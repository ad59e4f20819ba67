package gateway

import (
	"cmp"
	"context"
	"fmt"
	"strings"

	"github.com/secureclaw/secureclaw/gateway/internal/chat"
	"github.com/secureclaw/secureclaw/gateway/internal/claw"
	"github.com/secureclaw/secureclaw/internal/wire"
)

// manageHeartbeats answers what a terminal asks about heartbeats.
func (k *keep) manageHeartbeats() map[string]chat.Manager {
	return map[string]chat.Manager{
		wire.ManageHeartbeatsList:   managed(k.heartbeatsList),
		wire.ManageHeartbeatsShow:   managed(k.heartbeatsShow),
		wire.ManageHeartbeatsToggle: managed(k.heartbeatsToggle),
		wire.ManageHeartbeatsRun:    managed(k.heartbeatsRun),
		wire.ManageHeartbeatsBeat:   managed(k.heartbeatsBeat),
	}
}

// maxBeats is as many as are kept of one heartbeat.
const maxBeats = 100

// maxAnswer is the most bytes of a beat's answer that a terminal is told.
const maxAnswer = 256 << 10

func (k *keep) heartbeatsList(ctx context.Context, _ struct{}) (*wire.HeartbeatList, error) {
	found, err := k.clock.Heartbeats(ctx)
	if err != nil {
		return nil, err
	}
	out := &wire.HeartbeatList{Heartbeats: []wire.Heartbeat{}}
	for _, h := range found {
		out.Heartbeats = append(out.Heartbeats, wireHeartbeat(h))
	}
	return out, nil
}

func (k *keep) heartbeatsShow(ctx context.Context, in wire.HeartbeatShow) (*wire.HeartbeatShown, error) {
	limit := cmp.Or(in.Limit, 20)
	if limit < 1 || limit > maxBeats {
		return nil, fmt.Errorf("limit %d: want 1 to %d", limit, maxBeats)
	}
	last, err := k.clock.Beats(ctx, in.Name, limit)
	if err != nil {
		return nil, err
	}
	h, err := k.heartbeat(ctx, in.Name)
	if err != nil {
		return nil, err
	}
	h.Last = last
	return &wire.HeartbeatShown{Heartbeat: wireHeartbeat(h)}, nil
}

func (k *keep) heartbeatsToggle(ctx context.Context, in wire.HeartbeatToggle) (*wire.Heartbeat, error) {
	if err := k.clock.Toggle(ctx, in.Name, in.On); err != nil {
		return nil, err
	}
	h, err := k.heartbeat(ctx, in.Name)
	if err != nil {
		return nil, err
	}
	out := wireHeartbeat(h)
	return &out, nil
}

func (k *keep) heartbeatsRun(ctx context.Context, in wire.HeartbeatRun) (*wire.Beat, error) {
	b, err := k.clock.Trigger(ctx, in.Name)
	if err != nil {
		return nil, err
	}
	out := wireBeat(b)
	return &out, nil
}

func (k *keep) heartbeatsBeat(ctx context.Context, in wire.HeartbeatBeat) (*wire.Beat, error) {
	last, err := k.clock.Beats(ctx, in.Name, maxBeats)
	if err != nil {
		return nil, err
	}
	for _, b := range last {
		if in.Session == "" || string(b.Session) != in.Session {
			continue
		}
		out := wireBeat(b)
		answer, found, err := k.db.Reply(ctx, claw.HeartbeatChannel, in.Session)
		if err != nil {
			return nil, err
		}
		if !found && b.Outcome != claw.Skipped {
			out.Outcome = "" // it is about to be stored
		}
		if len(answer) > maxAnswer {
			answer = strings.ToValidUTF8(answer[:maxAnswer], "") + "…"
		}
		out.Answer = answer
		return &out, nil
	}
	return nil, fmt.Errorf("%.64q has no beat %.80q", in.Name, in.Session)
}

func (k *keep) heartbeat(ctx context.Context, name string) (claw.Heartbeat, error) {
	found, err := k.clock.Heartbeats(ctx)
	if err != nil {
		return claw.Heartbeat{}, err
	}
	for _, h := range found {
		if h.Name == name {
			return h, nil
		}
	}
	return claw.Heartbeat{}, fmt.Errorf("%.64q is no heartbeat", name)
}

func wireHeartbeat(h claw.Heartbeat) wire.Heartbeat {
	out := wire.Heartbeat{
		Name: h.Name, Schedule: h.Schedule, Words: h.Words, Timezone: h.Timezone, Prompt: h.Prompt, Missed: h.Missed,
		Enabled: h.Enabled, Toggled: h.Toggled, Next: h.Next, Last: []wire.Beat{},
	}
	for _, b := range h.Last {
		out.Last = append(out.Last, wireBeat(b))
	}
	return out
}

func wireBeat(b claw.Beat) wire.Beat {
	return wire.Beat{
		Heartbeat: b.Heartbeat, Due: b.Due, Manual: b.Manual, Missed: b.Missed, Started: b.Started, Ended: b.Ended, Session: string(b.Session),
		Outcome: b.Outcome, Silent: b.Silent, Note: b.Note, Usage: wire.Usage(b.Usage),
	}
}
