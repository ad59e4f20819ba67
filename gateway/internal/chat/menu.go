package chat

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/secureclaw/secureclaw/gateway/internal/claw"
	"github.com/secureclaw/secureclaw/gateway/internal/outbox"
	"github.com/secureclaw/secureclaw/internal/strict"
	"github.com/secureclaw/secureclaw/internal/wire"
)

// This file answers commands with messages that have buttons. Such a message is kept as its name and a [place]: which
// ids, which page. What stands in it is read from its source each time that it is shown, so that a word which was
// forgotten since is kept by no menu.
//
// A tap comes from a bridge that may repeat it, and from a client that can send what it likes: it counts when its
// user is on our list, the message is one of his menus, and the data is one that the menu knows. It says what shall
// be ("on", page 3), never what shall change ("the other way", the next page), so that doing it twice is doing it once.

// menu is one of the messages with buttons.
type menu struct {
	// show makes what it shows now.
	show func(d *Desk, ctx context.Context, who addressee, at place) (page, error)
	// tap does what a button is for, and returns where its user is then and what to tell him. It may be called twice
	// for one tap. It fails with errNoButton when the menu has no such button.
	tap func(d *Desk, ctx context.Context, who addressee, at place, verb, arg string) (place, string, error)
}

func menus() map[string]menu {
	return map[string]menu{
		"memories":   {(*Desk).showMemories, (*Desk).tapMemories},
		"forget":     {(*Desk).showForget, (*Desk).tapForget},
		"heartbeats": {(*Desk).showHeartbeats, (*Desk).tapHeartbeats},
		"sessions":   {(*Desk).showSessions, (*Desk).tapSessions},
	}
}

// page is what a menu shows: Markdown and buttons.
type page struct {
	text string
	rows [][]wire.Button
}

// place is where a user is in a menu. There is no word in it of what he sees.
type place struct {
	Category string `json:"category,omitzero"` // its tag
	// Below is the first id that is not shown of a list whose newest come first, zero at its begin; Back are the
	// places before it.
	Below int64   `json:"below,omitzero"`
	Back  []int64 `json:"back,omitempty"`
	// Picked are the memories that were searched out, and Page the page of a list that is counted.
	Picked []int64 `json:"picked,omitempty"`
	Page   int     `json:"page,omitzero"`
	// Seen is when it was last shown, in milliseconds; Gone is how many were forgotten; Over takes no more taps.
	Seen int64 `json:"seen,omitzero"`
	Gone int   `json:"gone,omitzero"`
	Over bool  `json:"over,omitzero"`
}

const (
	perPage = 6
	// maxPicked is how many memories one menu holds at most.
	maxPicked = 48
	// maxBack is how many pages one can go back one by one; from there it goes to the first.
	maxBack = 40
	// maxPage is the last page of a list that is counted.
	maxPage = 1000
)

// errNoButton is a tap on what a menu does not have.
var errNoButton = errors.New("no such button")

// What a user reads after a tap that comes to nothing.
const (
	tapInvalid = "this button is not valid any more"
	tapOld     = "this message is too old; send the command again"
	tapChanged = "This changed meanwhile. Look again."
)

// newMenu is a menu in its first version.
func newMenu(name string, at place) (outbox.Menu, error) {
	state, err := strict.Encode(at)
	return outbox.Menu{Name: name, State: string(state), Version: 1}, err
}

// Menu makes what a menu shows now, see [outbox.Options].
func (d *Desk) Menu(ctx context.Context, item outbox.Item) (string, [][]wire.Button, error) {
	m, known := menus()[item.Menu.Name]
	if !known {
		return "", nil, fmt.Errorf("%w: %.40q", outbox.ErrNoMenu, item.Menu.Name)
	}
	who := addressee{item.Channel, item.User}
	if !d.users().Known(who.channel, who.user) {
		return "", nil, fmt.Errorf("%w: its user is not on the list any more", outbox.ErrNoMenu)
	}
	var at place
	if err := strict.Decode([]byte(item.Menu.State), &at); err != nil {
		return "", nil, fmt.Errorf("%w: its state: %w", outbox.ErrNoMenu, err)
	}
	shown, err := m.show(d, ctx, who, at)
	if ctx.Err() != nil {
		return "", nil, ctx.Err()
	}
	if err != nil {
		// Everything else of this user would wait behind it.
		d.o.Log.Error("menu not shown", "menu", item.Menu.Name, "err", err)
		return "This cannot be shown just now: " + escape(err.Error()) + ". Send the command again.", nil, nil
	}
	return shown.text, shown.rows, nil
}

