package web

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"sync"
	"time"

	"github.com/chromedp/cdproto"
	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/cdp/jsonv2"
	"github.com/chromedp/cdproto/target"
	"github.com/chromedp/chromedp"
)

const (
	// maxMessage is the most bytes of one message of the browser. A longer one is dropped, and if it
	// was an answer, its question fails.
	maxMessage = 24 << 20
	// maxEvent is the most bytes of an event that is looked at: pages put whole files into URLs.
	maxEvent = 1 << 20
	// firstOwn is the first number of our own questions; those below are chromedp's.
	firstOwn = 1 << 30
)

var (
	errGone     = errors.New("the browser ended")
	errTooLarge = errors.New("the browser's answer is too large")
)

// pipe is the connection to Chromium: messages of JSON, each with a zero byte at its end. chromedp
// talks through it as its [chromedp.Transport]; we look at every message first. A page can make the
// browser send events without end, so chromedp is given answers and the one event it waits for, and
// listen gets the few kinds that it names. Nothing that the page does can fill a queue here.
type pipe struct {
	from *os.File
	to   *os.File
	down chan []byte // to the browser
	up   chan *cdproto.Message
	gone chan struct{} // closed when the browser's end is closed
	shut chan struct{} // closed by Close
	once sync.Once
	work sync.WaitGroup

	mu     sync.Mutex
	next   int64
	own    map[int64]chan<- *cdproto.Message
	theirs map[int64]target.SessionID // chromedp's questions
	listen func(method string, m *cdproto.Message)
	wants  map[string]bool
}

var _ chromedp.Transport = (*pipe)(nil)

func newPipe(from, to *os.File) *pipe {
	p := &pipe{
		from: from, to: to,
		down: make(chan []byte, 1024), up: make(chan *cdproto.Message, 256),
		gone: make(chan struct{}), shut: make(chan struct{}),
		next: firstOwn, own: make(map[int64]chan<- *cdproto.Message), theirs: make(map[int64]target.SessionID),
	}
	p.work.Go(p.receive)
	p.work.Go(p.send)
	return p
}

// hear names who gets events of the wanted kinds, on the goroutine that reads: it must not wait.
func (p *pipe) hear(wants map[string]bool, listen func(method string, m *cdproto.Message)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.wants, p.listen = wants, listen
}

// Close ends the connection and returns when nothing of it runs.
func (p *pipe) Close() error {
	p.once.Do(func() {
		close(p.shut)
		p.from.Close()
		p.to.Close()
	})
	p.work.Wait()
	return nil
}

// Read is chromedp's: it returns what the browser says to it.
func (p *pipe) Read(ctx context.Context, m *cdproto.Message) error {
	select {
	case got := <-p.up:
		*m = *got
		return nil
	case <-p.gone:
	case <-p.shut:
	case <-ctx.Done():
	}
	return io.EOF
}

// Write is chromedp's.
func (p *pipe) Write(ctx context.Context, m *cdproto.Message) error {
	if m.ID != 0 {
		p.mu.Lock()
		p.theirs[m.ID] = m.SessionID
		p.mu.Unlock()
	}
	return p.write(ctx, m)
}

func (p *pipe) write(ctx context.Context, m *cdproto.Message) error {
	line, err := jsonv2.Marshal(m, chromedp.DefaultMarshalOptions)
	if err != nil {
		return err
	}
	select {
	case p.down <- append(line, 0):
		return nil
	case <-p.gone:
	case <-p.shut:
	case <-ctx.Done():
		return ctx.Err()
	}
	return errGone
}

func (p *pipe) send() {
	for {
		select {
		case line := <-p.down:
			if _, err := p.to.Write(line); err != nil {
				return
			}
		case <-p.gone:
			return
		case <-p.shut:
			return
		}
	}
}

func (p *pipe) receive() {
	defer close(p.gone)
	r := bufio.NewReaderSize(p.from, 64<<10)
	var line []byte
	for {
		var whole bool
		var err error
		line, whole, err = readMessage(r, line[:0], maxMessage)
		if err != nil {
			return
		}
		if whole {
			p.take(line)
		} else if id, ok := answerTo(line); ok {
			p.answer(&cdproto.Message{ID: id, Error: &cdproto.Error{Message: errTooLarge.Error()}})
		}
		if cap(line) > 1<<20 {
			line = nil
		}
	}
}

// readMessage appends the next message to line. Of one longer than limit it keeps the start.
func readMessage(r *bufio.Reader, line []byte, limit int) (_ []byte, whole bool, err error) {
	whole = true
	for {
		part, err := r.ReadSlice(0)
		if err != nil && !errors.Is(err, bufio.ErrBufferFull) {
			return nil, false, err
		}
		if len(line)+len(part) > limit {
			whole = false
			part = part[:max(0, min(len(part), 64-len(line)))]
		}
		line = append(line, part...)
		if err == nil {
			return bytes.TrimSuffix(line, []byte{0}), whole, nil
		}
	}
}

