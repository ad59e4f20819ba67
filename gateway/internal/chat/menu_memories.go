package chat

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/secureclaw/secureclaw/gateway/internal/claw"
	"github.com/secureclaw/secureclaw/gateway/internal/outbox"
	"github.com/secureclaw/secureclaw/internal/wire"
)

const (
	noMemories    = "There is no long-term memory here."
	emptyMemories = "Nothing is remembered yet. Say “remember that I take my coffee black”, and it stays for later conversations."
	nothingFound  = "Nothing is remembered about that. /memories lists what there is."
)

const (
	// A message of Telegram's has 4096 units. lineUnits and memoryUnits are the most of a line of a list, and of the
	// memory in it; forgetUnits are those of all lines of a question.
	lineUnits, memoryUnits = 560, 200
	forgetUnits            = 3600
	maxForget              = 10 // memories that one question is about
	maxTopics              = 12 // categories with a button
	// maxID is the largest number that strict JSON holds, and so a place.
	maxID = 1<<53 - 1
)

func (d *Desk) person(who addressee) string {
	return d.users().Person(claw.Origin{Channel: who.channel, User: who.user})
}

// memories is the command: all, a category, or what a search finds.
func (d *Desk) memories(ctx context.Context, msg claw.Message) (string, outbox.Menu, error) {
	if d.o.Memories == nil {
		return noMemories, outbox.Menu{}, nil
	}
	owner, words := d.person(addressee{msg.Origin.Channel, msg.Origin.User}), arguments(msg.Text)
	topics, err := d.o.Memories.Categories(ctx, owner)
	if err != nil {
		return "", outbox.Menu{}, err
	}
	if len(topics) == 0 {
		return emptyMemories, outbox.Menu{}, nil
	}
	var at place
	if words != "" {
		i := slices.IndexFunc(topics, func(c claw.MemoryCategory) bool { return strings.EqualFold(c.Name, words) })
		if i >= 0 {
			at.Category = tag(topics[i].Name)
		} else if at.Picked, err = d.found(owner, maxPicked)(d.o.Memories.Search(ctx, owner, words, maxPicked)); err != nil {
			return "", outbox.Menu{}, err
		} else if len(at.Picked) == 0 {
			return nothingFound, outbox.Menu{}, nil
		}
	}
	m, err := newMenu("memories", at)
	return "", m, err
}

// found are the ids of what was found for a person, each once.
func (d *Desk) found(owner string, most int) func([]claw.Memory, error) ([]int64, error) {
	return func(found []claw.Memory, err error) ([]int64, error) {
		var ids []int64
		for _, m := range found {
			if m.Owner == owner && !slices.Contains(ids, m.ID) && len(ids) < most {
				ids = append(ids, m.ID)
			}
		}
		return ids, err
	}
}

// picked reads memories of a person, in the order of their ids. Those that are gone are left out.
func (d *Desk) picked(ctx context.Context, owner string, ids []int64) ([]claw.Memory, error) {
	if d.o.Memories == nil || len(ids) == 0 {
		return nil, nil
	}
	found, err := d.o.Memories.Memories(ctx, ids)
	if err != nil {
		return nil, err
	}
	found = slices.DeleteFunc(slices.Clone(found), func(m claw.Memory) bool { return m.Owner != owner || !slices.Contains(ids, m.ID) })
	slices.SortStableFunc(found, func(a, b claw.Memory) int {
		return cmp.Compare(slices.Index(ids, a.ID), slices.Index(ids, b.ID))
	})
	return slices.CompactFunc(found, func(a, b claw.Memory) bool { return a.ID == b.ID }), nil
}

