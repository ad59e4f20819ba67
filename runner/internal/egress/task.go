package egress

import (
	"bufio"
	"context"
	"errors"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/secureclaw/secureclaw/internal/domain"
	"github.com/secureclaw/secureclaw/internal/run"
)

// maxDecisions is how many different refusals a task tells, and beside them how many connections that
// were let through: no flood of the ones hides the others. A page can be refused names without end;
// after this many the names are left out, and only what was decided is counted. Of what was let through
// only the address is left out then.
const maxDecisions = 256

// maxNames is how many different names a task may ask the DNS for. Below a wildcard each name is a
// question to its owner's servers, that is a message of 63 letters, which no count of bytes sees.
const maxNames = 256

// maxAsked is how often it may ask, that is also how many sites it may have dialled. Without a
// ClientHello no byte is counted, and the addresses are the site's choice: nobody's server is to be knocked
// at a hundred thousand times from here. What does greet reaches Limits.UpTask as soon.
const maxAsked = 4096

// Task is the way out of one task. The zero Task refuses everything.
type Task struct {
	proxy    *Proxy
	names    domain.List
	up, down atomic.Int64

	mu      sync.Mutex
	told    func(run.Egress)
	streams int
	served  int64
	seen    map[decision]*record
	refused int // different ones in seen
	order   []*record
	asked   map[domain.Name]bool // of the DNS
	asks    int
	closed  bool
}

// decision is what makes two events the same.
type decision struct {
	name    domain.Name
	code    domain.Code
	address netip.Addr
}

type record struct {
	event run.Egress
	count int64
}

// Serve handles one connection of the browser until it ends, and closes it. It starts with one
// CONNECT request (RFC 9110 section 9.3.6).
func (t *Task) Serve(ctx context.Context, conn net.Conn) {
	browser := &shutter{Conn: conn}
	defer browser.Close()
	if err := t.enter(); err != nil {
		t.tell(decision{code: domain.CodeOf(err)}, err)
		answerRefusal(browser, domain.CodeOf(err))
		return
	}
	defer t.leave()
	stop := context.AfterFunc(ctx, func() { browser.Close() })
	defer stop()

	var d undecided
	err := t.serve(ctx, browser, &d)
	switch {
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		err = refuse(codeLimit, "the time of the task was over")
	case errors.Is(err, errGone) || ctx.Err() != nil && endless[domain.CodeOf(err)]:
		if !d.open {
			return // nothing left this computer, or that was told
		}
		err = refuse(codeGone, "it was given up after %s had been asked for", d.name)
	}
	if d.code = domain.CodeOf(err); d.code != "" {
		t.tell(d.decision, err)
	}
}

// endless are the refusals that a hang-up looks like, when it comes in the middle of something. The
// others were decided before it, and who asks cannot take them back by leaving quickly.
var endless = map[domain.Code]bool{
	"": true, codeBadRequest: true, codeIdle: true, codeDNSError: true, codeDialError: true, codeNotTLS: true, codeHelloTimeout: true,
}

// undecided is what is known about a connection so far.
type undecided struct {
	decision
	open bool // its name was taken to the DNS, and nothing has been told since
}

// serve applies the rules in their order; the first that refuses ends it. d becomes what is known
// about the connection so far.
func (t *Task) serve(ctx context.Context, browser *shutter, d *undecided) (err error) {
	p := t.proxy
	answered := false
	defer func() {
		switch code := domain.CodeOf(err); {
		case code == "" || ctx.Err() != nil:
		case !answered:
			answerRefusal(browser, code)
		case code != codeLimit && code != codeIdle:
			answerAlert(browser)
		}
	}()

	browser.expire(time.Now().Add(p.limits.Idle))
	in := bufio.NewReaderSize(browser, maxHead)
	if d.name, err = readRequest(in); err != nil {
		return err
	}
	if !t.names.Covers(d.name) {
		return refuse(domain.CodeNotAllowed, "%s is not on the list of this call", d.name)
	}
	if err := t.ask(d.name); err != nil {
		return err
	}
	d.open = true
	vetted, err := p.vet(ctx, d.name)
	if err != nil {
		return err
	}
	site, to, err := p.dial(ctx, vetted)
	if err != nil {
		return err
	}
	defer site.Close()
	d.address = to.Addr()

	answered = true
	if err := answerEstablished(browser); err != nil {
		return errGone
	}
	browser.expire(time.Now().Add(p.limits.Hello))
	hello, err := readHello(in, d.name)
	if err != nil {
		return err
	}
	browser.expire(time.Time{})
	d.open = false
	if !t.tell(d.decision, nil) {
		return refuse(codeLimit, "the task is over")
	}
	return t.carry(ctx, &passage{task: t, name: d.name, browser: browser, in: in, site: site}, hello)
}

// enter counts a connection in, or refuses it before a byte of it is read.
func (t *Task) enter() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.served++
	switch {
	case t.closed || t.proxy == nil:
		return refuse(codeLimit, "the task has no way out")
	case !t.proxy.limits.complete():
		return refuse(codeLimit, "the limits of the way out allow nothing")
	case t.streams >= t.proxy.limits.Streams:
		return refuse(codeLimit, "%d connections are open, which is the most", t.streams)
	}
	t.streams++
	return nil
}

func (t *Task) leave() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.streams--
}

// ask counts the names that the DNS is asked for.
func (t *Task) ask(name domain.Name) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case !t.asked[name] && len(t.asked) >= maxNames:
		return refuse(codeLimit, "the task has asked for %d different hosts, which is the most", maxNames)
	case t.asks >= maxAsked:
		return refuse(codeLimit, "the task has asked for hosts %d times, which is the most", maxAsked)
	}
	t.asked[name] = true
	t.asks++
	return nil
}

// tell tells a decision the first time; err is why it was refused, nil when it was not. The lock is
// held while told runs, so nothing comes after the totals: what comes later is not ok.
func (t *Task) tell(d decision, err error) (ok bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed || t.told == nil {
		return !t.closed
	}
	if t.seen[d] == nil {
		switch allowed := len(t.seen) - t.refused; {
		case err != nil && t.refused >= maxDecisions:
			d = decision{code: d.code}
		case err == nil && allowed >= maxDecisions:
			d.address = netip.Addr{}
		}
	}
	if r := t.seen[d]; r != nil {
		r.count++
		return true
	}
	event := run.Egress{Name: string(d.name), Allowed: err == nil, Code: string(d.code)}
	if err != nil {
		event.Text = err.Error()
		t.refused++
	}
	if d.address.IsValid() {
		event.Address = d.address.String()
	}
	r := &record{event, 1}
	t.seen[d] = r
	t.order = append(t.order, r)
	t.told(event)
	return true
}

// Close ends the task's accounting and tells the totals and the repetitions that were only counted:
// each event again with the number of times in all, and at last the one that is marked as total. It is
// called when every Serve has returned; one that comes later is refused.
func (t *Task) Close() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		return
	}
	t.closed = true
	if t.told == nil {
		return
	}
	for _, r := range t.order {
		if r.count > 1 {
			r.event.Count = r.count
			t.told(r.event)
		}
	}
	t.told(run.Egress{Allowed: t.up.Load() > 0, Total: true, Count: t.served, Up: t.up.Load(), Down: t.down.Load()})
}
