package web

import (
	"context"
	"errors"
	"net"
	"sync"

	"github.com/secureclaw/secureclaw/executor"
	"github.com/secureclaw/secureclaw/internal/run"
)

// Options are what a [Browser] needs. The zero Options refuse every call.
type Options struct {
	// Dial opens one connection to the proxy that is the only way out. Nobody asks it before the call.
	Dial func(ctx context.Context) (net.Conn, error)
	// Chromium is the browser's program.
	Chromium string
}

// Browser does one call and no second one, in a Chromium that [Browser.Prepare] started before the call
// was known, or else in one that the call starts.
type Browser struct {
	options Options

	mu       sync.Mutex
	taken    bool          // by the call, or by Close: nothing is prepared any more
	prepared chan struct{} // nil: nobody prepares; closed when that is over
	stop     context.CancelFunc
	window   *window // nil when preparing failed; written before prepared is closed
}

// New returns a Browser of which nothing runs yet.
func New(o Options) *Browser { return &Browser{options: o} }

var (
	errNoWay = errors.New("this executor has no browser or no way out")
	errTaken = errors.New("this executor has had its one call")
)

// Tools returns the tools of the web executor, by name.
func (b *Browser) Tools() map[string]executor.Tool {
	return map[string]executor.Tool{run.ToolBrowse: b.browse}
}

// Prepare starts Chromium and returns when a call has only to send its blank tab somewhere. Until the
// call comes, no connection leads anywhere. After an error the call starts Chromium itself, and says what
// is wrong with it. Once the call has come there is nothing to prepare, which is an error as well.
func (b *Browser) Prepare() error {
	b.mu.Lock()
	switch {
	case b.options.Dial == nil || b.options.Chromium == "":
		b.mu.Unlock()
		return errNoWay
	case b.taken || b.prepared != nil:
		b.mu.Unlock()
		return errTaken
	}
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	over := make(chan struct{})
	defer close(over)
	b.prepared, b.stop = over, stop
	b.mu.Unlock()

	w, err := open(ctx, b.options)
	if err != nil {
		w.close()
		return err
	}
	b.window = w
	return nil
}

// take returns the window for the call: the prepared one, when it still lives, else a new one. It waits
// for one that is being prepared, and returns soon after ctx ends. With an error the window may be nil,
// or hold what there was of it; its owner closes it.
func (b *Browser) take(ctx context.Context) (*window, error) {
	b.mu.Lock()
	taken := b.taken
	b.taken = true
	b.mu.Unlock()
	if taken {
		return nil, errTaken
	}
	w := b.await(ctx)
	if w == nil || !w.usable() {
		if w != nil {
			w.close() // first: as process 1 this ends every process there is
		}
		var err error
		if w, err = open(ctx, b.options); err != nil {
			return w, err
		}
	}
	w.called.Store(true)
	return w, nil
}

// await returns what was prepared, nil when nothing was. Its caller has set taken, so that nobody starts
// preparing now.
func (b *Browser) await(ctx context.Context) *window {
	if b.prepared == nil {
		return nil
	}
	select {
	case <-b.prepared:
	case <-ctx.Done():
		b.stop()
		<-b.prepared
	}
	return b.window
}

// Close ends a browser that no call took. One that was taken ends with its call.
func (b *Browser) Close() {
	b.mu.Lock()
	taken := b.taken
	b.taken = true
	b.mu.Unlock()
	if taken {
		return
	}
	over, cancel := context.WithCancel(context.Background())
	cancel()
	if w := b.await(over); w != nil {
		w.close()
	}
}
