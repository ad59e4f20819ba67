package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/secureclaw/secureclaw/internal/wire"
)

// Names of the sockets in the runtime folder.
const (
	gatewaySocket = "gateway.sock"
	runnerSocket  = "runner.sock"
)

// dialGateway connects to the running gateway as the terminal channel.
func dialGateway(ctx context.Context, g *globals) (*wire.Conn, error) {
	dirs, err := g.dirs()
	if err != nil {
		return nil, err
	}
	path := filepath.Join(dirs.Runtime, gatewaySocket)
	conn, err := wire.Dial(ctx, path, wire.Hello{Role: "terminal", Program: "secureclaw " + buildVersion()})
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ECONNREFUSED):
		return nil, &failure{exitMissing, "SecureClaw is not running", "nothing answers at " + path, "secureclaw up" + homeFlag(g.Home) + "   (or: make run)"}
	case err != nil:
		return nil, &failure{exitFailed, "the gateway cannot be reached", err.Error(), "secureclaw status; if it runs as another user, use that user's account"}
	}
	return conn, nil
}

// homeFlag repeats the user's own --home in a command that we tell them to type.
func homeFlag(home string) string {
	if home == "" {
		return ""
	}
	return " --home " + home
}

// ask sends one frame and waits for its answer; other frames are passed to other, which may be nil.
func ask(ctx context.Context, conn *wire.Conn, ref string, up wire.Up, other func(wire.Down)) (*wire.Answer, error) {
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	defer stop()
	if err := conn.Send(up); err != nil {
		// A gateway that hung up may have said why before.
		var last wire.Down
		if conn.Receive(&last) == nil && last.Fault != nil {
			return nil, faultError(last.Fault)
		}
		return nil, lost(ctx, err)
	}
	for {
		var down wire.Down
		if err := conn.Receive(&down); err != nil {
			return nil, lost(ctx, err)
		}
		switch {
		case down.Answer != nil && down.Answer.Ref == ref:
			return down.Answer, nil
		case down.Fault != nil && (down.Fault.Ref == ref || down.Fault.Ref == ""):
			return nil, faultError(down.Fault)
		case other != nil:
			other(down)
		}
	}
}

// faultError turns a gateway's refusal of a frame into an exit code and a sentence.
func faultError(f *wire.Fault) error {
	code := exitFailed
	switch f.Code {
	case "unknown", "decided", "expired":
		code = exitRefused
	}
	return &failure{code, f.What, f.Why, f.Fix}
}

func lost(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return &failure{code: exitFailed, what: "interrupted"}
	}
	return hangUp{&failure{exitFailed, "the connection to the gateway broke", err.Error(), "secureclaw status says whether it runs"}}
}

func newRef() string { return strings.ToLower(rand.Text()[:16]) }

// withGateway runs one exchange on a fresh connection with a bound on its time.
func withGateway(ctx context.Context, g *globals, limit time.Duration, f func(context.Context, *wire.Conn) error) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	conn, err := dialGateway(ctx, g)
	if err != nil {
		return err
	}
	defer conn.Close()
	return f(ctx, conn)
}

func plural(n int, one string) string {
	if n == 1 {
		return fmt.Sprintf("%d %s", n, one)
	}
	return fmt.Sprintf("%d %ss", n, one)
}
