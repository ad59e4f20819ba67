package chat

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/secureclaw/secureclaw/gateway/internal/claw"
	"github.com/secureclaw/secureclaw/gateway/internal/outbox"
	"github.com/secureclaw/secureclaw/internal/wire"
)

const forgetUsage = "Say what to forget: /forget and a topic, or /forget #12 for one memory. I show what it is and ask before anything is deleted. /memories lists what there is."

// oneID is how a user names one memory.
var oneID = regexp.MustCompile(`^#([1-9][0-9]{0,14})$`)

// forget is the command: it finds what would go, and deletes nothing.
func (d *Desk) forget(ctx context.Context, msg claw.Message) (string, outbox.Menu, error) {
	words := arguments(msg.Text)
	switch {
	case d.o.Memories == nil:
		return noMemories, outbox.Menu{}, nil
	case words == "":
		return forgetUsage, outbox.Menu{}, nil
	}
	owner := d.person(addressee{msg.Origin.Channel, msg.Origin.User})
	at := place{Seen: d.o.Now().UnixMilli()}
	for _, word := range strings.Fields(words) {
		if id := oneID.FindStringSubmatch(word); id != nil {
			n, _ := strconv.ParseInt(id[1], 10, 64) // the pattern is of one that fits
			at.Picked = append(at.Picked, n)
		}
	}
	var err error
	if len(at.Picked) > 0 && len(at.Picked) == len(strings.Fields(words)) {
		found, err := d.picked(ctx, owner, at.Picked[:min(len(at.Picked), maxForget)])
		if err != nil {
			return "", outbox.Menu{}, err
		}
		at.Picked = idsOf(found)
	} else if at.Picked, err = d.found(owner, maxForget)(d.o.Memories.About(ctx, owner, words, maxForget)); err != nil {
		return "", outbox.Menu{}, err
	}
	if len(at.Picked) == 0 {
		return nothingFound, outbox.Menu{}, nil
	}
	m, err := newMenu("forget", at)
	return "", m, err
}

func (d *Desk) showForget(ctx context.Context, who addressee, at place) (page, error) {
	found, err := d.picked(ctx, d.person(who), at.Picked)
	if err != nil {
		return page{}, err
	}
	gone := ""
	if at.Gone > 0 {
		gone = fmt.Sprintf("🗑 **%s forgotten**, and the exact words in your conversations with it. "+
			"What was said there in other words stays, and the audit log is not changed.", memoryCount(at.Gone))
	}
	switch {
	case at.Over && gone == "":
		return page{text: "Nothing was forgotten."}, nil
	case at.Over && len(found) > 0:
		return page{text: gone + " The rest is kept."}, nil
	case gone != "" && (at.Over || len(found) == 0):
		return page{text: gone}, nil
	case len(found) == 0:
		return page{text: "What was found is gone already."}, nil
	}
	title := "**Forget this?** " + memoryCount(len(found)) + " would be deleted for good, and nothing else:"
	if gone != "" {
		title = gone + "\n\n" + title
	}
	var each []wire.Button
	for _, m := range found {
		each = append(each, button(fmt.Sprintf("🗑 #%d", m.ID), fmt.Sprintf("f:%d", m.ID)))
	}
	var rows [][]wire.Button
	if len(found) > 1 {
		rows = append(rows, []wire.Button{button(fmt.Sprintf("Forget all %d", len(found)), "all:"+tagOf(found))})
	}
	rows = append(rows, inRows(each, 4)...)
	rows = append(rows, []wire.Button{button("Keep", "keep")})
	return page{list(title, d.memoryLines(found, forgetUnits/len(found), forgetUnits, true)), rows}, nil
}

// tapForget forgets one ("f:"), all that are shown ("all:", and which they are), or nothing more ("keep").
func (d *Desk) tapForget(ctx context.Context, who addressee, at place, verb, arg string) (place, string, error) {
	var ids []int64
	switch verb {
	case "keep":
		at.Over = true
		return at, "Kept.", nil
	case "all":
		if !isTag(arg) {
			return at, "", errNoButton
		}
		ids = at.Picked
	case "f":
		id, err := number(arg, maxID)
		if err != nil {
			return at, "", err
		}
		if ids = []int64{id}; !slices.Contains(at.Picked, id) {
			return d.seen(at), "That is not among them any more.", nil
		}
	default:
		return at, "", errNoButton
	}
	if at.Over {
		return at, "This question is closed. /forget asks again.", nil
	}
	owner := d.person(who)
	found, err := d.picked(ctx, owner, ids)
	if err != nil {
		return at, "", err
	}
	for _, m := range found {
		if m.Updated.UnixMilli() > at.Seen {
			return d.seen(at), tapChanged, nil // it says more than what was shown when the button was
		}
	}
	if len(found) > 0 {
		if verb == "all" {
			if arg != tagOf(found) {
				return d.seen(at), tapChanged, nil // the button is from before some of them went
			}
			ids = idsOf(found)
		}
		if err := d.recordTap(ctx, who, "forget memory "+strings.Trim(fmt.Sprint(ids), "[]")); err != nil {
			return at, "", err
		}
		if _, err := d.o.Memories.Forget(ctx, owner, ids); err != nil {
			return at, "", err
		}
	}
	// All of them are gone now, by this tap or by the same one before a crash.
	at.Gone += len(ids)
	at.Picked = slices.DeleteFunc(slices.Clone(at.Picked), func(id int64) bool { return slices.Contains(ids, id) })
	at.Over = len(at.Picked) == 0 || verb == "all"
	return d.seen(at), memoryCount(len(ids)) + " forgotten.", nil
}

func idsOf(found []claw.Memory) []int64 {
	var ids []int64
	for _, m := range found {
		ids = append(ids, m.ID)
	}
	return ids
}

// tagOf says which memories a button is about.
func tagOf(found []claw.Memory) string { return tag(fmt.Sprint(idsOf(found))) }

// seen notes that a place is shown anew from now on.
func (d *Desk) seen(at place) place {
	at.Seen = d.o.Now().UnixMilli()
	return at
}