func (d *Desk) showMemories(ctx context.Context, who addressee, at place) (page, error) {
	if d.o.Memories == nil {
		return page{text: noMemories}, nil
	}
	if len(at.Picked) > 0 {
		return d.showPicked(ctx, who, at)
	}
	owner := d.person(who)
	topics, err := d.o.Memories.Categories(ctx, owner)
	if err != nil {
		return page{}, err
	}
	all, name, n := 0, "", -1
	for _, c := range topics {
		all += c.Count
		if tag(c.Name) == at.Category {
			name, n = c.Name, c.Count
		}
	}
	back := [][]wire.Button{{button("All categories", "c:")}}
	switch {
	case all == 0:
		return page{text: emptyMemories}, nil
	case at.Category != "" && n < 0:
		return page{"Nothing is left in this category.", back}, nil
	}
	title := "**" + memoryCount(all) + "**"
	if at.Category != "" {
		title = "**" + short(name, 40) + "**: " + memoryCount(n)
	}
	found, err := d.o.Memories.List(ctx, claw.MemoryQuery{Owner: owner, Category: name, Below: at.Below, Limit: perPage + 1})
	if err != nil {
		return page{}, err
	}
	shown := found[:min(len(found), perPage)]
	var nav []wire.Button
	if at.Below > 0 {
		before := int64(0)
		if len(at.Back) > 0 {
			before = at.Back[len(at.Back)-1]
		}
		nav = append(nav, button("◀ Newer", fmt.Sprintf("b:%d", before)))
	}
	if len(found) > perPage {
		nav = append(nav, button("Older ▶", fmt.Sprintf("b:%d", shown[perPage-1].ID)))
	}
	out := page{text: list(title, d.memoryLines(shown, lineUnits, memoryUnits, at.Category == ""))}
	if len(shown) == 0 {
		out.text = title + "\n\nThere is nothing older."
	}
	if nav != nil {
		out.rows = append(out.rows, nav)
	}
	if at.Category != "" {
		out.rows = append(out.rows, back...)
		return out, nil
	}
	out.text += "\n\n/memories and a word searches, /forget and a topic deletes."
	topics = slices.Clone(topics)
	slices.SortStableFunc(topics, func(a, b claw.MemoryCategory) int {
		return cmp.Or(cmp.Compare(b.Count, a.Count), cmp.Compare(a.Name, b.Name))
	})
	var buttons []wire.Button
	for _, c := range topics[:min(len(topics), maxTopics)] {
		buttons = append(buttons, button(fmt.Sprintf("%s · %d", printable(c.Name, 20), c.Count), "c:"+tag(c.Name)))
	}
	out.rows = append(out.rows, inRows(buttons, 3)...)
	if more := len(topics) - maxTopics; more > 0 {
		out.text += " " + strconv.Itoa(more) + " more categories open with /memories and their name."
	}
	return out, nil
}

// showPicked shows what a search found when the command was given.
func (d *Desk) showPicked(ctx context.Context, who addressee, at place) (page, error) {
	found, err := d.picked(ctx, d.person(who), at.Picked)
	if err != nil {
		return page{}, err
	}
	back := [][]wire.Button{{button("All categories", "c:")}}
	if len(found) == 0 {
		return page{"What was found is forgotten since.", back}, nil
	}
	from, to, nav := counted(len(found), at.Page, perPage)
	return page{list("**"+memoryCount(len(found))+" found**", d.memoryLines(found[from:to], lineUnits, memoryUnits, true)), append(nav, back...)}, nil
}

// tapMemories turns pages ("b:", "p:") and opens categories ("c:").
func (d *Desk) tapMemories(_ context.Context, _ addressee, at place, verb, arg string) (place, string, error) {
	switch verb {
	case "c":
		if arg != "" && !isTag(arg) {
			return at, "", errNoButton
		}
		return place{Category: arg}, "", nil
	case "b":
		below, err := number(arg, maxID)
		if err != nil {
			return at, "", err
		}
		if below == at.Below {
			return at, "", nil // the same tap again
		}
		if i := slices.Index(at.Back, below); i >= 0 || below == 0 {
			at.Below, at.Back = below, at.Back[:max(i, 0)]
			return at, "", nil
		}
		if at.Below > 0 {
			at.Back = append(slices.Clone(at.Back), at.Below)
			at.Back = at.Back[max(0, len(at.Back)-maxBack):]
		}
		at.Below = below
		return at, "", nil
	case "p":
		n, err := number(arg, maxPage)
		if err != nil || len(at.Picked) == 0 {
			return at, "", errNoButton
		}
		at.Page = int(n)
		return at, "", nil
	}
	return at, "", errNoButton
}

// memoryLines are memories, each on one line with where it is from. The line and the memory in it have at most some
// UTF-16 units.
func (d *Desk) memoryLines(found []claw.Memory, most, content int, category bool) []string {
	var lines []string
	for _, m := range found {
		line := fmt.Sprintf("**#%d** %s", m.ID, m.Created.In(d.o.Now().Location()).Format("2006-01-02"))
		if category && m.Category != "" {
			line += " · " + short(m.Category, 24)
		}
		if from := strangers(m.Label); from != "" {
			line += " · ⚠ from " + from
		}
		lines = append(lines, line+": "+beginning(m.Content, max(60, min(content, most-units(line)-cutNote))))
	}
	return lines
}

// strangers are those who may have had a hand in something, empty when there are none.
func strangers(label claw.Label) string {
	if label.Integrity != claw.External {
		return ""
	}
	return cmp.Or(sources(label, 2), "strangers")
}

// sources are the first sources of a label.
func sources(label claw.Label, most int) string {
	var names []string
	for _, s := range label.Sources[:min(len(label.Sources), most)] {
		names = append(names, short(s, 28))
	}
	text := strings.Join(names, ", ")
	if more := len(label.Sources) - most; more > 0 {
		text += fmt.Sprintf(" and %d more", more)
	}
	return text
}

func memoryCount(n int) string {
	if n == 1 {
		return "1 memory"
	}
	return strconv.Itoa(n) + " memories"
}
