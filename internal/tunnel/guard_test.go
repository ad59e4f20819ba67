package tunnel

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/yamux"
)

// Frames as a guest writes them.
func syn(id uint32) []byte     { return frame(typeUpdate, flagSYN, id, 0) }
func fin(id uint32) []byte     { return frame(typeUpdate, flagFIN, id, 0) }
func rst(id uint32) []byte     { return frame(typeUpdate, flagRST, id, 0) }
func room(id, n uint32) []byte { return frame(typeUpdate, 0, id, n) }

var (
	ack  = frame(typeUpdate, flagACK, answerID, 0)
	ping = frame(typePing, flagSYN, 0, 7)
)

func data(id uint32, body string) []byte {
	return append(frame(typeData, 0, id, uint32(len(body))), body...)
}

func frame(kind byte, flags uint16, id, length uint32) []byte {
	return header{kind: kind, flags: flags, stream: id, length: length}.append(nil)
}

func concat(parts ...[]byte) []byte { return bytes.Join(parts, nil) }

// hostile is a guest of bytes, behind a host that has begun.
type hostile struct {
	*Host
	stdin, stdout *os.File
}

func newHostile(t testing.TB, l Limits, serve func(context.Context, net.Conn)) hostile {
	t.Helper()
	h, stdin, stdout := newHost(t, t.Context(), l, serve)
	begun := make([]byte, headerBytes)
	if _, err := io.ReadFull(stdin, begun); err != nil || parse(begun) != (header{kind: typeUpdate, flags: flagSYN, stream: answerID}) {
		t.Fatalf("the host begins with %v, %v, want its answer's stream", parse(begun), err)
	}
	return hostile{h, stdin, stdout}
}

// says writes bytes, then hangs up if it is to.
func (h hostile) says(t testing.TB, hangUp bool, parts ...[]byte) {
	t.Helper()
	if _, err := h.stdout.Write(concat(parts...)); err != nil && !errors.Is(err, os.ErrClosed) {
		t.Logf("the host hung up: %v", err) // it may have seen enough
	}
	if hangUp {
		_ = h.stdout.Close()
	}
}

