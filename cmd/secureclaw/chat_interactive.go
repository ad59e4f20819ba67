package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/secureclaw/secureclaw/internal/wire"
)

const chatHelp = `/new      start a fresh conversation
/stop     stop what runs in this one
/status   say what runs
/help     this text
/quit     leave (after make run this stops everything)
What is remembered, said and done on a clock: secureclaw memories, sessions, heartbeats (in another terminal)
`

// elsewhere are commands of messengers, and the verbs that do the same here.
var elsewhere = map[string]string{
	"/memories": "secureclaw memories", "/forget": "secureclaw memories forget TOPIC", "/heartbeats": "secureclaw heartbeats",
	"/sessions": "secureclaw sessions", "/usage": "secureclaw usage",
}

// conversation is a terminal chat: one goroutine reads frames, one reads lines.
type conversation struct {
	conn *wire.Conn
	out  io.Writer

	mu      sync.Mutex
	session string
	place   place
	runs    map[string]*shownRun // of messages that have no reply yet
	midLine bool                 // the cursor is behind text
	cards   []*wire.Card         // that wait for an answer, oldest first
	idle    bool                 // the prompt is on the screen
	naming  *wire.Card           // the next line is the reason for denying this one
	asked   string               // id of the card whose question is on the screen
	since   time.Time            // when it came there
	hasty   time.Duration
	flush   func() // forgets what was typed and not sent; nil without a terminal

	unanswered map[string]*sent // messages that have no reply yet, by id
	stopping   string           // ref of the last /stop
	changed    chan struct{}    // gets a token when a reply or a card came
}

// hasty is how soon after a question a yes is too soon for somebody who read it: the line was
// typed for the question before, or as a message.
const hasty = 500 * time.Millisecond

func chatInteractive(ctx context.Context, conn *wire.Conn, at place, in io.Reader, out io.Writer) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	c := &conversation{
		conn: conn, out: out, session: at.session, place: at,
		runs: map[string]*shownRun{}, unanswered: map[string]*sent{}, changed: make(chan struct{}, 1),
	}
	if f, ok := in.(*os.File); ok {
		if _, err := unix.IoctlGetTermios(int(f.Fd()), unix.TCGETS); err == nil { // a terminal: somebody reads
			c.hasty = hasty
			c.flush = func() { _ = unix.IoctlSetInt(int(f.Fd()), unix.TCFLSH, unix.TCIFLUSH) }
		}
	}
	status, err := fetchStatus(ctx, conn)
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "SecureClaw %s · %s · /help for commands\n", status.Version, status.Model)
	for _, w := range status.Warnings {
		fmt.Fprintf(out, "warning: %s\n", w)
	}
	if status.Runner != "ok" {
		fmt.Fprintf(out, "No tool can run: %s\n", status.Runner)
		if status.Fix != "" {
			fmt.Fprintf(out, "  fix  %s\n", status.Fix)
		}
	}
	if status.Browsing != "" && status.Browsing != "ok" {
		fmt.Fprintf(out, "No page can be opened: %s\n", visibleLine(status.Browsing))
	}
	if err := c.greet(ctx); err != nil {
		return err
	}
	// Questions that were open before we came.
	query := wire.Query{Ref: newRef(), What: wire.QueryApprovals}
	answer, err := ask(ctx, conn, query.Ref, wire.Up{Query: &query}, nil)
	if err != nil {
		return err
	}
	for i := range answer.Cards {
		c.down(wire.Down{Card: &answer.Cards[i]})
	}
	c.prompt()

	done := make(chan error, 1)
	go func() {
		done <- receive(ctx, conn, func(down wire.Down) (bool, error) { c.down(down); return false, nil })
	}()
	lines := make(chan string)
	go func() { // ends with the process: a read of a terminal cannot be cancelled
		defer close(lines)
		scanner := bufio.NewScanner(in)
		scanner.Buffer(nil, wire.MaxMessage)
		for scanner.Scan() {
			select {
			case lines <- scanner.Text():
			case <-ctx.Done():
				return
			}
		}
	}()
	for {
		select {
		case err := <-done:
			return c.left(ctx, err)
		case line, ok := <-lines:
			if !ok {
				return c.drain(ctx, done)
			}
			quit, err := c.line(strings.TrimRight(line, "\r"))
			if err != nil {
				return c.left(ctx, lost(ctx, err))
			}
			if quit {
				return c.left(ctx, nil)
			}
		case <-ctx.Done():
			return c.left(ctx, nil)
		}
	}
}

