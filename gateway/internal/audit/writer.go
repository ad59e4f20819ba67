package audit

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/secureclaw/secureclaw/internal/strict"
)

// writer is the state behind the newest line. After any error it must not be used again.
type writer struct {
	dir     string
	o       Options
	sign    *signer
	file    File // the newest segment
	notes   File // the checkpoints
	segment int
	size    int64 // bytes in the newest segment
	prev    tlog.Hash
	tree    tree
	head    Checkpoint
	before  tlog.Hash         // tree head before the newest audit.checkpoint entry
	signed  uint64            // size of the last checkpoint
	open    map[string]uint64 // intents without a result
	buf     []byte
}

// unsigned is how many entries no checkpoint covers.
func (w *writer) unsigned() uint64 { return w.tree.size - w.signed }

// write appends items, and an audit.checkpoint entry if sign is set, with one write and one fsync.
// Then the caller must call note. In this order, because a note over entries that are not on disk
// would look like a cut log. A crash between the two leaves the one state that recover repairs.
func (w *writer) write(items []item, sign bool) error {
	w.buf = w.buf[:0]
	for _, it := range items {
		switch it.kind {
		case KindIntent:
			w.open[it.call] = w.tree.size + 1
		case KindResult:
			delete(w.open, it.call)
		}
		w.add(it.at, it.middle)
	}
	if sign {
		w.before = w.tree.root()
		if err := w.own(KindCheckpoint, checkpointFields{w.tree.size + 1}); err != nil {
			return err
		}
	}
	return w.flush()
}

// note signs the tree that ends with the audit.checkpoint entry just written.
func (w *writer) note() error {
	h, err := w.sign.head(w.tree.size, w.tree.root(), w.before)
	if err != nil {
		return err
	}
	if _, err := w.notes.Write([]byte(h.text + "\n")); err != nil {
		return err
	}
	if err := w.notes.Sync(); err != nil {
		return err
	}
	w.signed, w.head = h.size, h.checkpoint()
	return nil
}

// checkpoint signs what is on disk.
func (w *writer) checkpoint() error {
	if err := w.write(nil, true); err != nil {
		return err
	}
	return w.note()
}

// add puts one line into the buffer, the chain and the tree.
func (w *writer) add(at time.Time, middle []byte) {
	start := len(w.buf)
	w.buf = appendLine(w.buf, w.tree.size+1, at, middle, w.prev)
	w.prev = leafHash(w.buf[start:])
	w.tree.add(w.prev)
	w.buf = append(w.buf, '\n')
}

// own adds an entry of the log itself.
func (w *writer) own(kind string, fields any) error {
	raw, err := strict.Encode(fields)
	if err != nil {
		return err
	}
	w.add(w.o.Now(), appendMiddle(nil, kind, "", "", "", raw))
	return nil
}

func (w *writer) flush() error {
	if _, err := w.file.Write(w.buf); err != nil {
		return err
	}
	w.size += int64(len(w.buf))
	return w.file.Sync()
}

// rotate begins a new segment when the newest is full. The old one ends with a checkpoint, so the
// new one can start from a signed tree.
func (w *writer) rotate() error {
	if w.size < w.o.SegmentBytes {
		return nil
	}
	if w.unsigned() > 0 {
		if err := w.checkpoint(); err != nil {
			return err
		}
	}
	if err := w.file.Close(); err != nil {
		return err
	}
	w.file = nil
	return w.begin(w.segment + 1)
}