// Everything a correct guest does not do ends the tunnel, whatever went before.
func TestMalformed(t *testing.T) {
	noise := func(text string) []byte { return []byte(text) }
	big := strings.Repeat("x", Window)
	for name, tc := range map[string]struct {
		bytes  []byte
		hangUp bool
	}{
		"noise before the first frame":       {noise("[0101/000000.000000:ERROR:gpu_init.cc] Passthrough\n"), false},
		"noise of one line, then the end":    {noise("oops\n"), true},
		"noise between frames":               {concat(ack, syn(1), noise("Trace/breakpoint trap\n"), data(1, "x")), false},
		"noise after the answer":             {concat(ack, data(2, "{}\n"), fin(2), noise("a second line of JSON\n")), false},
		"a newline between frames":           {concat(ack, syn(1), noise("\n"), syn(3)), false},
		"an envelope's answer, unframed":     {noise(`{"call":"c","status":"ok"}` + "\n"), false},
		"a length of 0xffffffff":             {concat(ack, syn(1), frame(typeData, 0, 1, 0xffffffff)), false},
		"a length of 0xffffffff, no stream":  {frame(typeData, 0, 1, 0xffffffff), false},
		"a length just beyond the window":    {concat(ack, syn(1), frame(typeData, 0, 1, Window+1)), false},
		"a window filled, and a byte":        {concat(ack, syn(1), data(1, big), data(1, "x")), false},
		"a window filled in parts":           {concat(ack, syn(1), data(1, big[1:]), data(1, "xx")), false},
		"too much for the answer":            {concat(ack, data(2, big), data(2, "x")), false},
		"an unknown version":                 {concat(ack, []byte{1}, syn(1)[1:]), false},
		"an unknown type":                    {frame(4, 0, 0, 0), false},
		"type 255":                           {frame(255, 0, 1, 0), false},
		"an unknown flag":                    {concat(ack, frame(typeUpdate, 0x10, 1, 0)), false},
		"every flag":                         {frame(typeUpdate, 0xffff, 1, 0), false},
		"open and end in one":                {frame(typeUpdate, flagSYN|flagFIN, 1, 0), false},
		"open and confirm in one":            {frame(typeUpdate, flagSYN|flagACK, 1, 0), false},
		"open with data":                     {append(frame(typeData, flagSYN, 1, 1), 'x'), false},
		"end with data":                      {concat(ack, syn(1), append(frame(typeData, flagFIN, 1, 1), 'x')), false},
		"reset with data":                    {concat(ack, syn(1), append(frame(typeData, flagRST, 1, 1), 'x')), false},
		"data of no bytes":                   {concat(ack, syn(1), frame(typeData, 0, 1, 0)), false},
		"an end with a window":               {concat(ack, syn(1), frame(typeUpdate, flagFIN, 1, 1)), false},
		"data on a stream never opened":      {concat(ack, data(1, "x")), false},
		"data on the next stream":            {concat(ack, syn(1), data(3, "x")), false},
		"data on stream 0":                   {concat(ack, data(0, "x")), false},
		"data after the end":                 {concat(ack, syn(1), fin(1), data(1, "x")), false},
		"data after a reset":                 {concat(ack, syn(1), rst(1), data(1, "x")), false},
		"a second end":                       {concat(ack, syn(1), fin(1), fin(1)), false},
		"an end after a reset":               {concat(ack, syn(1), rst(1), fin(1)), false},
		"an end of what was never opened":    {concat(ack, fin(1)), false},
		"a reset of what was never opened":   {concat(ack, rst(5)), false},
		"stream 0 opened":                    {concat(ack, syn(0)), false},
		"an even stream opened":              {concat(ack, syn(4)), false},
		"a second answer":                    {concat(ack, syn(2)), false},
		"a stream opened twice":              {concat(ack, syn(1), syn(1)), false},
		"a stream opened after its end":      {concat(ack, syn(1), rst(1), syn(1)), false},
		"streams not in order":               {concat(ack, syn(3), syn(1)), false},
		"a number left out":                  {concat(ack, syn(1), syn(5)), false},
		"the last number first":              {concat(ack, syn(0xffffffff)), false},
		"a stream with a larger window":      {concat(ack, frame(typeUpdate, flagSYN, 1, 1)), false},
		"a stream with the largest window":   {concat(ack, frame(typeUpdate, flagSYN, 1, 0xffffffff)), false},
		"more room than there can be":        {concat(ack, syn(1), room(1, 1)), false},
		"room that overflows":                {concat(ack, syn(1), room(1, 0xffffffff)), false},
		"room of nothing":                    {concat(ack, syn(1), room(1, 0)), false},
		"room after the end":                 {concat(ack, syn(1), rst(1), room(1, 0)), false},
		"room for the answer":                {concat(ack, room(2, 1)), false},
		"the answer before its confirmation": {data(2, "{}\n"), false},
		"the answer's end before that":       {fin(2), false},
		"the answer confirmed twice":         {concat(ack, ack), false},
		"the answer with a larger window":    {frame(typeUpdate, flagACK, 2, 1), false},
		"the answer after its end":           {concat(ack, data(2, "{}\n"), fin(2), data(2, "{}\n")), false},
		"the answer ended twice":             {concat(ack, data(2, "{}\n"), fin(2), fin(2)), false},
		"a guest's stream confirmed":         {concat(ack, syn(1), frame(typeUpdate, flagACK, 1, 0)), false},
		"nothing confirmed":                  {frame(typeUpdate, flagACK, 1, 0), false},
		"a ping":                             {concat(ack, ping), false},
		"the answer to a ping":               {concat(ack, frame(typePing, flagACK, 0, 0)), false},
		"a farewell for a reason":            {concat(ack, frame(typeGoAway, 0, 0, 1)), false},
		"a farewell twice":                   {concat(ack, frame(typeGoAway, 0, 0, 0), frame(typeGoAway, 0, 0, 0)), false},
		"a stream after the farewell":        {concat(ack, frame(typeGoAway, 0, 0, 0), syn(1)), false},
		"a farewell of a stream":             {concat(ack, frame(typeGoAway, 0, 1, 0)), false},
		"half a header":                      {concat(ack, syn(1)[:5]), true},
		"one byte of a header":               {[]byte{0}, true},
		"a header without its body":          {concat(ack, syn(1), frame(typeData, 0, 1, 100)), true},
		"half a body":                        {concat(ack, syn(1), data(1, "hello")[:14]), true},
		"half a body of the answer":          {concat(ack, data(2, "{}\n")[:13]), true},
		"half a body of a refused stream":    {concat(ack, syn(1), syn(3), syn(5), data(5, "hello")[:14]), true},
	} {
		t.Run(name, func(t *testing.T) {
			l := usual()
			l.Streams = 2
			h := newHostile(t, l, func(ctx context.Context, _ net.Conn) { <-ctx.Done() })
			go io.Copy(io.Discard, h.stdin)
			go h.says(t, tc.hangUp, tc.bytes)
			select {
			case <-h.Done():
			case <-time.After(10 * time.Second):
				t.Fatal("the tunnel lives on")
			}
			if err := h.Close(); !errors.Is(err, ErrProtocol) {
				t.Errorf("Close = %v, want ErrProtocol", err)
			}
		})
	}
}

