package audit

import (
	"fmt"
	"testing"

	"golang.org/x/mod/sumdb/tlog"
)

// Our edge and the library's stored hashes are the same tree, at every size and after an export.
func TestTreeIsTheLibrarys(t *testing.T) {
	var stored []tlog.Hash
	reader := tlog.HashReaderFunc(func(indexes []int64) ([]tlog.Hash, error) {
		out := make([]tlog.Hash, len(indexes))
		for i, at := range indexes {
			out[i] = stored[at]
		}
		return out, nil
	})
	var tr tree
	for n := range int64(300) {
		line := fmt.Appendf(nil, "line %d", n)
		more, err := tlog.StoredHashes(n, line, reader)
		if err != nil {
			t.Fatal(err)
		}
		stored = append(stored, more...)
		tr.add(leafHash(line))
		want, err := tlog.TreeHash(n+1, reader)
		if err != nil {
			t.Fatal(err)
		}
		if got := tr.root(); got != want {
			t.Fatalf("root of %d lines = %v, want %v", n+1, got, want)
		}
		if tr, err = importTree(tr.size, tr.export()); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := importTree(3, tr.export()[:1]); err == nil {
		t.Error("importTree of 3 entries with one hash succeeded")
	}
}
