package main

import (
	"context"
	"time"

	"github.com/secureclaw/secureclaw/internal/strict"
	"github.com/secureclaw/secureclaw/internal/wire"
)

// longTimeout is for what goes through all that is kept.
const longTimeout = time.Hour

// manage asks the gateway about what it keeps, or changes it. What is a name of package wire, args and
// the value are of the types that stand beside it there.
func manage[Value any](ctx context.Context, conn *wire.Conn, what string, args any) (Value, error) {
	var value Value
	data, err := strict.Encode(args)
	if err != nil {
		return value, err
	}
	request := wire.Manage{Ref: newRef(), What: what, Args: data}
	answer, err := ask(ctx, conn, request.Ref, wire.Up{Manage: &request}, nil)
	if err != nil {
		return value, err
	}
	if err := strict.Decode(answer.Value, &value); err != nil {
		return value, &failure{exitFailed, "the gateway's answer cannot be read", err.Error(), "both programs must come from one release: restart SecureClaw"}
	}
	return value, nil
}
