package main

import (
	"context"
	"fmt"
	"io"

	"github.com/secureclaw/secureclaw/internal/wire"
)

// once is one message and where its reply goes.
type once struct {
	session, text  string
	home           string
	noWait, json   bool
	stdout, stderr io.Writer
}

func chatOnce(ctx context.Context, conn *wire.Conn, o once) error {
	id := newRef()
	if err := conn.Send(wire.Up{Message: &wire.Message{ID: id, Session: o.session, Text: o.text}}); err != nil {
		return lost(ctx, err)
	}
	doc := document{Session: o.session, Calls: []wire.Step{}}
	mine := sent{session: o.session}
	var asked *wire.Card
	var shown shownPlan
	err := receive(ctx, conn, func(down wire.Down) (bool, error) {
		switch {
		case down.Fault != nil && (down.Fault.Ref == id || down.Fault.Ref == ""):
			return true, faultError(down.Fault)
		case down.Accepted != nil && down.Accepted.Message == id:
			doc.Run, mine.stored = down.Accepted.Run, true
		case down.Step != nil && down.Step.Run == doc.Run && down.Step.Status != "":
			doc.Calls = append(doc.Calls, *down.Step)
			if !o.json {
				fmt.Fprintln(o.stderr, stepLine(*down.Step))
			}
		case down.Progress != nil && down.Progress.Run == doc.Run && !o.json:
			shown.show(o.stderr, *down.Progress)
		case down.Card != nil && down.Card.Session == o.session:
			if o.noWait {
				asked = down.Card
				return true, nil
			}
			printCard(o.stderr, *down.Card)
			fmt.Fprintf(o.stderr, "waiting for: secureclaw approve %s   or: secureclaw deny %s --reason …\n", down.Card.Code, down.Card.Code)
		case down.Settled != nil && down.Settled.Session == o.session:
			fmt.Fprintf(o.stderr, "%s: %s\n", down.Settled.Code, down.Settled.State)
		case down.Notice != nil && (down.Notice.Session == o.session || down.Notice.Session == ""):
			fmt.Fprintf(o.stderr, "note: %s\n", visibleLine(down.Notice.Text))
		case down.Reply != nil && down.Reply.Message == id:
			r := down.Reply
			doc.Run, doc.Outcome, doc.Reply, doc.Model, doc.Calls, doc.Usage, doc.Seconds = r.Run, r.Outcome, r.Text, r.Model, r.Calls, r.Usage, r.Seconds
			return true, nil
		}
		return false, nil
	})
	switch {
	case err != nil && ctx.Err() != nil && mine.stored:
		return &failure{code: exitFailed, what: "interrupted", why: goesOn(o.session, o.home, false)}
	case err != nil:
		return unanswered(err, o.home, map[string]*sent{id: &mine})
	}
	if asked != nil {
		doc.Outcome, doc.Approval = "waiting", asked
	}
	if o.json {
		if err := printJSON(o.stdout, doc); err != nil {
			return err
		}
	} else if asked == nil {
		fmt.Fprintln(o.stdout, visible(doc.Reply))
	}
	switch {
	case asked != nil:
		if !o.json {
			fmt.Fprintln(o.stdout, asked.ID)
			printCard(o.stderr, *asked)
		}
		return &failure{exitRefused, "the call waits for your approval (" + asked.Code + ")", "", "secureclaw approve " + asked.Code + "   or: secureclaw deny " + asked.Code}
	case doc.Outcome == wire.ReplyFailed:
		return &failure{code: exitFailed}
	}
	return nil
}
