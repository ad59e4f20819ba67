package wire

import "time"

// This file is what the gateway and a messenger's bridge say to each other beyond channel.go. The
// bridge keeps nothing: what a user must still see is in the gateway's outbox, one row for each
// item, and leaves it one part at a time. A part is one message of the messenger.
//
//	bridge                                  gateway
//	  │ hello, role "telegram" ─────────────▶ │ one bridge of a role at a time
//	  │ ◀──────────────────── Down{welcome}   │ the commands to register
//	  │ Up{file}* Up{message} ──────────────▶ │ stored; repeated frames change nothing
//	  │ ◀─────────── Down{answer}* {accepted} │ now the messenger's offset may move
//	  │ ◀──────────────────── Down{working}   │ a run of this user goes on: show that something moves
//	  │ ◀─────────────── Down{delta|step}*    │ a picture of it, not kept
//	  │ Up{bubble} ─────────────────────────▶ │ the message that shows the picture
//	  │ ◀─────────────────────── Down{send}   │ item 7, part 0
//	  │ Up{sent} or Up{unsent} ─────────────▶ │ stored, then
//	  │ ◀─────────────────────── Down{send}   │ item 7, part 1, or a card that came meanwhile
//	  │ Up{tap} ────────────────────────────▶ │ a button of a menu; carried out and stored, then
//	  │ ◀─────────────── Down{answer|fault}   │ and the menu is sent again, as it is now
//
// At most one send per user is under way. If the bridge dies before its sent arrives, the part is
// sent again: the user may see it twice, and never not at all.

// MaxFile is the most bytes of one file, either way. Telegram lets a bot load 20 MB (Bot API, getFile).
const MaxFile = 20 << 20

// MaxChunk is the most bytes of a file in one frame.
const MaxChunk = 512 << 10

// FilePart is a piece of a file that belongs to a message which follows. Pieces come in order, each
// is answered (Ref is Message), and offset 0 starts the file anew.
type FilePart struct {
	Message string `json:"message"` // [Message.ID] of the message to come
	Name    string `json:"name"`    // as the sender named it: not to be trusted, and unique within its message
	Mime    string `json:"mime,omitzero"`
	Size    int64  `json:"size"` // of the whole file
	Offset  int64  `json:"offset"`
	Data    []byte `json:"data"`
}

// Welcome is the first frame that a bridge gets.
type Welcome struct {
	Commands []Command `json:"commands"`
}

// Command is one word that a user can type, without its slash.
type Command struct {
	Name  string `json:"name"`
	About string `json:"about"`
}

// Working says that a run of a user began, or still goes on when the bridge connects again.
type Working struct {
	Run   string    `json:"run"`
	User  string    `json:"user"`
	Since time.Time `json:"since"`
	// Bubble is the message that shows the run so far, if one is known.
	Bubble string `json:"bubble,omitzero"`
}

// Bubble says which message shows a run that goes on. The reply takes its place.
type Bubble struct {
	Run string `json:"run"`
	Ref string `json:"ref"`
}

// What a Send shows.
const (
	SendText = "text" // Text: a reply, a notice, the answer to a command
	SendCard = "card" // Card: a question and what became of it; the same item is sent again when its state changes
	SendWhy  = "why"  // Card: "why not?", to be answered with a reply to it
	SendFile = "file" // File, and Text as its caption
	SendMenu = "menu" // Text and Menu; the same item is sent again when what it shows changes
)

// Send asks for one part of an item to be shown.
type Send struct {
	Item int64  `json:"item"`
	User string `json:"user"`
	Kind string `json:"kind"`
	// Part counts from 0; the parts before it are shown.
	Part int `json:"part"`
	// Shown are the messenger's ids of what the item has shown so far, oldest first. A card or a menu
	// that has any is edited, not sent.
	Shown []string `json:"shown,omitempty"`
	// Run is the run that this replies to; its bubble becomes part 0.
	Run    string `json:"run,omitzero"`
	Bubble string `json:"bubble,omitzero"`
	// ReplyTo is the messenger's id of the user's message that this answers, if it is known.
	ReplyTo string `json:"reply_to,omitzero"`
	// Text is Markdown.
	Text string `json:"text,omitzero"`
	Card *Card  `json:"card,omitzero"`
	File *File  `json:"file,omitzero"`
	Menu *Menu  `json:"menu,omitzero"`
}