// What a correct guest can have sent before it knew that a stream was over is dropped without a word.
func TestLateFramesAreNoCrime(t *testing.T) {
	for name, late := range map[string][]byte{
		"data":                  data(5, "hello"),
		"much data":             concat(data(5, strings.Repeat("x", Window)), data(5, "x")),
		"its end":               fin(5),
		"its reset":             rst(5),
		"data and its end":      concat(data(5, "x"), fin(5)),
		"its end and its reset": concat(fin(5), rst(5)),
		"room":                  room(5, Window),
		"room after its end":    concat(fin(5), room(5, 1)),
		"a farewell":            frame(typeGoAway, 0, 0, 0),
		"nothing":               nil,
	} {
		t.Run(name, func(t *testing.T) {
			l := usual()
			l.Streams = 2
			h := newHostile(t, l, echo)
			go h.says(t, false, ack, syn(1), syn(3), syn(5), late, data(1, "still here"), data(2, "line\n"), fin(2))
			if got, err := io.ReadAll(h.Answer()); string(got) != "line\n" || err != nil {
				t.Errorf("Answer = %q, %v", got, err)
			}
			if n := h.Refused(); n != 1 {
				t.Errorf("Refused = %d, want 1", n)
			}
			_ = h.stdout.Close()
			<-h.Done()
			if err := h.Close(); err != nil {
				t.Errorf("Close = %v, want nil", err)
			}
		})
	}
}

// A place is free again only when the stream is over and nobody serves it: opening and resetting keeps
// no more servers busy than there are places.
func TestOpenAndResetIsBounded(t *testing.T) {
	l := usual()
	l.Streams = 4
	release := make(chan struct{})
	h := newHostile(t, l, func(context.Context, net.Conn) { <-release })
	go io.Copy(io.Discard, h.stdin)
	var flood []byte
	for id := uint32(1); id < 2000; id += 2 {
		flood = append(append(flood, syn(id)...), rst(id)...)
	}
	h.says(t, false, ack, flood)
	eventually(t, "the flood is judged", func() bool { return h.Refused() == 996 })
	if n := h.Open(); n != 4 {
		t.Errorf("Open = %d, want 4", n)
	}
	close(release)
	eventually(t, "the places are free", func() bool { return h.Open() == 0 })
	go h.says(t, false, syn(2001), data(2, "x"), fin(2))
	if got, err := io.ReadAll(h.Answer()); string(got) != "x" || err != nil || h.Refused() != 996 {
		t.Errorf("afterwards: answer %q, %v, refused %d", got, err, h.Refused())
	}
}

// A guest that never closes what the host closed loses the place after a while, and the host nothing.
func TestStreamThatIsNeverClosed(t *testing.T) {
	l := usual()
	l.Streams = 1
	h := newHostile(t, l, func(context.Context, net.Conn) {})
	resets := make(chan uint32, 8)
	go func() {
		defer close(resets)
		for raw := make([]byte, headerBytes); ; {
			if _, err := io.ReadFull(h.stdin, raw); err != nil {
				return
			}
			if f := parse(raw); f.flags == flagRST {
				resets <- f.stream
			}
		}
	}()
	h.says(t, false, ack, syn(1))
	begin := time.Now()
	if id := <-resets; id != 1 || time.Since(begin) < lingering-time.Second {
		t.Errorf("stream %d was reset after %v, want 1 after about %v", id, time.Since(begin), lingering)
	}
	eventually(t, "the place is free", func() bool { return h.Open() == 0 })
	h.says(t, false, data(1, "late"), fin(1), data(2, "x"), fin(2))
	if got, err := io.ReadAll(h.Answer()); string(got) != "x" || err != nil {
		t.Errorf("Answer = %q, %v", got, err)
	}
}

