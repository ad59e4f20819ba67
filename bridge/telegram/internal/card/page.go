package card

import (
	"fmt"
	"slices"
	"strings"

	"github.com/secureclaw/secureclaw/bridge/telegram/internal/entity"
	"github.com/secureclaw/secureclaw/internal/wire"
)

// page is a message that grows line by line. Our own words are plain or bold, all others are code:
// that keeps Telegram from making links of them, too.
type page struct {
	text     string
	entities []entity.Entity
	units    int
}

func (p *page) add(kind, text string) {
	n := entity.Units(text)
	if kind != "" && n > 0 {
		p.entities = append(p.entities, entity.Entity{Type: kind, Offset: p.units, Length: n})
	}
	p.text += text
	p.units += n
}

func (p *page) append(more *page) {
	for _, e := range more.entities {
		e.Offset += p.units
		p.entities = append(p.entities, e)
	}
	p.text += more.text
	p.units += more.units
}

// message is the page. Every line but the first begins with the line feed, so nothing is to be trimmed.
func (p *page) message() entity.Message {
	return entity.Message{Text: p.text, Entities: slices.Clone(p.entities)}
}

func (p *page) title(c wire.Card) {
	ask := ""
	if c.State == pending {
		ask = "Approve?  "
	}
	p.add(entity.Bold, fmt.Sprintf("🔐 %s%s      %s · step %d", ask, oneLine(c.Tool, 64), oneLine(c.Code, 16), c.Step))
}

// column is how wide names are, so that what stands behind them is aligned where a font allows it.
const column = 9

func pad(name string) string {
	return strings.Repeat(" ", max(1, column-len([]rune(name))))
}

// row is a line of the card's own. Its names begin with a capital letter, which those of arguments do not.
func (p *page) row(name, value string) {
	p.add("", "\n")
	p.add(entity.Bold, name)
	p.add("", pad(name))
	p.add(entity.Code, value)
}

// Most units of what a card says beside its arguments.
const (
	maxScope  = 500 // folders, and domains
	maxReason = 300 // rule and reason, a user's words
	maxSource = 60
	maxRead   = 12 // sources that are named
)

// facts are the lines below the arguments. The result tells whether all folders and domains are
// there: they belong to what is approved.
func (p *page) facts(c wire.Card) bool {
	whole := true
	scope := func(name string, values []string) {
		if len(values) == 0 {
			return
		}
		raw := strings.Join(values, ", ")
		short := oneLine(raw, maxScope)
		whole = whole && len(raw) <= maxRaw && short == visible(raw, false)
		p.row(name, short)
	}
	scope("Folders", c.Mounts)
	scope("Domains", c.Domains)
	why := c.Rule
	if c.Reason != "" {
		why += ": " + c.Reason
	}
	if why != "" {
		p.row("Why", oneLine(why, maxReason))
	}
	p.origin(c)
	if isHex(c.Digest, digestDigits) {
		p.row("Digest", c.Digest[:shortDigits])
	}
	return whole
}

// origin says who set the run in motion and what its conversation has read. Each source is code of
// its own, so that a comma in one makes no two.
func (p *page) origin(c wire.Card) {
	if c.Origin == "" && len(c.Sources) == 0 {
		return
	}
	p.add("", "\n")
	p.add(entity.Bold, "Origin")
	p.add("", pad("Origin"))
	if c.Origin != "" {
		p.add(entity.Code, oneLine(c.Origin, maxSource))
	}
	for i, source := range c.Sources {
		switch {
		case i == 0 && c.Origin != "":
			p.add("", "; this session has read: ")
		case i == 0:
			p.add("", "this session has read: ")
		case i == maxRead:
			p.add("", fmt.Sprintf(" and %d more", len(c.Sources)-i))
			return
		default:
			p.add("", ", ")
		}
		p.add(entity.Code, oneLine(source, maxSource))
	}
}

// elsewhere says why there are no buttons, and where to decide.
func (p *page) elsewhere(obstacle, code string) {
	p.add("", "\n")
	p.add(entity.Bold, "⚠️ "+obstacle+" Decide in a terminal:")
	p.add("", " ")
	p.add(entity.Code, "secureclaw approvals "+oneLine(code, 16))
}

const (
	legendMarks = "\nCharacters marked ‹…› are not what they look like."
	legendTab   = "\nThe sign ⇥ is a tab."
	legendUnits = len(legendMarks) + len(legendTab) // bytes, which is more than units
)

// legend explains the marks that are on the page.
func (p *page) legend() {
	if strings.Contains(p.text, "‹") {
		p.add("", legendMarks)
	}
	if strings.Contains(p.text, tabSign) {
		p.add("", legendTab)
	}
}

// maxRaw is how many bytes of a text are looked at to show its beginning in one line.
const maxRaw = 4 << 10

// oneLine is text of one line and of at most so many units; it is never empty.
func oneLine(text string, most int) string {
	if text == "" {
		return "-"
	}
	if len(text) <= maxRaw {
		return cut(visible(text, false), most)
	}
	return strings.TrimSuffix(cut(visible(text[:maxRaw], false), most-1), "…") + "…"
}

// cut shortens visible text, but never inside a mark, and says so.
func cut(text string, most int) string {
	if entity.Units(text) <= most {
		return text
	}
	n := 0
	for i, r := range text {
		if n += entity.Units(string(r)); n > most-1 {
			text = text[:i]
			break
		}
	}
	if open := strings.LastIndex(text, "‹"); open > strings.LastIndex(text, "›") {
		text = text[:open]
	}
	return strings.TrimRight(text, " \n│") + "…"
}
