package audit

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

// walk goes through lines in order and stops at the first that is not what was written. Verify
// walks the whole log, Open the newest segment.
type walk struct {
	dir  string
	keys note.Verifiers
	seen heads
	next int // the first checkpoint that was not passed

	prev    tlog.Hash
	tree    tree
	segment int
	line    int
	starts  map[int]uint64    // number of the first entry of each segment
	signed  uint64            // size of the last checkpoint passed
	missing uint64            // an audit.checkpoint entry whose note is not there, 0 for none
	before  tlog.Hash         // tree head before the newest audit.checkpoint entry
	open    map[string]uint64 // intents without a result; nil if nobody asks
	trusted uint64            // entries beyond are decoded whole: no signature covers them
	witness *head
	report  Report
}

func newWalk(dir string, keys note.Verifiers) (*walk, error) {
	w := &walk{dir: dir, keys: keys, starts: map[int]uint64{}}
	var err error
	if w.seen, err = readHeads(dir); err != nil {
		return nil, err
	}
	if n := len(w.seen.list); n > 0 {
		w.trusted = w.seen.list[n-1].size
	}
	return w, nil
}

func (w *walk) damage(format string, args ...any) *Damage {
	seq := w.tree.size + 1
	return &Damage{Segment: segmentName(w.segment), Line: w.line, Seq: seq, Last: seq, Reason: fmt.Sprintf(format, args...)}
}

// segmentFile walks one segment from its start. It returns the unfinished line at its end.
func (w *walk) segmentFile(ctx context.Context, n int) (torn []byte, size int64, err error) {
	f, err := os.Open(filepath.Join(w.dir, segmentName(n)))
	if err != nil {
		return nil, 0, err
	}
	defer f.Close()
	w.segment, w.line = n, 0
	w.starts[n] = w.tree.size + 1
	lr := newLineReader(f)
	complete := false
	for {
		line, err := lr.next()
		if err == io.EOF && !complete && exists(w.dir, n+1) {
			// The next segment is there, so this one grows no more; but it may have grown since we met its end.
			complete = true
			continue
		}
		if err == io.EOF {
			return slices.Clone(lr.rest()), lr.off, nil
		}
		w.line = lr.lines
		if errors.Is(err, errForm) {
			w.line++
			return nil, 0, w.damage("%v", err)
		}
		if err != nil {
			return nil, 0, err
		}
		if w.line%4096 == 0 && ctx.Err() != nil {
			return nil, 0, ctx.Err()
		}
		if d := w.entry(lr, line); d != nil {
			return nil, 0, d
		}
	}
}

// entry takes one line.
func (w *walk) entry(lr *lineReader, line []byte) *Damage {
	h, ok := parseHeader(line)
	if !ok {
		return w.damage("%v", errForm)
	}
	seq := w.tree.size + 1
	if h.seq != seq {
		return w.order(lr, h.seq)
	}
	var prev tlog.Hash
	if n, err := hex.Decode(prev[:], h.prev); err != nil || n != len(prev) || prev != w.prev {
		return w.brokenLink(lr)
	}
	kind := string(h.kind)
	if (w.line == 1) != (kind == KindSegment) {
		return w.damage("a segment begins with an %s entry, and only there is one", KindSegment)
	}
	if w.missing != 0 && kind != KindRecovered {
		// A writer at work signs between two reads of ours, so look once more before blaming anybody.
		if d := w.signature(); d != nil {
			return d
		}
	}
	if w.missing != 0 && kind != KindRecovered {
		return w.damageAt(w.missing, "the checkpoint was removed: the log says that it was signed, and the file %q does not have it", checkpointFile)
	}
	if seq > w.trusted {
		if _, err := DecodeEntry(line); err != nil {
			return w.damage("%v", err)
		}
	}
	if d := w.special(kind, h); d != nil {
		return d
	}
	if kind == KindCheckpoint {
		w.before = w.tree.root()
	}
	w.prev = lr.hash()
	w.tree.add(w.prev)
	w.report.Entries++
	if w.witness != nil && w.witness.size == seq && w.witness.root != w.tree.root() {
		d := w.damageAt(1, "rewritten: the witness saw other entries")
		d.Last = seq
		return d
	}
	if kind == KindCheckpoint {
		w.missing = seq
		return w.signature()
	}
	if w.next < len(w.seen.list) && w.seen.list[w.next].size == seq {
		return w.damageAt(seq, "the checkpoint over %d entries does not belong to this log", seq)
	}
	if seq-w.signed > maxUnsigned {
		return w.damageAt(w.signed+1, "%d entries and no checkpoint: they were not written by this log", seq-w.signed)
	}
	return nil
}