// An end that arrives just when yamux gives the stream up is kept from it: it would take that for a
// violation and end the rest too.
func TestEndAtTheLastMoment(t *testing.T) {
	for name, tc := range map[string]struct {
		ago  time.Duration
		pass bool
	}{
		"soon":               {0, true},
		"at the last moment": {lingering - time.Millisecond, false},
		"too late":           {lingering + time.Second, false},
	} {
		g := newGuard(nil, io.Discard, usual(), func(error) {})
		if pass, err := g.judge(parse(syn(1))); !pass || err != nil {
			t.Fatalf("judge = %v, %v", pass, err)
		}
		_, _ = g.Write(fin(1))
		g.streams[1].hostDone = time.Now().Add(-tc.ago)
		if pass, err := g.judge(parse(fin(1))); pass != tc.pass || err != nil || len(g.streams) > 0 {
			t.Errorf("an end that comes %s: judge = %v, %v with %d streams, want %v", name, pass, err, len(g.streams), tc.pass)
		}
	}
}

// Who serves a stream finds his context ended when the connection fails, not a moment later: that is
// how he tells a task whose time was over from a browser that left.
func TestContextEndsFirst(t *testing.T) {
	g := newGuard(nil, io.Discard, usual(), func(error) {})
	if _, err := g.judge(parse(syn(1))); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	conn := &stream{raw: &yamux.Stream{}}
	g.queue[0] = g.queue[1] // the stream of no session has no number
	g.serve(ctx, conn, cancel)
	stopped := make(chan struct{})
	go func() { g.stop(ErrLimit); close(stopped) }()
	time.Sleep(10 * time.Millisecond)
	if conn.stopped.Load() != nil {
		t.Error("the connection failed while its context was alive")
	}
	cancel()
	<-stopped
	if conn.stopped.Load() == nil {
		t.Error("the connection lives on")
	}
}

// cases reads what the way out must refuse, of one kind.
func cases(t *testing.T, kind string) map[string]string {
	t.Helper()
	raw, err := os.ReadFile("../domain/testdata/ssrf-cases.json")
	if err != nil {
		t.Fatal(err)
	}
	var all []struct {
		ID, Kind, Expect string
		Input            any
	}
	if err := json.Unmarshal(raw, &all); err != nil {
		t.Fatal(err)
	}
	out := map[string]string{}
	for _, c := range all {
		if c.Kind == kind {
			out[c.ID] = fmt.Sprintf("%v → %s", c.Input, c.Expect)
		}
	}
	return out
}

// TestStreamCases holds the abuse of the multiplexer against the real tunnel. Each entry returns the
// code of the refusal, or what happened instead.
func TestStreamCases(t *testing.T) {
	protocol := func(bytes ...[]byte) func(t *testing.T) string {
		return func(t *testing.T) string {
			h := newHostile(t, usual(), echo)
			go io.Copy(io.Discard, h.stdin)
			go h.says(t, false, bytes...)
			<-h.Done()
			if err := h.Close(); !errors.Is(err, ErrProtocol) {
				return fmt.Sprintf("Close = %v", err)
			}
			return "deny:protocol"
		}
	}
	covered := map[string]bool{}
	for id, tc := range map[string]struct {
		want string
		run  func(t *testing.T) string
	}{
		"S274": {"10,000 streams opened at once → deny:limit", tenThousand},
		"S275": {"stream opened, nothing sent for 60 s → deny:idle", func(t *testing.T) string {
			l := usual()
			l.Idle = 100 * time.Millisecond
			end := make(chan error, 1)
			h := newHostile(t, l, func(_ context.Context, conn net.Conn) {
				_, err := conn.Read(make([]byte, 1))
				end <- err
			})
			h.says(t, false, ack, syn(1))
			if err := <-end; !errors.Is(err, ErrIdle) {
				return fmt.Sprintf("Read = %v", err)
			}
			return "deny:idle"
		}},
		"S278": {"length field 0xffffffff → deny:protocol", protocol(ack, syn(1), frame(typeData, 0, 1, 0xffffffff))},
		"S280": {"stdout noise before the first frame → deny:protocol", protocol([]byte("Segmentation fault\n"))},
		"S282": {"tunnel held open after the task deadline → deny:limit", func(t *testing.T) string {
			for deadline := 100 * time.Millisecond; ; deadline *= 2 {
				if got := heldPast(t, deadline); got != "never served" { // on a busy machine
					return got
				}
			}
		}},
		// The token's own: a tunnel carries no token, and package runner verifies each before there is a container.
		"S283": {"a second task replays the first task's token on its own stream → deny:token", nil},
	} {
		t.Run(id, func(t *testing.T) {
			if got := cases(t, "stream")[id]; got != tc.want {
				t.Fatalf("case %s is %q, this test is about %q", id, got, tc.want)
			}
			if tc.run == nil {
				return // a token, which streams know nothing of: TestHostileStreams of package runner plays it
			}
			if got := tc.run(t); !strings.HasSuffix(tc.want, got) {
				t.Errorf("%s: got %s", tc.want, got)
			}
		})
		covered[id] = true
	}
	for id, what := range cases(t, "stream") {
		if !covered[id] {
			t.Errorf("case %s (%s) has no test", id, what)
		}
	}
}

