package chat

import (
	"context"
	"errors"

	"github.com/secureclaw/secureclaw/gateway/internal/claw"
)

// Beat takes the message of a heartbeat. When it returns without an error the message is stored and
// will be answered, even after a crash; the same message again changes nothing.
func (d *Desk) Beat(ctx context.Context, msg claw.Message) error { return errors.New("chat: not yet") }
