// Command executor-web is the program inside the web executor's container: see package executor.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync/atomic"
	"time"

	"github.com/secureclaw/secureclaw/executor"
	"github.com/secureclaw/secureclaw/executor/web"
	"github.com/secureclaw/secureclaw/internal/tunnel"
)

const (
	// chromium is the browser itself, not the shell script in /usr/bin that starts it.
	chromium = "/usr/lib/chromium/chromium"
	// heap is for the tree of a large page; the container's memory is Chromium's.
	heap = 192 << 20
	// opening is how long the runner may take to begin the tunnel.
	opening = 10 * time.Second
)

func main() {
	stdin, stdout, err := executor.Seal()
	if err != nil {
		fmt.Fprintf(os.Stderr, "executor-web: %v\n", err)
		os.Exit(1)
	}
	var w way
	browser := web.New(web.Options{Dial: w.dial, Chromium: chromium})
	code := executor.Serve(executor.Options{
		Kind:   "web",
		Stdin:  stdin,
		Stdout: stdout,
		Key:    os.Getenv(executor.KeyVariable),
		Now:    time.Now,
		Ready:  os.Stderr,
		Tools:  browser.Tools(),

		Carry:   w.carry,
		Prepare: browser.Prepare,
		Heap:    heap,
		Orphans: true,
	})
	// Without a task nobody else ends the browser that waited for one.
	browser.Close()
	os.Exit(code)
}

// way is the way out of this container. The tunnel exists only once the envelope was read.
type way struct{ guest atomic.Pointer[tunnel.Guest] }

func (w *way) carry(stdin io.Reader, stdout io.Writer) (io.WriteCloser, error) {
	ctx, cancel := context.WithTimeout(context.Background(), opening)
	defer cancel()
	guest, err := tunnel.Open(ctx, stdin, stdout)
	if err != nil {
		return nil, err
	}
	w.guest.Store(guest)
	return guest.Answer(), nil
}

func (w *way) dial(ctx context.Context) (net.Conn, error) {
	guest := w.guest.Load()
	if guest == nil {
		return nil, errors.New("there is no tunnel")
	}
	return guest.Dial(ctx)
}
