package audit

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/secureclaw/secureclaw/internal/strict"
)

// segmentFields is what the first entry of a segment carries, so that a start reads one segment only.
type segmentFields struct {
	Segment    int      `json:"segment"`
	Checkpoint uint64   `json:"checkpoint"` // size of the last checkpoint, which ends the segment before
	Edge       []string `json:"edge"`       // right edge of the tree before this entry
	Open       []open   `json:"open"`       // intents that have no result yet
}

// open names an intent without a result.
type open struct {
	Call string `json:"call"`
	Seq  uint64 `json:"seq"`
}

// checkpointFields is what an audit.checkpoint entry says.
type checkpointFields struct {
	Size uint64 `json:"size"` // the entry's own number
}

// recoveredFields says what a crash left behind.
type recoveredFields struct {
	Segment    string `json:"segment,omitzero"`    // where a torn line was cut
	Bytes      int    `json:"bytes,omitzero"`      // its length
	SHA256     string `json:"sha256,omitzero"`     // its hash
	Checkpoint uint64 `json:"checkpoint,omitzero"` // an audit.checkpoint entry whose note was never written
}

func segmentName(n int) string { return fmt.Sprintf("audit-%06d.jsonl", n) }

// exists reports whether dir has segment n.
func exists(dir string, n int) bool {
	_, err := os.Stat(filepath.Join(dir, segmentName(n)))
	return err == nil
}

// listSegments returns how many segments dir has. A gap is damage.
func listSegments(dir string) (int, error) {
	files, err := os.ReadDir(dir)
	if err != nil {
		return 0, err
	}
	last, count := 0, 0
	for _, f := range files {
		text, ok := strings.CutPrefix(f.Name(), "audit-")
		text, ok2 := strings.CutSuffix(text, ".jsonl")
		n, err := strconv.Atoi(text)
		if !ok || !ok2 || err != nil || n < 1 || segmentName(n) != f.Name() {
			continue
		}
		last = max(last, n)
		count++
	}
	for n := 1; count < last && n <= last; n++ {
		if !exists(dir, n) {
			seq := firstAfter(dir, n-1)
			return 0, &Damage{Segment: segmentName(n), Seq: seq, Last: seq, Reason: "the segment is missing"}
		}
	}
	return last, nil
}

// firstAfter is the number that follows the last entry of segment n, 1 when there is none.
func firstAfter(dir string, n int) uint64 {
	f, err := os.Open(filepath.Join(dir, segmentName(n)))
	if err != nil {
		return 1
	}
	defer f.Close()
	lr, next := newLineReader(f), uint64(1)
	for {
		line, err := lr.next()
		if err != nil {
			return next
		}
		if h, ok := parseHeader(line); ok {
			next = h.seq + 1
		}
	}
}

// firstLine returns the header of the first entry of segment n.
func firstLine(dir string, n int) (header, error) {
	f, err := os.Open(filepath.Join(dir, segmentName(n)))
	if err != nil {
		return header{}, err
	}
	defer f.Close()
	line, err := newLineReader(f).next()
	if err != nil {
		return header{}, err
	}
	h, ok := parseHeader(line)
	if !ok {
		return header{}, errForm
	}
	return h, nil
}

func decodeFields[T any](raw []byte) (T, error) {
	var v T
	err := strict.Decode(raw, &v)
	return v, err
}
