package audit

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"
)

func TestVerifyWhileWriting(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "audit")
	l := opened(t, dir, Options{SegmentBytes: 40 << 10})
	done := make(chan struct{})
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 250 { // a writer without end would outrun a reader that the race detector slows
				select {
				case <-done:
					return
				default:
					if _, err := l.Append(context.Background(), Record{Kind: KindMessage}); err != nil {
						t.Error(err)
						return
					}
				}
			}
		})
	}
	for end := time.Now().Add(time.Second); time.Now().Before(end); {
		if r, err := Verify(t.Context(), dir, testPub(), VerifyOptions{Witness: l.Head().Note}); err != nil {
			t.Errorf("Verify beside a writer = %v, after %+v", err, r)
			break
		}
	}
	close(done)
	wg.Wait()
	closed(t, l)
	verified(t, dir)
}

func TestNoteIsFlushed(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "audit")
	l := opened(t, dir, Options{})
	start := time.Now()
	sub := l.Subscribe(t.Context(), 2)
	if err := l.Note(Record{Kind: KindModel}); err != nil {
		t.Fatal(err)
	}
	e := <-sub
	if took := time.Since(start); e.Kind != KindModel || took > 2*time.Second {
		t.Errorf("the note was durable after %v as %+v", took, e)
	}
	data, _ := os.ReadFile(filepath.Join(dir, segmentName(1)))
	if !bytes.Contains(data, []byte(`"kind":"model"`)) {
		t.Error("the note is not in the file")
	}
}
