package audit

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"runtime"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// File is what the log does with a file it writes.
type File interface {
	io.Writer
	// Sync returns when everything written is on the medium.
	Sync() error
	Truncate(size int64) error
	Close() error
}

// Options says how a log is kept. Only Key has no default.
type Options struct {
	// Key signs the checkpoints. A log that was begun with another key is refused.
	Key ed25519.PrivateKey
	// Redact holds secret values that must never be written. One of fewer than 6 bytes is not
	// looked for in base64 or hex.
	Redact []string
	// Now is the clock of the entries; nil is time.Now.
	Now func() time.Time
	// Log hears of recoveries and of the failure that breaks the log; nil discards.
	Log *slog.Logger
	// SegmentBytes is the size after which a new segment begins; 0 is 64 MiB.
	SegmentBytes int64
	// OpenFile opens the files that are written; nil is the operating system. Fault tests set it.
	OpenFile func(name string, flag int, perm fs.FileMode) (File, error)
}

// Log is the one writer of a directory. Its methods may be called from any goroutine.
type Log struct {
	dir     string
	secrets *redactor
	lock    *os.File
	inDoubt []Record
	w       *writer // used by run only, once Open is done
	wake    chan struct{}

	lastSize int           // entries in the last batch
	lastTook time.Duration // how long it took to write them
	stopped  chan struct{} // closed when run has ended

	mu      sync.Mutex
	queue   []*batch
	durable uint64        // last entry that is on disk
	grown   chan struct{} // closed and replaced when durable grows or the log ends
	head    Checkpoint
	broken  error
	closing bool
	due     time.Time // when the next checkpoint must be made; zero when all is signed
}

// batch is a group of entries that share one fsync.
type batch struct {
	items  []item
	bytes  int
	urgent bool          // somebody waits
	due    time.Time     // when it is written though nobody waits
	done   chan struct{} // closed when first and err are set
	first  uint64
	err    error
}

// item is an entry but for its place in the chain.
type item struct {
	kind, call string
	at         time.Time
	middle     []byte
}

// Open opens the log in dir for writing, and makes it if there is none. It walks the newest segment
// and finishes what a crash cut short; each repair is an audit.recovered entry. A log that was
// tampered with is refused with an error that wraps a [*Damage] and says how to put it aside: to
// write on would sign the damage. A second writer gets [ErrInUse].
func Open(dir string, o Options) (*Log, error) {
	sign, err := newSigner(o.Key)
	if err != nil {
		return nil, err
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.SegmentBytes <= 0 {
		o.SegmentBytes = defaultSegmentBytes
	}
	if o.OpenFile == nil {
		o.OpenFile = openFile
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("audit log: %w", err)
	}
	lock, err := takeLock(dir)
	if err != nil {
		return nil, err
	}
	l := &Log{
		dir: dir, secrets: newRedactor(o.Redact), lock: lock,
		wake: make(chan struct{}, 1), stopped: make(chan struct{}), grown: make(chan struct{}),
	}
	l.w = &writer{dir: dir, o: o, sign: sign}
	if err := l.w.recover(); err != nil {
		l.w.close()
		lock.Close()
		if _, ok := errors.AsType[*Damage](err); ok {
			return nil, fmt.Errorf("the audit log in %s is damaged: %w. Somebody edited it, or the disk failed. "+
				"To keep it as evidence and begin a new one: mv %s %s.damaged, then start again", dir, err, dir, dir)
		}
		return nil, fmt.Errorf("audit log in %s: %w", dir, err)
	}
	if l.inDoubt, err = l.w.records(); err != nil {
		l.w.close()
		lock.Close()
		return nil, fmt.Errorf("audit log in %s: %w", dir, err)
	}
	l.durable, l.head = l.w.tree.size, l.w.head
	go l.run()
	return l, nil
}

// InDoubt returns the intents that had no result when the log was opened: a crash came between
// them, so nobody knows whether the call had an effect. Whoever reports one appends its result.
func (l *Log) InDoubt() []Record { return l.inDoubt }

// Head returns the newest checkpoint.
func (l *Log) Head() Checkpoint {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.head
}

// Err returns why the log can no longer be written, nil while it can.
func (l *Log) Err() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.broken
}

// Append writes one entry and returns its number when it is on disk. Many callers share one fsync.
// When ctx ends first, the entry may still be written: like any other error, that must stop the
// effect it was to precede. After [ErrBroken] nothing is written any more.
func (l *Log) Append(ctx context.Context, r Record) (uint64, error) {
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	b, i, err := l.put(r, true)
	if err != nil {
		return 0, err
	}
	select {
	case <-b.done:
	case <-ctx.Done():
		return 0, fmt.Errorf("audit %s: not known to be on disk: %w", r.Kind, ctx.Err())
	}
	if b.err != nil {
		return 0, b.err
	}
	return b.first + uint64(i), nil
}

// Note writes an entry that precedes no effect. It returns at once, and the entry is on disk within
// 200 ms; a disk that cannot follow makes it wait. What it returns is only what is known by then.
func (l *Log) Note(r Record) error {
	b, _, err := l.put(r, false)
	if err != nil {
		return err
	}
	l.mu.Lock()
	crowded := len(l.queue) > 4
	l.mu.Unlock()
	if crowded {
		<-b.done
		return b.err
	}
	return nil
}