// special looks into the fields of the kinds that carry state.
func (w *walk) special(kind string, h header) *Damage {
	switch kind {
	case KindIntent, KindResult:
		if w.open == nil {
			return nil
		}
		call, err := unescape(h.call)
		if err != nil {
			return w.damage("%v", err)
		}
		if kind == KindIntent {
			w.open[call] = h.seq
		} else {
			delete(w.open, call)
		}
	case KindSegment:
		s, err := decodeFields[segmentFields](h.fields)
		if err != nil {
			return w.damage("%v", err)
		}
		if s.Segment != w.segment {
			return w.damage("this is segment %d under another's name", s.Segment)
		}
		if !slices.Equal(s.Edge, w.tree.export()) || s.Checkpoint != w.signed || s.Checkpoint != w.tree.size {
			return w.damage("the segment does not continue the one before")
		}
	case KindRecovered:
		r, err := decodeFields[recoveredFields](h.fields)
		if err != nil {
			return w.damage("%v", err)
		}
		if r.Checkpoint != w.missing {
			return w.damageAt(max(w.missing, 1), "the checkpoint was removed")
		}
		w.missing = 0
		w.report.Recovered++
	}
	return nil
}

// signature compares the tree with the note that belongs to the audit.checkpoint entry just taken,
// and leaves that entry in missing when there is no note.
func (w *walk) signature() *Damage {
	seq := w.tree.size
	if w.next == len(w.seen.list) {
		// The writer may have signed since we read; what was read before must still be there.
		again, err := readHeads(w.dir)
		if err == nil && len(again.list) >= len(w.seen.list) {
			w.seen = again
		}
	}
	if w.next == len(w.seen.list) {
		if w.seen.bad != nil {
			return w.damageAt(seq, "its checkpoint is bad: %v", w.seen.bad)
		}
		return nil
	}
	h := w.seen.list[w.next]
	switch {
	case h.size < seq:
		return w.damageAt(h.size, "there is a checkpoint over %d entries, and no entry says so", h.size)
	case h.size > seq:
		return nil
	}
	if err := h.check(w.keys); err != nil {
		return w.damageAt(seq, "its checkpoint is %v", err)
	}
	switch {
	case h.root == w.tree.root():
		w.next++
		w.missing, w.signed = 0, seq
		w.report.Checkpoints++
		w.report.Head = h.checkpoint()
		return nil
	case h.before == w.before:
		return w.damageAt(seq, "edited: the entry is not the one that was signed")
	}
	d := w.damageAt(w.signed+1, "rewritten: the chain fits, but the signed checkpoint at entry %d does not", seq)
	d.Last = seq - 1
	return d
}

// damageAt is damage at an entry that was passed already.
func (w *walk) damageAt(seq uint64, format string, args ...any) *Damage {
	d := w.damage(format, args...)
	d.Seq, d.Last = seq, seq
	for n := w.segment; n > 0; n-- {
		if start := w.starts[n]; start != 0 && start <= seq {
			d.Segment, d.Line = segmentName(n), int(seq-start)+1
			break
		}
	}
	return d
}

// order says why the current line has another number than the next.
func (w *walk) order(lr *lineReader, got uint64) *Damage {
	want := w.tree.size + 1
	next, ok := peek(lr)
	switch {
	case ok && next.seq == want+1:
		return w.damage("edited: its number is %d", got)
	case ok && next.seq == want && got > want:
		return w.damage("reordered: entry %d stands here", got)
	case got < want:
		return w.damage("repeated: entry %d stands here again", got)
	}
	d := w.damage("deleted: entry %d follows entry %d", got, want-1)
	d.Last = got - 1
	return d
}

// brokenLink says which side of a link that does not fit is the bad one: the current line, or the
// one before. The next link, or a signature, knows.
func (w *walk) brokenLink(lr *lineReader) *Damage {
	seq, own := w.tree.size+1, lr.hash()
	intact := false
	if next, ok := peek(lr); ok {
		intact = string(next.prev) == hex.EncodeToString(own[:])
	} else if w.next < len(w.seen.list) && w.seen.list[w.next].size == seq {
		intact = w.seen.list[w.next].before != w.tree.root()
	}
	if intact && seq > 1 {
		return w.damageAt(seq-1, "edited: the entry after it knows another one")
	}
	return w.damage("edited: it does not continue the entry before")
}

func peek(lr *lineReader) (header, bool) {
	line, err := lr.next()
	if err != nil {
		return header{}, false
	}
	return parseHeader(line)
}
