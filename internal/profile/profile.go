// Package profile shows where a process of ours spends its time and memory, to its own user.
//
// [Serve] answers on a Unix socket in the runtime folder with the profiles of runtime/pprof, under the
// paths that Go's tools know. It runs only where it was asked for: it opens no TCP port, registers
// nothing that another server could serve, hangs up on every other user, and shows no values: neither
// the command line, nor the words on a goroutine's stack, among which a key could be.
package profile

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"runtime"
	"runtime/pprof"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/secureclaw/secureclaw/internal/wire"
)

const (
	prefix     = "/debug/pprof/"
	askTimeout = 5 * time.Second
	longest    = 60 * time.Second // of a profile of the processor
	unasked    = 10 * time.Second // of one for which no time was named
	heapRate   = 512 << 10        // bytes between two samples: what Go takes by itself
)

// Off makes that no memory is spent on samples that nobody will ask for. It belongs at the very start
// of a program that may serve profiles: being able to is what turns sampling on.
func Off() { runtime.MemProfileRate = 0 }

// Serve answers at the socket path until ctx ends. Memory is sampled from now on.
func Serve(ctx context.Context, path string, log *slog.Logger) error {
	l, err := wire.ListenOwn(path)
	if err != nil {
		return fmt.Errorf("profiles: %w", err)
	}
	runtime.MemProfileRate = heapRate
	log.Info("profiles are served", "socket", path)
	// Closing it, and what is still asked for, is how everything below ends.
	stop := context.AfterFunc(ctx, func() { _ = l.Close() })
	defer stop()
	var asked sync.WaitGroup
	defer asked.Wait()
	for {
		conn, err := l.Accept()
		if err != nil {
			return errors.Join(context.Cause(ctx), l.Close())
		}
		asked.Go(func() {
			hangUp := context.AfterFunc(ctx, func() { _ = conn.Close() })
			defer hangUp()
			answer(ctx, conn)
			_ = conn.Close()
		})
	}
}

// answer reads one request and writes one response: what asks is a person with curl.
func answer(ctx context.Context, conn net.Conn) {
	_ = conn.SetReadDeadline(time.Now().Add(askTimeout))
	r, err := http.ReadRequest(bufio.NewReader(io.LimitReader(conn, 8<<10)))
	if err != nil {
		return
	}
	// A reader that hangs up ends its profile: the processor's can be taken by one at a time.
	_ = conn.SetReadDeadline(time.Time{})
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() { // ends with the connection, which our caller closes
		_, _ = conn.Read(make([]byte, 1))
		cancel()
	}()
	var out bytes.Buffer
	code, kind := http.StatusOK, "application/octet-stream"
	if err := write(ctx, &out, r); err != nil {
		out.Reset()
		fmt.Fprintln(&out, err)
		code, kind = http.StatusBadRequest, "text/plain; charset=utf-8"
	}
	_ = conn.SetWriteDeadline(time.Now().Add(askTimeout))
	fmt.Fprintf(conn, "HTTP/1.1 %d %s\r\nContent-Type: %s\r\nContent-Length: %d\r\nConnection: close\r\n\r\n", code, http.StatusText(code), kind, out.Len())
	_, _ = conn.Write(out.Bytes())
}

// write writes what a request asks for.
func write(ctx context.Context, out io.Writer, r *http.Request) error {
	name, ok := strings.CutPrefix(r.URL.Path, prefix)
	if r.Method != http.MethodGet || !ok {
		return fmt.Errorf("GET %sheap, allocs, goroutine, threadcreate or profile?seconds=10", prefix)
	}
	switch name {
	case "profile":
		return processor(ctx, out, r.URL.Query().Get("seconds"))
	case "heap", "allocs", "goroutine", "threadcreate":
		if name == "heap" {
			runtime.GC() // what is live, not what waits for the next collection
		}
		return pprof.Lookup(name).WriteTo(out, 0)
	}
	return fmt.Errorf("there is no profile %q: heap, allocs, goroutine, threadcreate, profile", name)
}

func processor(ctx context.Context, out io.Writer, seconds string) error {
	length := unasked
	if seconds != "" {
		n, err := strconv.Atoi(seconds)
		if length = time.Duration(n) * time.Second; err != nil || n < 1 || length > longest {
			return fmt.Errorf("seconds=%.20q: from 1 to %d", seconds, longest/time.Second)
		}
	}
	if err := pprof.StartCPUProfile(out); err != nil {
		return err // another one is being taken
	}
	defer pprof.StopCPUProfile()
	select {
	case <-ctx.Done():
	case <-time.After(length):
	}
	return nil
}
