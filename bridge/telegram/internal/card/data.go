package card

import (
	"strings"

	"github.com/secureclaw/secureclaw/internal/wire"
)

// What a button asks for, the first byte of its data.
const (
	Approve = 'a' // run it once
	Deny    = 'd'
	DenyWhy = 'w' // deny, and ask for the reason
)

const (
	idDigits     = 32
	digestDigits = 64
	shortDigits  = 16
)

// Data is what a button says when it is tapped: verb, approval, and the first 16 digits of the
// digest; 51 bytes of the 64 that Telegram allows. It is empty, and there must be no button, when one
// of them is malformed.
func Data(verb byte, approval, digest string) string {
	if !isVerb(verb) || !isHex(approval, idDigits) || !isHex(digest, digestDigits) {
		return ""
	}
	return string(verb) + ":" + approval + ":" + digest[:shortDigits]
}

// ParseData reads what a tapped button says, and nothing but what [Data] writes.
func ParseData(data string) (verb byte, approval, digest16 string, ok bool) {
	const first, second = 1, 2 + idDigits // where the colons are
	if len(data) != second+1+shortDigits || data[first] != ':' || data[second] != ':' {
		return 0, "", "", false
	}
	verb, approval, digest16 = data[0], data[first+1:second], data[second+1:]
	if !isVerb(verb) || !isHex(approval, idDigits) || !isHex(digest16, shortDigits) {
		return 0, "", "", false
	}
	return verb, approval, digest16, true
}

func isVerb(verb byte) bool { return verb == Approve || verb == Deny || verb == DenyWhy }

func isHex(s string, n int) bool {
	return len(s) == n && strings.Trim(s, "0123456789abcdef") == ""
}

// buttons are those of a question that waits, or nil.
func buttons(c wire.Card) [][]Button {
	approve, deny, why := Data(Approve, c.ID, c.Digest), Data(Deny, c.ID, c.Digest), Data(DenyWhy, c.ID, c.Digest)
	if c.State != pending || approve == "" {
		return nil
	}
	return [][]Button{{{"✅ Approve once", approve}, {"⛔ Deny", deny}}, {{"💬 Deny and say why", why}}}
}