// answerMenu stores that a message was answered with a menu, and the menu with it.
func (d *Desk) answerMenu(life context.Context, msg claw.Message, m outbox.Menu) {
	item := outbox.Item{Channel: msg.Origin.Channel, User: msg.Origin.User, Key: "reply:" + msg.ID, Kind: wire.SendMenu, Menu: m, At: d.o.Now()}
	if msg.Origin.Late > 0 {
		item.ReplyTo = msg.ID
	}
	stored := d.persist(life, "the reply to "+msg.ID, func(ctx context.Context) error {
		_, err := d.o.Store.AnsweredWith(ctx, msg.Origin.Channel, msg.ID, "("+m.Name+")", &item, nil)
		return err
	})
	if !stored {
		return
	}
	d.o.Step(StepAnswered)
	d.forgetStopped(msg)
	d.o.Board.o.Outbox.Wake()
}

// tap takes a tap on a menu, after we looked who it is and at what.
func (b *bridge) tap(ctx context.Context, in wire.Tap) {
	who := addressee{b.channel, in.User}
	item, code, what := b.tapped(ctx, who, in)
	if code != "" {
		b.fault(in.Ref, code, what)
		return
	}
	// It may wait for a store or a disk, and frames that follow must not.
	b.d.wg.Go(func() {
		said, err := b.d.turnTo(ctx, who, item, in.Data)
		switch {
		case errors.Is(err, errNoButton):
			b.d.forbid(claw.Origin{Channel: who.channel, User: who.user}, "tap "+printable(in.Data, wire.MaxTap), "the menu has no such button")
			b.fault(in.Ref, "tap", tapInvalid)
		case err != nil:
			b.d.o.Log.Error("tap not carried out", "menu", item.Menu.Name, "err", err)
			b.fault(in.Ref, "store", "that did not work: "+printable(err.Error(), 120))
		default:
			b.m.send(wire.Down{Answer: &wire.Answer{Ref: in.Ref, Said: said}})
		}
	})
}

// tapped finds the menu that a tap is on, or says why there is none.
func (b *bridge) tapped(ctx context.Context, who addressee, in wire.Tap) (item outbox.Item, code, what string) {
	refuse := func(why, text string) (outbox.Item, string, string) {
		b.d.forbid(claw.Origin{Channel: who.channel, User: who.user}, "tap "+printable(in.Data, wire.MaxTap), why)
		return outbox.Item{}, "forbidden", text
	}
	if !b.d.users().Known(who.channel, who.user) {
		return refuse("not on the list of users", "you are not on the list of users")
	}
	if in.Shown == "" || in.Data == "" || len(in.Data) > wire.MaxTap || strings.ContainsFunc(in.Data, func(r rune) bool { return r < '!' || r > '~' }) {
		return refuse("no button says that", tapInvalid)
	}
	item, found, err := b.d.o.Store.ItemByRef(ctx, who.channel, who.user, in.Shown)
	if err == nil && !found {
		// A bridge may have died before it could say which message shows the menu. From now on it is known.
		if item, found, err = b.d.o.Store.ItemBySeq(ctx, who.channel, who.user, in.Item); err == nil && found && item.Kind == wire.SendMenu {
			err = b.d.o.Store.AddShown(ctx, who.channel, who.user, item.Key, in.Shown)
		}
	}
	switch {
	case err != nil:
		return item, "store", "that did not work: " + printable(err.Error(), 120)
	case !found:
		return item, "tap", tapOld
	case item.Kind != wire.SendMenu || item.Seq != in.Item:
		return refuse("the message is not that menu", tapInvalid)
	}
	return item, "", ""
}

// turnTo does what a tap is for, and moves the menu to where it leads. Two taps at once take turns.
func (d *Desk) turnTo(ctx context.Context, who addressee, item outbox.Item, data string) (string, error) {
	m, known := menus()[item.Menu.Name]
	if !known {
		return "", errNoButton // of an earlier version
	}
	verb, arg, _ := strings.Cut(data, ":")
	for range 8 {
		var at place
		if err := strict.Decode([]byte(item.Menu.State), &at); err != nil {
			return "", err
		}
		next, said, err := m.tap(d, ctx, who, at, verb, arg)
		if err != nil {
			return "", err
		}
		state, err := strict.Encode(next)
		if err != nil {
			return "", err
		}
		moved, err := d.o.Store.MoveMenu(ctx, item.Seq, item.Menu.Version, string(state))
		if err != nil {
			return "", err
		}
		if moved {
			d.o.Step(StepTapped)
			d.o.Board.o.Outbox.Wake()
			return said, nil
		}
		var found bool
		if item, found, err = d.o.Store.ItemBySeq(ctx, who.channel, who.user, item.Seq); err != nil || !found {
			return said, err
		}
	}
	return tapChanged, nil
}

// recordTap writes into the audit log what a tap is about to change. An error keeps it from changing.
func (d *Desk) recordTap(ctx context.Context, who addressee, text string) error {
	session, err := d.current(ctx, who)
	if err != nil {
		return err
	}
	at := d.o.Now()
	return d.o.Record(ctx, claw.Message{
		ID: fmt.Sprintf("tap.%d", at.UnixNano()), Session: session, Text: "(button) " + text, Origin: claw.Origin{Channel: who.channel, User: who.user},
		Label: claw.UserLabel(), At: at, Command: true,
	}, "")
}