// answerTo reads the number of an answer, and eventOf the kind of an event, from the start of a
// message, where Chromium writes them.
func answerTo(line []byte) (int64, bool) {
	rest, ok := bytes.CutPrefix(line, []byte(`{"id":`))
	if !ok {
		return 0, false
	}
	end := bytes.IndexAny(rest, ",}")
	if end < 0 {
		return 0, false
	}
	id, err := strconv.ParseInt(string(rest[:end]), 10, 64)
	return id, err == nil
}

func eventOf(line []byte) string {
	rest, ok := bytes.CutPrefix(line, []byte(`{"method":"`))
	if !ok {
		return ""
	}
	method, _, _ := bytes.Cut(rest, []byte{'"'})
	return string(method)
}

func (p *pipe) take(line []byte) {
	method := eventOf(line)
	if method != "" {
		p.mu.Lock()
		listen, wanted := p.listen, p.wants[method]
		p.mu.Unlock()
		theirs := theirEvent(method)
		if !wanted && !theirs || len(line) > maxEvent {
			return
		}
		m, err := decode(line)
		if err != nil {
			return
		}
		if wanted && listen != nil {
			listen(method, m)
		}
		if theirs {
			p.pass(m)
		}
		return
	}
	if m, err := decode(line); err == nil && m.ID != 0 {
		p.answer(m)
	}
}

func decode(line []byte) (*cdproto.Message, error) {
	m := new(cdproto.Message)
	// The values of a message are slices of its line, which is used again.
	if err := jsonv2.Unmarshal(bytes.Clone(line), m, chromedp.DefaultUnmarshalOptions); err != nil {
		return nil, err
	}
	return m, nil
}

// theirEvent reports whether chromedp needs events of this kind: to find the first tab, and to learn
// that a session is over.
func theirEvent(method string) bool {
	return method == "Target.targetCreated" || method == "Target.detachedFromTarget"
}

// pass hands m to chromedp. It reads all the time, so that this never waits for long.
func (p *pipe) pass(m *cdproto.Message) {
	if m.Method != "" {
		select { // an event may be lost, an answer may not
		case p.up <- m:
		default:
		}
		return
	}
	select {
	case p.up <- m:
	case <-p.shut:
	}
}

func (p *pipe) answer(m *cdproto.Message) {
	p.mu.Lock()
	session, isTheirs := p.theirs[m.ID]
	delete(p.theirs, m.ID)
	mine := p.own[m.ID]
	delete(p.own, m.ID)
	p.mu.Unlock()
	switch {
	case mine != nil:
		mine <- m // has room for one
	case isTheirs:
		m.SessionID = session
		p.pass(m)
	}
}

// session is one target as a [cdp.Session]. The zero ID is the browser.
type session struct {
	pipe *pipe
	id   target.SessionID
}

var _ cdp.Session = session{}

// Call asks and waits for the answer.
func (s session) Call(ctx context.Context, method string, params, result any) error {
	answer := make(chan *cdproto.Message, 1)
	id, err := s.ask(ctx, method, params, answer)
	if err != nil {
		return err
	}
	select {
	case m := <-answer:
		if m.Error != nil {
			return fmt.Errorf("%s: %w", method, m.Error)
		}
		if result == nil || len(m.Result) == 0 {
			return nil
		}
		return jsonv2.Unmarshal(m.Result, result, chromedp.DefaultUnmarshalOptions)
	case <-s.pipe.gone:
		err = errGone
	case <-s.pipe.shut:
		err = errGone
	case <-ctx.Done():
		err = ctx.Err()
	}
	s.pipe.mu.Lock()
	delete(s.pipe.own, id)
	s.pipe.mu.Unlock()
	return err
}

// Subscribe has no events to give: they come through [pipe.hear].
func (s session) Subscribe(string) (<-chan jsonv2.Value, func()) {
	none := make(chan jsonv2.Value)
	close(none)
	return none, func() {}
}

// tell asks and does not wait, not even for room: it is for the goroutine that reads. Commands of one
// session are done in order.
func (s session) tell(method string, params any) {
	now, cancel := context.WithTimeout(context.Background(), 10*time.Millisecond)
	defer cancel()
	_, _ = s.ask(now, method, params, nil)
}

func (s session) ask(ctx context.Context, method string, params any, answer chan<- *cdproto.Message) (int64, error) {
	var raw []byte
	if params != nil {
		var err error
		if raw, err = jsonv2.Marshal(params, chromedp.DefaultMarshalOptions); err != nil {
			return 0, err
		}
	}
	s.pipe.mu.Lock()
	s.pipe.next++
	id := s.pipe.next
	if answer != nil {
		s.pipe.own[id] = answer
	}
	s.pipe.mu.Unlock()
	return id, s.pipe.write(ctx, &cdproto.Message{ID: id, SessionID: s.id, Method: cdproto.MethodType(method), Params: raw})
}