// begin makes segment n and writes its first entry.
func (w *writer) begin(n int) (err error) {
	w.segment, w.size = n, 0
	w.file, err = w.o.OpenFile(filepath.Join(w.dir, segmentName(n)), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	fields := segmentFields{Segment: n, Checkpoint: w.signed, Edge: w.tree.export(), Open: []open{}}
	for call, seq := range w.open {
		fields.Open = append(fields.Open, open{call, seq})
	}
	slices.SortFunc(fields.Open, func(a, b open) int { return int(a.Seq) - int(b.Seq) })
	w.buf = w.buf[:0]
	if err := w.own(KindSegment, fields); err != nil {
		return err
	}
	if err := w.flush(); err != nil {
		return err
	}
	return syncDir(w.dir)
}

func (w *writer) close() error {
	var errs []error
	for _, f := range []File{w.file, w.notes} {
		if f != nil {
			errs = append(errs, f.Close())
		}
	}
	w.file, w.notes = nil, nil
	return errors.Join(errs...)
}

// recover brings the writer to the end of what is on disk and repairs what a crash can leave: an
// unfinished last line, an unfinished or missing last note, an empty new segment.
func (w *writer) recover() error {
	if err := w.keepKey(); err != nil {
		return err
	}
	keys, err := verifier(w.o.Key.Public().(ed25519.PublicKey))
	if err != nil {
		return err
	}
	last, err := listSegments(w.dir)
	if err != nil {
		return err
	}
	walk, err := newWalk(w.dir, keys)
	if err != nil {
		return err
	}
	if walk.seen.bad != nil {
		return &Damage{Segment: checkpointFile, Seq: walk.trusted + 1, Last: walk.trusted + 1, Reason: walk.seen.bad.Error()}
	}
	walk.open = map[string]uint64{}
	fixed, fresh, err := w.replay(walk, last)
	if err != nil {
		return err
	}
	w.prev, w.tree, w.signed, w.open = walk.prev, walk.tree, walk.signed, walk.open
	w.head = walk.report.Head
	w.notes, err = w.o.OpenFile(filepath.Join(w.dir, checkpointFile), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	if len(walk.seen.torn) > 0 {
		if err := w.notes.Truncate(walk.seen.good); err != nil {
			return err
		}
	}
	if fresh > 0 {
		err = w.begin(fresh)
	} else {
		w.file, err = w.o.OpenFile(filepath.Join(w.dir, segmentName(w.segment)), os.O_WRONLY|os.O_APPEND, 0o600)
		if err == nil && fixed.Bytes > 0 {
			err = w.file.Truncate(w.size)
		}
	}
	if err != nil {
		return err
	}
	fixed.Checkpoint = walk.missing
	if fixed != (recoveredFields{}) {
		w.o.Log.Warn("the audit log was cut short by a crash and is repaired", "segment", fixed.Segment, "bytes", fixed.Bytes, "checkpoint", fixed.Checkpoint)
		w.buf = w.buf[:0]
		if err := w.own(KindRecovered, fixed); err != nil {
			return err
		}
		if err := w.flush(); err != nil {
			return err
		}
	}
	if w.unsigned() > 0 {
		return w.checkpoint()
	}
	return nil
}

// replay walks the newest segment that has entries. fresh is the segment to begin, 0 for none.
func (w *writer) replay(walk *walk, last int) (fixed recoveredFields, fresh int, err error) {
	for n := last; n > 0; n-- {
		if err := walk.enter(n); err != nil {
			return fixed, 0, err
		}
		torn, size, err := walk.segmentFile(context.Background(), n)
		if err != nil {
			return fixed, 0, err
		}
		if len(torn) > 0 {
			if n != last {
				return fixed, 0, walk.damage("the line is cut")
			}
			fixed = recoveredFields{Segment: segmentName(n), Bytes: len(torn), SHA256: fmt.Sprintf("%x", sha256.Sum256(torn))}
		}
		if size == 0 && n == last {
			// A crash while this segment was begun: it has no entry. Begin it again.
			fresh = n
			if err := os.Truncate(filepath.Join(w.dir, segmentName(n)), 0); err != nil {
				return fixed, 0, err
			}
			continue
		}
		w.segment, w.size = n, size
		return fixed, fresh, walk.end()
	}
	return fixed, 1, walk.end()
}

// enter sets a walk at the beginning of segment n, as its first entry and the signed checkpoint
// before it say.
func (w *walk) enter(n int) error {
	w.segment, w.line = n, 1
	h, err := firstLine(w.dir, n)
	if n == 1 || err == io.EOF {
		return nil
	}
	if err != nil {
		return err
	}
	s, err := decodeFields[segmentFields](h.fields)
	if err != nil {
		return w.damage("%v", err)
	}
	t, err := importTree(h.seq-1, s.Edge)
	if err != nil {
		return w.damage("%v", err)
	}
	i := slices.IndexFunc(w.seen.list, func(c head) bool { return c.size == t.size })
	if i < 0 || w.seen.list[i].check(w.keys) != nil || w.seen.list[i].root != t.root() || s.Checkpoint != t.size {
		return w.damage("the segment does not continue a signed checkpoint")
	}
	w.tree, w.next, w.signed, w.report.Head = t, i+1, t.size, w.seen.list[i].checkpoint()
	// The last leaf of the tree is not its edge, so the link is taken from the line; a wrong one
	// does not survive the next checkpoint.
	w.prev, err = parseHash(h.prev)
	if err != nil {
		return w.damage("%v", err)
	}
	for _, o := range s.Open {
		w.open[o.Call] = o.Seq
	}
	return nil
}

// records reads the open intents back.
func (w *writer) records() ([]Record, error) {
	list := make([]open, 0, len(w.open))
	for call, seq := range w.open {
		list = append(list, open{call, seq})
	}
	slices.SortFunc(list, func(a, b open) int { return int(a.Seq) - int(b.Seq) })
	var out []Record
	for _, o := range list {
		for e, err := range Query(context.Background(), w.dir, Filter{After: o.Seq - 1, Limit: 1}) {
			if err != nil {
				return nil, err
			}
			out = append(out, Record{Kind: e.Kind, Session: e.Session, Run: e.Run, Call: e.Call, Fields: e.Fields})
		}
	}
	return out, nil
}

// keepKey leaves the public key beside the log, and refuses a log begun with another.
func (w *writer) keepKey() error {
	text, err := VerifierKey(w.o.Key.Public().(ed25519.PublicKey))
	if err != nil {
		return err
	}
	name := filepath.Join(w.dir, keyFile)
	was, err := os.ReadFile(name)
	if err == nil && len(was) > 0 {
		if string(bytes.TrimSpace(was)) != text {
			return &Damage{Segment: keyFile, Seq: 1, Last: 1, Reason: "the log was begun with another key than the gateway has now"}
		}
		return nil
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	tmp := name + ".tmp"
	if err := os.WriteFile(tmp, []byte(text+"\n"), 0o600); err != nil {
		return err
	}
	if err := os.Rename(tmp, name); err != nil {
		return err
	}
	return syncDir(w.dir)
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}