// Menu is the buttons below a text, row by row.
type Menu struct {
	Rows [][]Button `json:"rows,omitempty"`
	// Version grows when what is shown changes; [Sent.State] gives it back in decimal.
	Version int64 `json:"version"`
}

// MaxTap is the most bytes of a button's data. Telegram allows 64 (Bot API, InlineKeyboardButton), and the bridge
// puts the item's number before it.
const MaxTap = 40

// Button is one button. Data comes back with the [Tap]: at most MaxTap bytes of printable ASCII.
type Button struct {
	Label string `json:"label"`
	Data  string `json:"data"`
}

// Tap says that a user tapped a button of a menu. Its answer has words for him.
type Tap struct {
	Ref   string `json:"ref"`
	User  string `json:"user"`
	Item  int64  `json:"item"`  // that the button belongs to, as the button says
	Shown string `json:"shown"` // the messenger's id of the message with the button
	Data  string `json:"data"`
}

// File is a file on its way to a user; its bytes are fetched.
type File struct {
	Name   string `json:"name"`
	Mime   string `json:"mime,omitzero"`
	Size   int64  `json:"size"`
	SHA256 string `json:"sha256"` // hex
}

// Fetch asks for bytes of an item's file; the answer is a Chunk.
type Fetch struct {
	Item   int64 `json:"item"`
	Offset int64 `json:"offset"`
}

// Chunk is a piece of an item's file, at most MaxChunk bytes. It is empty at the end.
type Chunk struct {
	Item   int64  `json:"item"`
	Offset int64  `json:"offset"`
	Data   []byte `json:"data"`
}

// Sent says that the messenger has a part.
type Sent struct {
	Item  int64 `json:"item"`
	Part  int   `json:"part"`
	Parts int   `json:"parts"` // how many the item has in all
	// Ref is the messenger's id of the message, empty when nothing new was sent (an edit).
	Ref string `json:"ref,omitzero"`
	// State is the state of the card that is shown now, or the version of the menu.
	State string `json:"state,omitzero"`
}

// Unsent says that a part was not taken.
type Unsent struct {
	Item int64 `json:"item"`
	Part int   `json:"part"`
	// AfterMS is how long to wait before the next try, in milliseconds, as the messenger or the bridge's back-off says.
	AfterMS int64 `json:"after_ms"`
	// Never is set when no further try can help: the user blocked the bot, the chat is gone.
	Never bool   `json:"never,omitzero"`
	Why   string `json:"why"`
}

// Foreign is text that came with a message and that its sender did not write.
type Foreign struct {
	How  string `json:"how"`  // "forwarded" or "quoted"
	From string `json:"from"` // in words, not to be trusted
	Text string `json:"text"`
}

// AskWhy says that a user wants to deny with a reason: the gateway puts a [SendWhy] into the outbox,
// and the reply to it denies.
type AskWhy struct {
	Ref      string `json:"ref"`
	Approval string `json:"approval"`
	User     string `json:"user"`
	Shown    string `json:"shown,omitzero"`
	Digest   string `json:"digest,omitzero"`
}

// Stranger is somebody who is not on the allow-list, for the audit log. The bridge limits how many it tells.
type Stranger struct {
	User string `json:"user"`
	What string `json:"what"` // "message", "button", "group"
	Told bool   `json:"told"` // whether he got the neutral sentence
	// Before is how many were left out since the last one told.
	Before int `json:"before,omitzero"`
}

// How a messenger does.
const (
	HealthOK       = "ok"
	HealthDegraded = "degraded" // it tries again by itself
	HealthAway     = "away"     // no bridge is connected
)

// Health is how a messenger does, in one word and one sentence.
type Health struct {
	Messenger string    `json:"messenger"`
	State     string    `json:"state"`
	Account   string    `json:"account,omitzero"` // @name of the bot
	Why       string    `json:"why,omitzero"`
	Since     time.Time `json:"since,omitzero"`
}
