package chat

import (
	"context"

	"github.com/secureclaw/secureclaw/gateway/internal/claw"
)

// Place and Tag are a menu's state and what stands for a name in it.
type Place = place

var Tag = tag

// Turn does what a tap on a telegram user's menu does, without its item.
func (d *Desk) Turn(ctx context.Context, name, user string, at Place, verb, arg string) (Place, string, error) {
	return menus()[name].tap(d, ctx, addressee{claw.Channel("telegram"), user}, at, verb, arg)
}
