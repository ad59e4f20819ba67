package audit

import (
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"math/bits"

	"golang.org/x/mod/sumdb/tlog"
)

// tree is the right edge of the RFC 6962 Merkle tree over the lines: one hash for each 1 bit of
// its size, the largest subtree first. That is all one needs to append and to know the head, so
// nothing is recomputed when the log grows.
type tree struct {
	size uint64
	edge []tlog.Hash
}

func (t *tree) add(leaf tlog.Hash) {
	for n := t.size; n&1 == 1; n >>= 1 {
		last := len(t.edge) - 1
		leaf = tlog.NodeHash(t.edge[last], leaf)
		t.edge = t.edge[:last]
	}
	t.edge = append(t.edge, leaf)
	t.size++
}

func (t *tree) root() tlog.Hash {
	if t.size == 0 {
		return sha256.Sum256(nil)
	}
	last := len(t.edge) - 1
	h := t.edge[last]
	for i := last - 1; i >= 0; i-- {
		h = tlog.NodeHash(t.edge[i], h)
	}
	return h
}

// export writes the edge for the first entry of a segment, so that a start reads one segment only.
func (t *tree) export() []string {
	out := make([]string, len(t.edge))
	for i, h := range t.edge {
		out[i] = h.String()
	}
	return out
}

func importTree(size uint64, edge []string) (tree, error) {
	t := tree{size: size}
	if len(edge) != bits.OnesCount64(size) {
		return t, fmt.Errorf("a tree of %d entries has %d edge hashes, not %d", size, bits.OnesCount64(size), len(edge))
	}
	for _, s := range edge {
		b, err := base64.StdEncoding.DecodeString(s)
		if err != nil || len(b) != tlog.HashSize {
			return t, fmt.Errorf("edge hash %.60q is not one", s)
		}
		t.edge = append(t.edge, tlog.Hash(b))
	}
	return t, nil
}
