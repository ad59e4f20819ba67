package audit

import (
	"context"
	"crypto/ed25519"
	"encoding/hex"
	"fmt"
	"io/fs"
	"strings"

	"golang.org/x/mod/sumdb/tlog"
)

// VerifyOptions adds what an outside observer knows.
type VerifyOptions struct {
	// Witness is the text of a checkpoint that was kept elsewhere ([Checkpoint].Note); empty for none.
	Witness string
}

// Report is what Verify saw.
type Report struct {
	Entries     uint64     `json:"entries"`
	Checkpoints int        `json:"checkpoints"`
	Segments    int        `json:"segments"`
	Recovered   int        `json:"recovered"` // repairs after a crash that the log tells of
	Unsigned    uint64     `json:"unsigned"`  // last entries that no checkpoint covers yet
	Torn        int        `json:"torn"`      // bytes of an unfinished last line, which the next start cuts
	Head        Checkpoint `json:"head"`      // the newest checkpoint passed
	Bad         *Damage    `json:"bad,omitzero"`
}

// Verify walks the whole log in dir, which may have a writer at work, and compares it with its
// chain, its checkpoints signed by pub, and the witness. The first thing that does not fit is
// returned as a [*Damage]; the report tells how far it came.
//
// Entries after the newest checkpoint (Report.Unsigned) are checked by their chain only.
func Verify(ctx context.Context, dir string, pub ed25519.PublicKey, o VerifyOptions) (Report, error) {
	keys, err := verifier(pub)
	if err != nil {
		return Report{}, err
	}
	// Checkpoints first: what they promise is then on disk, however fast a writer goes on.
	w, err := newWalk(dir, keys)
	if err != nil {
		return Report{}, err
	}
	if o.Witness != "" {
		h, err := parseHead(strings.TrimRight(o.Witness, "\n") + "\n")
		if err == nil {
			err = h.check(keys)
		}
		if err != nil {
			return Report{}, fmt.Errorf("the witness does not fit this log's key: %w", err)
		}
		w.witness = &h
	}
	err = w.all(ctx)
	w.report.Unsigned = w.report.Entries - min(w.report.Entries, w.signed)
	if d, ok := err.(*Damage); ok {
		w.report.Bad = d
	}
	return w.report, err
}

func (w *walk) all(ctx context.Context) error {
	last, err := listSegments(w.dir)
	if err != nil {
		return err
	}
	if last == 0 && len(w.seen.list) == 0 && w.seen.bad == nil && w.witness == nil {
		return fmt.Errorf("there is no audit log in %s: %w", w.dir, fs.ErrNotExist)
	}
	// A checkpoint that a writer adds while we walk may speak of a segment that was not listed yet.
	for n := 1; n <= last || exists(w.dir, n); n++ {
		torn, _, err := w.segmentFile(ctx, n)
		if err != nil {
			return err
		}
		w.report.Segments++
		if len(torn) > 0 {
			w.line++
			if exists(w.dir, n+1) {
				return w.damage("the line is cut")
			}
			w.report.Torn = len(torn)
		}
	}
	if err := w.end(); err != nil {
		return err
	}
	if w.missing != 0 && !hasWriter(w.dir) {
		if d := w.signature(); d != nil {
			return d
		}
	}
	if w.missing != 0 && !hasWriter(w.dir) {
		return w.damageAt(w.missing, "the checkpoint is missing: it was removed, or the gateway was killed while it signed; "+
			"in the second case the next start repairs it and says so in the log")
	}
	return nil
}

// end compares what was walked with what was promised.
func (w *walk) end() error {
	promised, by := w.tree.size, ""
	if n := len(w.seen.list); n > 0 && w.seen.list[n-1].size > promised {
		if err := w.seen.list[n-1].check(w.keys); err != nil {
			return w.damageAt(w.signed+1, "the last checkpoint is %v", err)
		}
		promised, by = w.seen.list[n-1].size, "a signed checkpoint"
	}
	if w.witness != nil && w.witness.size > promised {
		promised, by = w.witness.size, "the witness"
	}
	if by != "" {
		w.segment, w.line = max(w.segment, 1), w.line+1
		d := w.damage("cut off: %s saw %d entries, and here are %d", by, promised, w.tree.size)
		d.Last = promised
		return d
	}
	if w.seen.bad != nil {
		return w.damageAt(w.signed+1, "the file %q is damaged after %d checkpoints: %v", checkpointFile, len(w.seen.list), w.seen.bad)
	}
	return nil
}

func parseHash(text []byte) (h tlog.Hash, err error) {
	b, err := hex.DecodeString(string(text))
	if err != nil || len(b) != len(h) {
		return h, errForm
	}
	return tlog.Hash(b), nil
}
