package telegram

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/secureclaw/secureclaw/internal/wire"
)

// commands registers the commands, if Telegram has others.
func (b *bridge) commands(ctx context.Context, want []wire.Command) {
	type command struct {
		Name  string `json:"command"`
		About string `json:"description"`
	}
	list := []command{}
	for _, c := range want {
		list = append(list, command{c.Name, c.About})
	}
	wait := time.Duration(0)
	for ctx.Err() == nil {
		var have []command
		err := b.api.call(ctx, b.t.call, "getMyCommands", struct{}{}, &have)
		if err == nil && fmt.Sprint(have) == fmt.Sprint(list) {
			return
		}
		if err == nil {
			err = b.api.call(ctx, b.t.call, "setMyCommands", struct {
				Commands []command `json:"commands"`
			}{list}, nil)
		}
		if err == nil || ctx.Err() != nil {
			return
		}
		e := asAPI(err)
		if e.Code == http.StatusBadRequest {
			b.o.Log.Error("Telegram refuses the menu of commands", "err", e)
			return
		}
		wait = max(grow(wait, 5*b.t.backoff, 300*b.t.backoff), e.RetryAfter)
		sleep(ctx, jitter(wait))
	}
}
