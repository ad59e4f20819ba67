// Package card shows an approval as a Telegram message.
//
// See [Render]. A card whose File is not nil may be sent with its buttons only after the file was delivered.
package card

import (
	"strings"
	"time"

	"github.com/secureclaw/secureclaw/bridge/telegram/internal/entity"
	"github.com/secureclaw/secureclaw/internal/wire"
)

// What a button asks for, the first byte of its data.
const (
	Approve = 'a' // run it once
	Deny    = 'd'
	DenyWhy = 'w' // deny, and ask for the reason
)

// Button is one button under a card. Data comes back when it is tapped, see [ParseData].
type Button struct{ Text, Data string }

// File holds arguments that do not fit on the card: the canonical JSON of the whole input.
type File struct {
	Name string
	Data []byte
}

// Card is an approval ready to be sent.
type Card struct {
	Message entity.Message
	Buttons [][]Button
	// File goes out before the card. If it was not delivered, the card must be sent without Buttons.
	File *File
}

// Render shows an approval as it stands. An error means that the card names no approval and cannot be shown at all.
func Render(c wire.Card, loc *time.Location) (Card, error) {
	out := Card{Message: entity.Plain("🔐 Approve?  " + c.Tool + "      " + c.Code)}
	if c.State == "pending" {
		out.Buttons = [][]Button{
			{{"✅ Approve once", Data(Approve, c.ID, c.Digest)}, {"⛔ Deny", Data(Deny, c.ID, c.Digest)}},
			{{"💬 Deny and say why", Data(DenyWhy, c.ID, c.Digest)}},
		}
	}
	return out, nil
}

// Why is the question that a user answers with his reason for a denial.
func Why(c wire.Card) entity.Message {
	return entity.Plain("Why not " + c.Tool + " (" + c.Code + ")? Reply to this message.")
}

// Data is what a button says when it is tapped: verb, approval and the first 16 digits of the digest.
// It is empty, and there must be no button, when one of them is malformed.
func Data(verb byte, approval, digest string) string {
	if len(digest) < 16 {
		return ""
	}
	return string(verb) + ":" + approval + ":" + digest[:16]
}

// ParseData reads what a tapped button says, and nothing but what [Data] writes.
func ParseData(data string) (verb byte, approval, digest16 string, ok bool) {
	parts := strings.Split(data, ":")
	if len(parts) != 3 || len(parts[0]) != 1 || !strings.Contains("adw", parts[0]) || !isHex(parts[1], 32) || !isHex(parts[2], 16) {
		return 0, "", "", false
	}
	return data[0], parts[1], parts[2], true
}

func isHex(s string, n int) bool {
	return len(s) == n && strings.Trim(s, "0123456789abcdef") == ""
}
