package telegram

import (
	"context"
	"crypto/subtle"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/go-json-experiment/json/jsontext"
)

// Account is a bot.
type Account struct {
	ID       int64
	Username string // without @
	Name     string
}

// User is a person.
type User struct {
	ID       int64
	Name     string
	Username string // without @, often empty
}

// setupWait bounds one call while somebody waits at the terminal.
const setupWait = 15 * time.Second

// Me asks Telegram whose token this is. Its errors are for the one who typed it, and never repeat it.
func Me(ctx context.Context, apiURL, token string) (Account, error) {
	api, _, err := newClient(apiURL, token, nil)
	if err != nil {
		return Account{}, err
	}
	defer api.close()
	var me user
	if err := api.call(ctx, setupWait, "getMe", struct{}{}, &me); err != nil {
		return Account{}, explain(ctx, err)
	}
	if me.ID == 0 || !me.IsBot {
		return Account{}, errors.New("the server's answer names no bot: is this address a Bot API server?")
	}
	return Account{ID: me.ID, Username: me.Username, Name: me.name()}, nil
}

// explain says what to do about an error.
func explain(ctx context.Context, err error) error {
	e := asAPI(err)
	switch {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case e.Code == http.StatusUnauthorized || e.Code == http.StatusNotFound:
		return fmt.Errorf("no bot has this token (%d): copy it again from @BotFather, /mybots, API Token", e.Code)
	case e.Code == 0 || e.Code >= 500:
		return fmt.Errorf("the Bot API cannot be reached: %s; check the network and try again", e.Description)
	}
	return e
}

// Pair waits until somebody sends "/start <code>" to the bot from his own private chat, and ask agrees that it is the
// right one. It answers him with one sentence and everybody else with nothing. Other updates stay
// unconfirmed, for the bridge, as long as they do not hide the one that is waited for.
func Pair(ctx context.Context, apiURL, token, code string, ask func(User) bool) (User, error) {
	if code == "" {
		return User{}, errors.New("pair: no code given") // or a bare "/start" would do
	}
	api, _, err := newClient(apiURL, token, nil)
	if err != nil {
		return User{}, err
	}
	defer api.close()
	p := pairing{api: api, code: code, ask: ask, seen: make(map[int64]bool)}
	var trouble error
	for ctx.Err() == nil {
		found, err := p.poll(ctx)
		switch {
		case err == nil && found != nil:
			return *found, nil
		case err == nil:
			trouble = nil
			continue
		case ctx.Err() != nil:
		case asAPI(err).Code == http.StatusUnauthorized || asAPI(err).Code == http.StatusNotFound:
			return User{}, explain(ctx, err)
		default:
			trouble = err
		}
		sleep(ctx, max(time.Second, asAPI(err).RetryAfter))
	}
	if trouble != nil {
		return User{}, fmt.Errorf("%w; the last answer of Telegram was: %v", context.Cause(ctx), trouble)
	}
	return User{}, context.Cause(ctx)
}

type pairing struct {
	api     *client
	code    string
	ask     func(User) bool
	seen    map[int64]bool
	offset  int64
	dropped bool // a webhook
}

func (p *pairing) poll(ctx context.Context) (*User, error) {
	const limit, wait = 100, 25
	var raw []jsontext.Value
	err := p.api.call(ctx, wait*time.Second+setupWait, "getUpdates", updatesParams{
		Offset: p.offset, Limit: limit, Timeout: wait, Allowed: []string{"message", "callback_query"},
	}, &raw)
	if e := asAPI(err); err != nil {
		if e.Code == http.StatusConflict && e.says("webhook") && !p.dropped {
			p.dropped = true
			return nil, p.api.call(ctx, setupWait, "deleteWebhook", struct {
				Drop bool `json:"drop_pending_updates"`
			}{}, nil)
		}
		return nil, err
	}
	last := int64(0)
	for i, data := range raw {
		var u update
		if decode(data, &u) != nil {
			continue
		}
		last = u.ID
		if p.seen[u.ID] {
			continue
		}
		p.seen[u.ID] = true
		who, ok := p.match(u.Message)
		if !ok || !p.ask(who) {
			continue
		}
		if i == 0 {
			p.offset = u.ID + 1 // nothing stands before it: it may be confirmed
		}
		_ = p.api.call(ctx, setupWait, "sendMessage", textParams{ // he sees it in the terminal too
			ChatID: who.ID, Text: "Paired. You can talk to me here from now on.", Preview: linkPreview{true},
		}, nil)
		if i == 0 {
			_ = p.api.call(ctx, setupWait, "getUpdates", updatesParams{Offset: p.offset, Limit: 1, Allowed: []string{"message", "callback_query"}}, nil)
		}
		return &who, nil
	}
	if len(raw) == limit && last != 0 {
		p.offset = last + 1 // the one we wait for would not be seen behind these
	} else if len(raw) > 0 {
		sleep(ctx, 700*time.Millisecond) // what is unconfirmed comes at once, each time
	}
	return nil, nil
}

// match reports whether a message is the one, in a time that tells nothing about the code.
func (p *pairing) match(m *message) (User, bool) {
	if m == nil || m.From == nil || m.From.IsBot || m.Chat.Type != "private" || m.Chat.ID != m.From.ID || m.forwarded() || m.ViaBot != nil {
		return User{}, false
	}
	_, code, ok := strings.Cut(m.Text, "/start ")
	if !ok || !strings.HasPrefix(m.Text, "/start ") || subtle.ConstantTimeCompare([]byte(strings.TrimSpace(code)), []byte(p.code)) != 1 {
		return User{}, false
	}
	return User{ID: m.From.ID, Name: m.From.name(), Username: m.From.Username}, true
}
