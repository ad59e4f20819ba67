// Package telegram is the bridge between Telegram's Bot API and the gateway: a process that holds the bot's
// token and the list of who may talk, and nothing else.
//
// It promises that an update is confirmed to Telegram only after the gateway stored it, in whatever order the
// two come and go, and that what the gateway gives it to show is reported as shown only when Telegram has it. It
// refuses everybody who is not on the list, and everything that does not come from that person's own private
// chat. It keeps no file, opens no address but the Bot API's and the gateway's socket, and lets the token into
// no error, log line or frame.
//
// [Run] is the bridge; [Me] and [Pair] serve the set-up.
package telegram

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/secureclaw/secureclaw/internal/wire"
)

// role is what the bridge calls itself to the gateway.
const role = "telegram"

// Options is what a bridge is made of. Token, Socket and Log are required; an empty Allowed lets nobody in.
type Options struct {
	Token   string
	Allowed []int64 // user ids
	APIURL  string  // empty: https://api.telegram.org
	Socket  string  // the gateway's
	Program string  // name and version, for the gateway's log
	Now     func() time.Time
	Log     *slog.Logger
	// Step is called at each named step, so that a test can end the process there. Nil means none.
	Step     func(step string)
	HTTP     *http.Client   // nil: one of our own
	Location *time.Location // in which cards tell times; nil: this machine's
}

// bridge is one running bridge. Its goroutines are counted in wg, and end with the contexts of [Run].
type bridge struct {
	o       Options
	t       timing
	api     *client
	link    *link
	health  *health
	pace    *pacer
	ledger  *ledger
	guard   *guard
	streams *streams
	lanes   *lanes
	inbox   *inbox

	wg sync.WaitGroup
	// hard lives a little longer than Run's context: what is on its way to Telegram may arrive and be reported.
	hard context.Context

	mu sync.Mutex
	me user // the bot itself
}

// timing is every wait of the bridge, so that a test need not wait as long as a user may.
type timing struct {
	poll        time.Duration // a long poll
	again       time.Duration // between polls while something is in hand
	call        time.Duration // any other call
	picture     time.Duration // a call that only paints: typing, bubbles
	idle        time.Duration // a download without a byte
	download    time.Duration // a whole file, all tries together
	upload      time.Duration // a whole upload; the gateway takes a part for lost after three minutes
	ask         time.Duration // for the gateway's word
	press       time.Duration // until a tap is answered, whatever the gateway does
	slow        time.Duration // before asking again who nobody lets in: a bad token, a taken place
	backoff     time.Duration // first of the growing waits
	grace       time.Duration // for what is on its way when Run ends
	bubble      time.Duration // of text before a bubble appears
	edit        time.Duration // between two edits of a bubble
	quiet       time.Duration // without text before a status line appears
	status      time.Duration // between two edits of a status line
	typing      time.Duration
	tick        time.Duration // of a stream
	perChat     time.Duration // one message per chat, when the burst is used up
	chatBurst   int
	strangerDay time.Duration
}

func usual() timing {
	return timing{
		poll: 50 * time.Second, again: 600 * time.Millisecond, call: 20 * time.Second, picture: 8 * time.Second,
		idle: 30 * time.Second, download: 2 * time.Minute, upload: 2 * time.Minute, ask: 30 * time.Second, press: 4 * time.Second,
		slow: 30 * time.Second, backoff: time.Second, grace: 2 * time.Second,
		bubble: 700 * time.Millisecond, edit: 1200 * time.Millisecond, quiet: 8 * time.Second, status: 3 * time.Second,
		typing: 4500 * time.Millisecond, tick: 200 * time.Millisecond,
		perChat: time.Second, chatBurst: 4, strangerDay: 24 * time.Hour,
	}
}

// Run is the bridge. It returns nil when ctx ends, and an error only for options that can never work: whatever
// Telegram or the gateway does, it tries again.
func Run(ctx context.Context, o Options) error { return run(ctx, o, usual()) }

func run(ctx context.Context, o Options, t timing) error {
	if o.Socket == "" || o.Log == nil {
		return errors.New("telegram: no socket or no logger given")
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Step == nil {
		o.Step = func(string) {}
	}
	if o.Location == nil {
		o.Location = time.Local
	}
	api, plain, err := newClient(o.APIURL, o.Token, o.HTTP)
	if err != nil {
		return err
	}
	defer api.close()
	if plain {
		o.Log.Warn("the Bot API server is reached without encryption: the token and every message can be read on the way")
	}
	if len(o.Allowed) == 0 {
		o.Log.Warn("nobody is on the allow-list, so nobody is answered")
	}
	hard, cut := context.WithCancel(context.WithoutCancel(ctx))
	defer cut()
	b := &bridge{
		o: o, t: t, api: api, hard: hard,
		link: newLink(), pace: newPacer(t), ledger: newLedger(), guard: newGuard(o.Now, t.strangerDay),
		streams: newStreams(), lanes: newLanes(), inbox: newInbox(),
	}
	b.health = newHealth(o.Now, func(h wire.Health) { b.tell(wire.Up{Health: &h}) })

	var linked sync.WaitGroup
	linked.Go(func() { b.connect(hard) })
	b.receive(ctx) // until ctx ends
	b.lanes.drain(t.grace)
	cut()
	linked.Wait()
	b.wg.Wait()
	return nil
}

// tell sends a frame that nobody waits for, if the gateway is there.
func (b *bridge) tell(up wire.Up) bool {
	s := b.link.current()
	return s != nil && s.send(up) == nil
}

func (b *bridge) allowed(id int64) bool { return id > 0 && slices.Contains(b.o.Allowed, id) }

// self is the bot's own account, zero before it is known.
func (b *bridge) self() user {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.me
}

// ref and refOf turn a message's id into what the gateway keeps. The gateway may also name a user's message by
// its whole id, of which the last part is Telegram's.
func ref(id int64) string { return strconv.FormatInt(id, 10) }

func refOf(text string) int64 {
	id, err := strconv.ParseInt(text[strings.LastIndexByte(text, '.')+1:], 10, 64)
	if err != nil || id < 0 {
		return 0
	}
	return id
}

func messageID(update, chat, msg int64) string { return fmt.Sprintf("%d.%d.%d", update, chat, msg) }