// drain waits for the replies to what was said, when input came from a pipe that ended. A question
// that nobody is left to answer is not waited for.
func (c *conversation) drain(ctx context.Context, done <-chan error) error {
	for {
		c.mu.Lock()
		over := len(c.unanswered) == 0 || len(c.cards) > 0
		c.mu.Unlock()
		if over {
			return nil
		}
		select {
		case err := <-done:
			return c.left(ctx, err)
		case <-c.changed:
		case <-ctx.Done():
			return c.left(ctx, nil)
		}
	}
}

// line carries out what the user typed.
func (c *conversation) line(line string) (quit bool, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.midLine, c.idle = false, false
	if c.naming != nil {
		card := c.naming
		c.naming = nil
		return false, c.decide(card, false, line)
	}
	if len(c.cards) > 0 {
		if done, err := c.verdict(strings.TrimSpace(line)); done || err != nil {
			return false, err
		}
	}
	switch text := strings.TrimSpace(line); text {
	case "":
		c.promptLocked()
		return false, nil
	case "/quit", "/exit":
		return true, nil
	case "/help":
		fmt.Fprint(c.out, chatHelp)
		c.promptLocked()
		return false, nil
	case "/new":
		c.session = terminalSession + "-" + newRef()
		fmt.Fprintf(c.out, "(a fresh conversation: %s)\n", c.session)
		c.promptLocked()
		return false, nil
	case "/stop":
		c.stopping = newRef()
		return false, c.conn.Send(wire.Up{Stop: &wire.Stop{Ref: c.stopping, Session: c.session}})
	case "/status":
		return false, c.conn.Send(wire.Up{Query: &wire.Query{Ref: newRef(), What: wire.QueryStatus}})
	default:
		if verb := elsewhere[strings.Fields(text)[0]]; verb != "" {
			fmt.Fprintf(c.out, "(in another terminal: %s)\n", verb)
			c.promptLocked()
			return false, nil
		}
		if strings.HasPrefix(text, "/") {
			fmt.Fprintf(c.out, "unknown command %s\n%s", visibleLine(text), chatHelp)
			c.promptLocked()
			return false, nil
		}
		id := newRef()
		c.unanswered[id] = &sent{session: c.session}
		return false, c.conn.Send(wire.Up{Message: &wire.Message{ID: id, Session: c.session, Text: line}})
	}
}

// verdict reads a line as the answer to the oldest card. done is false when the line is none.
func (c *conversation) verdict(text string) (done bool, err error) {
	card := c.cards[0]
	switch strings.ToLower(text) {
	case "y", "yes":
		if time.Since(c.since) < c.hasty {
			fmt.Fprintln(c.out, "(this question came up just now: read it, then answer)")
			c.question(card)
			return true, nil
		}
		return true, c.decide(card, true, "")
	case "n", "no":
		return true, c.decide(card, false, "")
	case "r", "reason":
		c.naming = card
		fmt.Fprint(c.out, "why not? ")
		return true, nil
	case "":
		c.question(card)
		return true, nil
	}
	if strings.HasPrefix(text, "/") {
		return false, nil
	}
	fmt.Fprintln(c.out, "(a call waits for you: y, n or r; /stop withdraws it)")
	c.question(card)
	return true, nil
}

func (c *conversation) decide(card *wire.Card, allow bool, reason string) error {
	return c.conn.Send(wire.Up{Decide: &wire.Decide{Ref: newRef(), Approval: card.ID, Allow: allow, Reason: reason}})
}
