package web

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/textproto"
	"strings"
	"sync"
)

const (
	// maxStreams is below what the runner allows one task, so that a page which opens hundreds of
	// connections waits in the browser instead of being reset.
	maxStreams = 60
	// maxPeek is the most bytes of a request or answer that are looked at.
	maxPeek = 4 << 10
	// maxRefused is the most hosts that are remembered; the rest are only counted by the runner.
	maxRefused = 1000
)

// relay is the proxy that Chromium sees: each of its connections becomes one stream to the real one,
// byte by byte. It decides nothing, so it makes no difference who connects to it. It looks at the
// start of each side to remember which host was refused and by which code.
type relay struct {
	listener net.Listener
	dial     func(context.Context) (net.Conn, error)
	slots    chan struct{}
	work     sync.WaitGroup

	mu      sync.Mutex
	refused map[string]*refusal
	broken  error // why the last dial did not succeed
}

// refusal counts what the proxy said about one host.
type refusal struct {
	count int
	code  string
}

// listen starts a relay on a port of loopback. It ends with ctx.
func listen(ctx context.Context, dial func(context.Context) (net.Conn, error)) (*relay, error) {
	listener, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	r := &relay{listener: listener, dial: dial, slots: make(chan struct{}, maxStreams), refused: make(map[string]*refusal)}
	r.work.Go(func() { r.accept(ctx) })
	r.work.Go(func() {
		<-ctx.Done()
		listener.Close()
	})
	return r, nil
}

// address is where Chromium finds it.
func (r *relay) address() string { return r.listener.Addr().String() }

// wait returns when every connection is closed, after ctx of listen has ended.
func (r *relay) wait() { r.work.Wait() }

func (r *relay) accept(ctx context.Context) {
	for {
		select {
		case r.slots <- struct{}{}:
		case <-ctx.Done():
			return
		}
		conn, err := r.listener.Accept()
		if err != nil {
			<-r.slots
			if ctx.Err() != nil || errors.Is(err, net.ErrClosed) {
				return
			}
			continue // the other side gave up between connecting and being taken
		}
		r.work.Go(func() {
			defer func() { <-r.slots }()
			r.serve(ctx, conn)
		})
	}
}

// serve carries one connection.
func (r *relay) serve(ctx context.Context, browser net.Conn) {
	defer browser.Close()
	stream, err := r.dial(ctx)
	if err != nil {
		r.mu.Lock()
		r.broken = err
		r.mu.Unlock()
		return
	}
	defer stream.Close()
	stop := context.AfterFunc(ctx, func() {
		browser.Close()
		stream.Close()
	})
	defer stop()

	asked, answered := &peek{}, &peek{}
	up := make(chan struct{})
	go func() {
		defer close(up)
		_, _ = io.Copy(stream, io.TeeReader(browser, asked))
		closeWrite(stream)
	}()
	// The answer is looked at while it passes: the browser may already act on it.
	answered.full = func(head []byte) { r.note(asked.bytes(), head) }
	_, err = io.Copy(browser, io.TeeReader(stream, answered))
	answered.finish()
	if err != nil {
		browser.Close() // the browser went away: nobody is left to send either
	}
	closeWrite(browser)
	<-up
}

// closeWrite tells the other side that no more comes. Where a connection cannot say that alone, it is
// closed: the browser never waits for an answer after it has closed its side.
func closeWrite(conn net.Conn) {
	if half, ok := conn.(interface{ CloseWrite() error }); ok {
		_ = half.CloseWrite()
		return
	}
	conn.Close()
}

// note remembers an answer that is a refusal.
func (r *relay) note(request, answer []byte) {
	host := requestHost(request)
	response, err := http.ReadResponse(bufio.NewReader(bytes.NewReader(answer)), nil)
	if err != nil || host == "" || response.StatusCode < 400 {
		return
	}
	response.Body.Close()
	r.mu.Lock()
	defer r.mu.Unlock()
	entry := r.refused[host]
	if entry == nil {
		if len(r.refused) >= maxRefused {
			return
		}
		entry = &refusal{}
		r.refused[host] = entry
	}
	entry.count++
	entry.code = detailsOf(response.Header)
}

// code is why the proxy refused host, empty when it did not.
func (r *relay) code(host string) string {
	r.mu.Lock()
	defer r.mu.Unlock()
	if entry := r.refused[host]; entry != nil {
		return entry.code
	}
	return ""
}

// requestHost reads the host of "CONNECT host:port HTTP/1.1" or "GET http://host/ HTTP/1.1".
func requestHost(request []byte) string {
	line, _, _ := strings.Cut(string(request), "\r\n")
	_, rest, _ := strings.Cut(line, " ")
	authority, _, _ := strings.Cut(rest, " ")
	if _, after, ok := strings.Cut(authority, "://"); ok {
		authority, _, _ = strings.Cut(after, "/")
	}
	host, _, err := net.SplitHostPort(authority)
	if err != nil {
		host = strings.Trim(authority, "[]")
	}
	return strings.ToLower(strings.TrimSuffix(host, "."))
}

// detailsOf reads the code in a Proxy-Status header (RFC 9209): details="not_allowed".
func detailsOf(header http.Header) string {
	_, rest, ok := strings.Cut(textproto.MIMEHeader(header).Get("Proxy-Status"), `details="`)
	if !ok {
		return ""
	}
	code, _, _ := strings.Cut(rest, `"`)
	if len(code) > 40 || strings.Trim(code, "abcdefghijklmnopqrstuvwxyz0123456789_") != "" {
		return ""
	}
	return code
}

// peek keeps the start of what is written to it, up to the empty line that ends a head of HTTP.
type peek struct {
	mu   sync.Mutex
	head []byte
	done bool
	full func([]byte)
}

func (p *peek) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.done {
		return len(b), nil
	}
	p.head = append(p.head, b[:min(len(b), maxPeek-len(p.head))]...)
	if bytes.Contains(p.head, []byte("\r\n\r\n")) || len(p.head) == maxPeek {
		p.end()
	}
	return len(b), nil
}

// finish says that no more comes.
func (p *peek) finish() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.done {
		p.end()
	}
}

func (p *peek) end() {
	p.done = true
	if p.full != nil {
		p.full(p.head)
	}
}

func (p *peek) bytes() []byte {
	p.mu.Lock()
	defer p.mu.Unlock()
	return bytes.Clone(p.head)
}
