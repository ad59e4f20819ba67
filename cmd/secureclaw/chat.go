package main

import (
	"context"
	"fmt"
	"os"
	"strings"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"github.com/secureclaw/secureclaw/internal/wire"
)

// terminalSession is the conversation that `secureclaw chat` goes on with by default.
const terminalSession = "terminal"

func newChatCmd(g *globals) *cobra.Command {
	var session string
	var noWait bool
	cmd := &cobra.Command{
		Use:   "chat [TEXT]",
		Short: "Talk to the agent, or say one thing and print the reply",
		Long: `Without TEXT, a conversation in the terminal: the reply streams, approvals are asked inline.
With TEXT, one message in a fresh session: the reply goes to stdout, everything else to stderr. If a
call needs an approval, it waits until you decide elsewhere (secureclaw approve ID), or exits with 6
and the id when --no-wait is given. No flag approves anything.`,
		Args: usageArgs(cobra.MaximumNArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			switch {
			case len(args) == 1 && strings.TrimSpace(args[0]) == "":
				return fmt.Errorf("%w: a message needs words", errUsage)
			case len(args) == 1 && !utf8.ValidString(args[0]):
				return fmt.Errorf("%w: the message is not UTF-8", errUsage)
			case len(args) == 0 && (g.JSON || noWait):
				return fmt.Errorf("%w: --json and --no-wait need a TEXT", errUsage)
			}
			conn, err := dialGateway(cmd.Context(), g)
			if err != nil {
				return err
			}
			defer conn.Close()
			if len(args) == 1 {
				if session == "" {
					session = "once-" + newRef()
				}
				return chatOnce(cmd.Context(), conn, once{
					session: session, home: g.Home, text: args[0], noWait: noWait, json: g.JSON,
					stdout: cmd.OutOrStdout(), stderr: cmd.ErrOrStderr(),
				})
			}
			if session == "" {
				session = terminalSession
			}
			return chatInteractive(cmd.Context(), conn, place{session: session, home: g.Home}, os.Stdin, cmd.OutOrStdout())
		},
	}
	cmd.Flags().StringVar(&session, "session", "", "conversation to go on with")
	cmd.Flags().BoolVar(&noWait, "no-wait", false, "do not wait for an approval: exit 6 with its id")
	return cmd
}

// document is what `chat --json TEXT` prints.
type document struct {
	Session  string      `json:"session"`
	Run      string      `json:"run"`
	Outcome  string      `json:"outcome"` // done, stopped, limit, paused, failed, or waiting (with --no-wait)
	Reply    string      `json:"reply"`
	Model    string      `json:"model"`
	Calls    []wire.Step `json:"calls"`
	Usage    wire.Usage  `json:"usage"`
	Seconds  float64     `json:"seconds"`
	Approval *wire.Card  `json:"approval,omitempty"` // what it waits for (with --no-wait)
}

// receive passes frames to f until it says that it is done.
func receive(ctx context.Context, conn *wire.Conn, f func(wire.Down) (done bool, err error)) error {
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	defer stop()
	for {
		var down wire.Down
		if err := conn.Receive(&down); err != nil {
			return lost(ctx, err)
		}
		if done, err := f(down); done || err != nil {
			return err
		}
	}
}

// stepLine says in one line what a call did.
func stepLine(s wire.Step) string {
	// The name is the model's own word when there is no such tool.
	tool := []rune(visibleLine(s.Tool))
	if s.Line != "" {
		return fmt.Sprintf("[%s] %s · %s · %s · %.0f ms", string(tool[:min(len(tool), 64)]), visibleLine(s.Line), visibleLine(s.Status), visibleLine(s.Rule), s.DurationMS)
	}
	return fmt.Sprintf("[%s] %s %s · %s · %.0f ms", string(tool[:min(len(tool), 64)]), shortInput(s), visibleLine(s.Status), visibleLine(s.Rule), s.DurationMS)
}

func shortInput(s wire.Step) string {
	var parts []string
	for _, a := range arguments(s.Input) {
		parts = append(parts, a.name+"="+a.value)
	}
	line := visibleLine(strings.Join(parts, " "))
	if runes := []rune(line); len(runes) > 100 {
		line = string(runes[:100]) + "…"
	}
	return line
}
