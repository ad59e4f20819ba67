package chat

import (
	"regexp"
	"slices"

	"github.com/secureclaw/secureclaw/gateway/internal/claw"
)

// Users are, for each messenger, the stable ids of those who may use it. The first one owns this
// SecureClaw there: questions that no user of a messenger caused go to him. The zero value is nobody.
type Users map[claw.Channel][]string

// userID is what an id looks like: a positive decimal number in its one spelling.
var userID = regexp.MustCompile(`^[1-9][0-9]{0,18}$`)

// Known reports whether somebody may speak and answer on a messenger.
func (u Users) Known(channel claw.Channel, user string) bool {
	return isMessenger(channel) && userID.MatchString(user) && slices.Contains(u[channel], user)
}

// addressee is one user of one messenger.
type addressee struct {
	channel claw.Channel
	user    string
}

// addressees are those who are asked about a call: the user of a messenger who caused it, alone; or
// the owner on each messenger, if a terminal or a clock caused it.
func (u Users) addressees(origin claw.Origin) []addressee {
	if isMessenger(origin.Channel) {
		if !u.Known(origin.Channel, origin.User) {
			return nil // taken off the list since: nobody there may answer
		}
		return []addressee{{origin.Channel, origin.User}}
	}
	return u.owners()
}

// owners are the owners on each messenger.
func (u Users) owners() []addressee {
	var out []addressee
	for _, channel := range messengers() {
		if ids := u[channel]; len(ids) > 0 && u.Known(channel, ids[0]) {
			out = append(out, addressee{channel, ids[0]})
		}
	}
	return out
}

// mayAnswer reports whether a user of a messenger is the one who is asked.
func (u Users) mayAnswer(channel claw.Channel, user string, origin claw.Origin) bool {
	return u.Known(channel, user) && slices.Contains(u.addressees(origin), addressee{channel, user})
}

// channels are the roles that may speak for a user. A peer names its own role, and the name stands
// in the model's system prompt, on cards and in the audit log: it is one of these or nothing.
// "heartbeat" is not among them, for nobody outside may be the clock.
func channels() []claw.Channel { return append([]claw.Channel{"terminal"}, messengers()...) }

// messengers are the roles of bridges: they speak for many users and say for whom.
func messengers() []claw.Channel { return []claw.Channel{"telegram"} }

func isMessenger(channel claw.Channel) bool { return slices.Contains(messengers(), channel) }

// Person is who set a run in motion, the same over all channels: the owner at a terminal, on each
// messenger and by a clock, or another user of one messenger.
func (u Users) Person(origin claw.Origin) string {
	if !isMessenger(origin.Channel) || slices.Contains(u.owners(), addressee{origin.Channel, origin.User}) {
		return claw.Owner
	}
	return string(origin.Channel) + ":" + origin.User
}
