package outbox

import (
	"context"
	"fmt"
	"time"

	"github.com/secureclaw/secureclaw/gateway/internal/claw"
	"github.com/secureclaw/secureclaw/internal/wire"
)

// Item is one thing to show to one user. Kind is one of wire.SendText and its like.
type Item struct {
	Seq     int64 // order of arrival, given by the store
	Channel claw.Channel
	User    string
	// Key says what it is about, and makes putting it twice harmless: "reply:<message>", "card:<approval>",
	// "notice:<call>", "unknown:<call>", …
	Key  string
	Kind string
	// Run is the run that a text replies to: its bubble becomes the first part.
	Run claw.RunID
	// ReplyTo is the messenger's id of the user's message that this answers.
	ReplyTo  string
	Text     string // Markdown
	Approval string // of a card and of a why: the approval's id
	File     *wire.File
	Menu     Menu
	At       time.Time

	// Where it stands.
	Part  int      // how many parts are shown; of a card that is to be edited 0
	Shown []string // the messenger's ids of them, oldest first
	State string   // of a card: the approval's state that is shown, of a menu its version; empty before the first time
	Tries int      // of the next part, so far
}

// Menu is a message with buttons: which one, and where its user is in it. What it shows is made when it is
// shown, so that no word of it is kept here.
type Menu struct {
	Name    string
	State   string // JSON, at most MaxState bytes
	Version int64  // from 1; it grows with each change of State
}

// MaxState is the most bytes of a menu's state.
const MaxState = 4 << 10

// Check refuses an item that nobody could show, or find again.
func (i Item) Check(file []byte) error {
	if i.Channel == "" || i.User == "" || i.Key == "" {
		return fmt.Errorf("an outbox item needs a channel, a user and a key: %q %q %q", i.Channel, i.User, i.Key)
	}
	switch i.Kind {
	case wire.SendText:
	case wire.SendCard, wire.SendWhy:
		if i.Approval == "" {
			return fmt.Errorf("item %s: a %s needs an approval", i.Key, i.Kind)
		}
	case wire.SendMenu:
		if i.Menu.Name == "" || i.Menu.Version < 1 || len(i.Menu.State) > MaxState || i.Text != "" {
			return fmt.Errorf("item %s: a menu needs a name, a version and a state of at most %d bytes, and no text", i.Key, MaxState)
		}
	case wire.SendFile:
		if i.File == nil || i.File.Size != int64(len(file)) || len(file) > wire.MaxFile {
			return fmt.Errorf("item %s: a file needs its name, its size and its bytes, at most %d", i.Key, wire.MaxFile)
		}
		return nil
	default:
		return fmt.Errorf("item %s: unknown kind %q", i.Key, i.Kind)
	}
	if i.Kind != wire.SendMenu && i.Menu != (Menu{}) {
		return fmt.Errorf("item %s: a %s has no buttons", i.Key, i.Kind)
	}
	if i.File != nil || file != nil {
		return fmt.Errorf("item %s: a %s has no file", i.Key, i.Kind)
	}
	return nil
}

// Store keeps items. What a method returned from is on disk.
type Store interface {
	// PutItem adds an item and its file's bytes, and reports whether its key was new for that user.
	PutItem(ctx context.Context, item Item, file []byte) (fresh bool, err error)
	// DueItems returns, of each user of a channel, the one item that is next: cards first, then in order.
	// A card is due while the state that it shows is not the state of its approval ("allowed" and
	// "started" look the same). Users that must wait are left out; next is when the first of them may
	// go on, zero when there is none.
	DueItems(ctx context.Context, channel claw.Channel, now time.Time) (items []Item, next time.Time, err error)
	// ItemSent records that a part is shown. ref may be empty. The item is done when parts are shown; a
	// card is done when state is its approval's, and its parts count from 0 again: an edit is one part. A
	// menu is one part, and done when state is its version.
	// A part that is not the next one changes nothing. shown is how many messages of the item the bridge
	// was told of: a card of which more are known by now is not done, for those were not edited.
	ItemSent(ctx context.Context, seq int64, part, parts int, ref, state string, shown int) error
	// ItemUnsent records a failed try and until when its user must wait; never gives the item up.
	ItemUnsent(ctx context.Context, seq int64, until time.Time, never bool, why string) error
	// AddShown records one more message that shows an item: a duplicate whose id was lost and that a tap revealed.
	AddShown(ctx context.Context, channel claw.Channel, user, key, ref string) error
	// ItemByRef finds the item that a message of the messenger shows.
	ItemByRef(ctx context.Context, channel claw.Channel, user, ref string) (Item, bool, error)
	// ItemFile returns bytes of an item's file from offset on, at most limit.
	ItemFile(ctx context.Context, seq, offset int64, limit int) ([]byte, error)
	// SetBubble and Bubble keep the message that shows a run while it goes on.
	SetBubble(ctx context.Context, channel claw.Channel, user string, run claw.RunID, ref string) error
	Bubble(ctx context.Context, run claw.RunID) (ref string, err error)
	// PruneItems forgets what was done with before a time, but nothing that is still to be shown.
	PruneItems(ctx context.Context, before time.Time) error
}