// heldPast holds a stream open when its task's time is over.
func heldPast(t *testing.T, deadline time.Duration) string {
	ctx, cancel := context.WithTimeout(t.Context(), deadline)
	defer cancel()
	end := make(chan error, 1)
	h, stdin, stdout := newHost(t, ctx, usual(), func(ctx context.Context, conn net.Conn) {
		_, err := io.Copy(io.Discard, conn)
		if ctx.Err() != context.DeadlineExceeded {
			err = fmt.Errorf("with a context that says %v: %v", ctx.Err(), err)
		}
		end <- err
	})
	guest, err := Open(t.Context(), stdin, stdout)
	if err != nil {
		return "never served"
	}
	defer guest.Close()
	conn, err := guest.Dial(t.Context())
	for err == nil {
		_, err = conn.Write([]byte("x"))
	}
	<-h.Done()
	_ = h.Close()
	select {
	case err := <-end:
		if !errors.Is(err, ErrLimit) || !errors.Is(err, context.DeadlineExceeded) {
			return fmt.Sprintf("Read = %v", err)
		}
		return "deny:limit"
	default:
		return "never served"
	}
}

// tenThousand opens as many streams as a hostile page could, beside a correct one, and looks at what
// that costs the host.
func tenThousand(t *testing.T) string {
	p := newPair(t, usual(), echo)
	page, err := p.guest.Dial(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer page.Close()
	said := func(text string) error {
		got := make([]byte, len(text))
		if _, err := io.WriteString(page, text); err != nil {
			return err
		}
		_, err := io.ReadFull(page, got)
		if string(got) != text {
			return errors.Join(err, fmt.Errorf("came back as %q", got))
		}
		return err
	}
	if err := said("before"); err != nil {
		t.Fatal(err)
	}
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	// Past yamux, which would wait for the host's word after some hundred: a hostile guest does not.
	var flood []byte
	for id := uint32(3); id < 3+2*10_000; id += 2 {
		flood = append(flood, syn(id)...)
	}
	begin := time.Now()
	if err := p.guest.out.whole(flood); err != nil {
		t.Fatal(err)
	}
	if err := said("after"); err != nil {
		return fmt.Sprintf("the page that was there: %v", err)
	}
	took := time.Since(begin)
	if n := p.host.Refused(); n != 10_000-63 {
		return fmt.Sprintf("refused %d", n)
	}
	eventually(t, "the guest was told of each", func() bool {
		p.host.guard.mu.Lock()
		defer p.host.guard.mu.Unlock()
		return len(p.host.guard.resets) == 0
	})
	runtime.GC()
	runtime.ReadMemStats(&after)
	grown := int64(after.HeapAlloc) - int64(before.HeapAlloc)
	t.Logf("10,000 streams: %v, %d KiB more heap, %d goroutines", took, grown>>10, runtime.NumGoroutine())
	if grown > 4<<20 || runtime.NumGoroutine() > 200 {
		return fmt.Sprintf("%d KiB of heap, %d goroutines", grown>>10, runtime.NumGoroutine())
	}
	return "deny:limit"
}

// A guest that stops in the middle of a frame holds nobody longer than a silent one: who reads sees
// what has come, and its deadline.
func TestHalfAFrameHoldsNobody(t *testing.T) {
	type seen struct {
		text string
		err  error
	}
	end := make(chan seen, 1)
	h := newHostile(t, usual(), func(_ context.Context, conn net.Conn) {
		_ = conn.SetReadDeadline(time.Now().Add(100 * time.Millisecond))
		text, err := io.ReadAll(conn)
		end <- seen{string(text), err}
	})
	go io.Copy(io.Discard, h.stdin)
	h.says(t, false, ack, syn(1), frame(typeData, 0, 1, 1000), []byte("half"))
	select {
	case got := <-end:
		if got.text != "half" || !errors.Is(got.err, os.ErrDeadlineExceeded) {
			t.Errorf("ReadAll = %q, %v, want half and the deadline", got.text, got.err)
		}
	case <-time.After(5 * time.Second):
		t.Error("who reads the stream sleeps beyond its deadline")
	}
}
