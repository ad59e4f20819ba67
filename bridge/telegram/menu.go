package telegram

import (
	"context"
	"net/http"
	"strconv"
	"strings"

	"github.com/secureclaw/secureclaw/bridge/telegram/internal/entity"
	"github.com/secureclaw/secureclaw/internal/wire"
)

// A menu is one message with buttons, which is edited when it changes. The data of a button begins otherwise than a
// card's, so that neither can pass for the other: "m:", the number of the item, and what the gateway wants back.

const (
	menuMark   = "m:"
	maxRows    = 40 // of buttons; Telegram takes some 100 buttons
	maxKeys    = 8  // in one row
	labelUnits = 40
)

// showMenu shows a menu as it stands. What is shown already is edited, every message of it.
func (b *bridge) showMenu(ctx context.Context, chat int64, in wire.Send) (wire.Sent, error) {
	if in.Menu == nil {
		return wire.Sent{}, forGood("a menu without its buttons")
	}
	sent := wire.Sent{Parts: 1, State: strconv.FormatInt(in.Menu.Version, 10)}
	text := entity.Split(entity.Render(in.Text), entity.MaxUnits)[0]
	how := manner{stays: true, markup: keyboard(in.Item, in.Menu.Rows)}
	if len(in.Shown) == 0 {
		how.replyTo = refOf(in.ReplyTo)
	} else {
		how.edit = refOf(in.Shown[len(in.Shown)-1])
		for _, other := range in.Shown[:len(in.Shown)-1] {
			if err := b.editToo(ctx, chat, refOf(other), text, how.markup); err != nil {
				return wire.Sent{}, err
			}
		}
	}
	id, err := b.put(ctx, chat, piece{text: text}, how)
	if e := asAPI(err); err != nil && e.Code == http.StatusBadRequest && !hopeless(e) {
		// It would be refused again and again, and everything else of this user waits behind it.
		b.o.Log.Error("Telegram refuses a menu", "item", in.Item, "err", e)
		id, err = b.put(ctx, chat, piece{text: entity.Plain("This list cannot be shown here. The terminal shows it.")}, manner{})
	}
	if id != how.edit {
		sent.Ref = ref(id)
	}
	return sent, err
}

// keyboard is the buttons as Telegram takes them; nil when there is none. A button that could not be tapped is left out.
func keyboard(item int64, rows [][]wire.Button) *markup {
	var m markup
	for _, row := range rows[:min(len(rows), maxRows)] {
		var keys []apiButton
		for _, k := range row[:min(len(row), maxKeys)] {
			label := entity.Split(entity.Plain(strings.Join(strings.Fields(k.Label), " ")), labelUnits)[0].Text
			if data := menuData(item, k.Data); data != "" {
				keys = append(keys, apiButton{label, data})
			}
		}
		if keys != nil {
			m.Keyboard = append(m.Keyboard, keys)
		}
	}
	if m.Keyboard == nil {
		return nil
	}
	return &m
}

// menuData is what a button of a menu says when it is tapped, empty when it cannot.
func menuData(item int64, data string) string {
	if item <= 0 || !tappable(data) {
		return ""
	}
	return menuMark + strconv.FormatInt(item, 10) + ":" + data
}

// parseMenu reads what a tapped button says, and nothing but what [menuData] writes.
func parseMenu(data string) (item int64, arg string, ok bool) {
	rest, ok := strings.CutPrefix(data, menuMark)
	if !ok {
		return 0, "", false
	}
	digits, arg, _ := strings.Cut(rest, ":")
	item, err := strconv.ParseInt(digits, 10, 64)
	if err != nil || menuData(item, arg) != data {
		return 0, "", false
	}
	return item, arg, true
}

func tappable(data string) bool {
	return data != "" && len(data) <= wire.MaxTap && !strings.ContainsFunc(data, func(r rune) bool { return r < '!' || r > '~' })
}