// put encodes a record and queues it; i is its place in the batch.
func (l *Log) put(r Record, urgent bool) (b *batch, i int, err error) {
	if err := r.names(l.secrets); err != nil {
		return nil, 0, fmt.Errorf("audit %s: %w", r.Kind, err)
	}
	fields, err := encodeFields(r.Fields, l.secrets, r.Kind == KindIntent)
	if err != nil {
		return nil, 0, fmt.Errorf("audit %s: %w", r.Kind, err)
	}
	if r.Kind == KindIntent && len(fields) > maxIntent {
		return nil, 0, fmt.Errorf("audit %s: %d bytes of fields, at most %d: %w", r.Kind, len(fields), maxIntent, ErrTooLarge)
	}
	it := item{kind: r.Kind, call: r.Call}
	it.middle = appendMiddle(make([]byte, 0, len(fields)+128), r.Kind, r.Session, r.Run, r.Call, fields)

	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.broken != nil:
		return nil, 0, l.broken
	case l.closing:
		return nil, 0, ErrClosed
	}
	it.at = l.w.o.Now()
	if n := len(l.queue); n > 0 {
		b = l.queue[n-1]
	}
	if b == nil || len(b.items) >= maxBatch || b.bytes >= maxBatchBytes {
		b = &batch{done: make(chan struct{}), due: time.Now().Add(noteDelay)}
		l.queue = append(l.queue, b)
	}
	news := len(b.items) == 0 || urgent && !b.urgent
	b.items = append(b.items, it)
	b.bytes += len(it.middle)
	b.urgent = b.urgent || urgent
	if news {
		l.signal()
	}
	return b, len(b.items) - 1, nil
}

func (l *Log) signal() {
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

// Close writes what is queued, signs the log and lets the directory go. It returns what broke the
// log, if anything did.
func (l *Log) Close() error {
	l.mu.Lock()
	first := !l.closing
	l.closing = true
	l.mu.Unlock()
	l.signal()
	<-l.stopped
	if !first {
		return nil
	}
	err := errors.Join(l.Err(), l.w.close())
	return errors.Join(err, l.lock.Close())
}

// run is the one goroutine that writes.
func (l *Log) run() {
	defer close(l.stopped)
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		b, sign, wait := l.take()
		switch {
		case b != nil:
			l.commit(b)
		case sign:
			l.settle(nil, l.w.checkpoint())
		case wait < 0:
			return
		default:
			timer.Reset(wait)
			select {
			case <-l.wake:
			case <-timer.C:
			}
		}
	}
}

// take says what to do now: write a batch, sign, wait so long, or (a negative wait) end.
func (l *Log) take() (b *batch, sign bool, wait time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now, wait := time.Now(), time.Hour
	if len(l.queue) > 0 {
		b = l.queue[0]
		if b.urgent || l.closing || len(l.queue) > 1 || !now.Before(b.due) {
			l.gather(b)
			l.queue = l.queue[1:]
			return b, false, 0
		}
		wait = b.due.Sub(now)
	}
	if l.broken == nil && !l.due.IsZero() {
		if l.closing || !now.Before(l.due) {
			return nil, true, 0
		}
		wait = min(wait, l.due.Sub(now))
	}
	if l.closing {
		return nil, false, -1
	}
	return nil, false, wait
}

// gather waits for the goroutines that the last commit woke: they come back within microseconds,
// and without them an fsync would carry one entry where it could carry all. It waits for as many as
// came last time, and no longer than the last write took, so a lone caller waits for nobody and a
// crowd that went away costs one wait.
func (l *Log) gather(b *batch) {
	end := time.Now().Add(l.lastTook)
	for len(b.items) < l.lastSize && !l.closing && time.Now().Before(end) {
		l.mu.Unlock()
		runtime.Gosched()
		l.mu.Lock()
	}
}

func (l *Log) commit(b *batch) {
	l.mu.Lock()
	err, sign := l.broken, false
	l.mu.Unlock()
	if err == nil {
		err = l.w.rotate()
	}
	if err == nil {
		b.first = l.w.tree.size + 1
		sign = l.w.unsigned()+uint64(len(b.items)) >= checkpointEvery
		start := time.Now()
		err = l.w.write(b.items, sign)
		l.lastSize, l.lastTook = len(b.items), time.Since(start)
	}
	l.settle(b, err)
	if err == nil && sign {
		l.settle(nil, l.w.note())
	}
}

// settle publishes what the writer did.
func (l *Log) settle(b *batch, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err != nil && l.broken == nil {
		l.broken = fmt.Errorf("%w: %w", ErrBroken, err)
		l.w.o.Log.Error("the audit log is broken; nothing that has an effect may run", "dir", l.dir, "err", err)
	}
	if l.broken == nil {
		l.durable, l.head = l.w.tree.size, l.w.head
		switch {
		case l.w.unsigned() == 0:
			l.due = time.Time{}
		case l.due.IsZero():
			l.due = time.Now().Add(checkpointAfter)
		}
	}
	close(l.grown)
	l.grown = make(chan struct{})
	if b != nil {
		b.err = l.broken
		close(b.done)
	}
}

// osFile syncs the data and as much metadata as reading it back needs.
type osFile struct{ *os.File }

func (f osFile) Sync() error {
	for {
		if err := unix.Fdatasync(int(f.Fd())); err != unix.EINTR {
			return os.NewSyscallError("fdatasync", err)
		}
	}
}

func openFile(name string, flag int, perm fs.FileMode) (File, error) {
	f, err := os.OpenFile(name, flag, perm)
	if err != nil {
		return nil, err
	}
	return osFile{f}, nil
}
