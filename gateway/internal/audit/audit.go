// Package audit keeps the record of everything the agent was asked, meant to do, and did.
//
// The log is a directory of JSONL segments (mode 0600) with one writer. Every entry is one line and
// names the hash of the line before it; every 256 entries, every minute and at shutdown the head of
// the Merkle tree over all lines is signed. So whoever edits, deletes, reorders, repeats or cuts what
// was signed is found by [Verify], which needs only the directory and the public key.
//
// It promises that an entry is on disk when [Log.Append] returns, that after a crash only intents
// without a result are in doubt ([Log.InDoubt]), and that a secret named in [Options].Redact is never
// written, in any spelling. It refuses a second writer, a log that was tampered with, an entry of
// unbounded size, and every further entry after a write that failed: what cannot be recorded must
// not happen.
//
// What it cannot see: a directory put back as a whole to an older signed state. Only a checkpoint
// kept elsewhere shows that, which is why [Verify] takes one as a witness.
//
// Entry point: [Open]. On disk:
//
//	audit-000001.jsonl …   entries; each segment begins with an audit.segment entry
//	checkpoints            signed tree heads (C2SP tlog-checkpoint), one note after the other
//	key.pub                the verifier key of the notes
//	lock                   held by the writer
//
// A checkpoint is in both places: the entry audit.checkpoint with number N, and a signed note over
// the first N entries, written right after it. An entry whose note is missing shows that a
// checkpoint was removed; a note whose entries are missing shows that the log was cut.
package audit

import (
	"errors"
	"fmt"
	"time"

	"github.com/secureclaw/secureclaw/internal/strict"
)

// Limits. A reader refuses what a writer would not have written.
const (
	maxLine             = 1<<20 + 16<<10                  // bytes of one line, newline included
	maxFields           = 1 << 20                         // bytes of the fields of one entry
	maxIntent           = 512 << 10                       // bytes of the fields of an intent, which is never cut
	maxValue            = 64 << 10                        // bytes of one string of any other entry, cut beyond
	maxName             = 256                             // bytes of kind, session, run and call
	checkpointEvery     = 256                             // entries between two checkpoints; the end of a batch is waited for
	checkpointAfter     = time.Minute                     // how long an entry may stay unsigned
	noteDelay           = 100 * time.Millisecond          // how long Note lets entries gather; it promises 200 ms
	maxBatch            = 1024                            // entries written with one fsync
	maxBatchBytes       = 4 << 20                         // bytes of entries written with one fsync
	maxUnsigned         = checkpointEvery + maxBatch + 16 // more entries than this without a checkpoint were not written by us
	defaultSegmentBytes = 64 << 20
)

var (
	// ErrBroken is a log whose last write or fsync failed. It stays broken until it is opened again,
	// because what the kernel kept of a failed fsync is unknown.
	ErrBroken = errors.New("the audit log could not be written, so nothing more may run; free the disk or repair it, then restart")
	// ErrInUse is a directory that has a writer already.
	ErrInUse = errors.New("the audit log has a writer already")
	// ErrClosed is a log after Close.
	ErrClosed = errors.New("the audit log is closed")
	// ErrTooLarge is an intent that cannot be recorded whole. It must not run.
	ErrTooLarge = errors.New("too large for the audit log")
)

// Entry is one line of the log.
type Entry struct {
	Seq     uint64       `json:"seq"` // 1, 2, 3, … over all segments
	Time    time.Time    `json:"time"`
	Kind    string       `json:"kind"`
	Session string       `json:"session,omitzero"`
	Run     string       `json:"run,omitzero"`
	Call    string       `json:"call,omitzero"`
	Fields  strict.Value `json:"fields"`
	// Prev is the hash of the line before, in hex: SHA-256 over a zero byte and the line without its
	// newline, which is also its leaf in the tree. The first entry has 64 zeros.
	Prev string `json:"prev"`
}

// Damage is the first place where a log is not what was written.
type Damage struct {
	Segment string // file name
	Line    int    // in that file, from 1; 0 when the file itself is missing
	Seq     uint64 // the first entry that is bad or missing
	Last    uint64 // the last one it may be, when only a range is known; else equal to Seq
	Reason  string
}

func (d *Damage) Error() string {
	seq := fmt.Sprintf("entry %d", d.Seq)
	if d.Last > d.Seq {
		seq = fmt.Sprintf("entries %d to %d", d.Seq, d.Last)
	}
	return fmt.Sprintf("%s line %d (%s): %s", d.Segment, d.Line, seq, d.Reason)
}
