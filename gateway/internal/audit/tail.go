package audit

import (
	"bytes"
	"context"
	"io"
	"iter"
	"os"
	"path/filepath"
	"time"
)

// pollEvery is how often a follower in another process looks for new lines.
const pollEvery = 100 * time.Millisecond

// Tail returns the last n entries of the log in dir, oldest first, and with follow every further
// one until ctx ends, which is not an error. It needs no lock.
func Tail(ctx context.Context, dir string, n int, follow bool) iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) {
		c, err := lastLines(dir, n)
		if err != nil {
			yield(Entry{}, err)
			return
		}
		defer c.close()
		poll := time.NewTicker(pollEvery)
		defer poll.Stop()
		for ctx.Err() == nil {
			line, _, err := c.next()
			if err == io.EOF {
				if !follow {
					return
				}
				select {
				case <-poll.C:
				case <-ctx.Done():
				}
				continue
			}
			var e Entry
			if err == nil {
				e, err = DecodeEntry(line)
			}
			if !yield(e, err) || err != nil {
				return
			}
		}
	}
}

// lastLines opens a cursor n lines before the end.
func lastLines(dir string, n int) (*cursor, error) {
	c, err := openCursor(dir, 1<<63)
	if err != nil {
		return nil, err
	}
	for {
		at, found, err := fromEnd(c.file, n)
		if err != nil {
			c.close()
			return nil, err
		}
		if found >= n || c.segment == 1 {
			_, err = c.file.Seek(at, io.SeekStart)
			return c, err
		}
		n -= found
		c.segment--
		prev, err := os.Open(filepath.Join(dir, segmentName(c.segment)))
		if err != nil {
			c.close()
			return nil, err
		}
		c.close()
		c.file, c.lr = prev, newLineReader(prev)
	}
}

// fromEnd returns where the last n whole lines of f begin, and how many there are if it has fewer.
func fromEnd(f *os.File, n int) (at int64, found int, err error) {
	info, err := f.Stat()
	if err != nil {
		return 0, 0, err
	}
	block := make([]byte, 64<<10)
	for end := info.Size(); end > 0; {
		from := max(0, end-int64(len(block)))
		part := block[:end-from]
		if _, err := f.ReadAt(part, from); err != nil && err != io.EOF {
			return 0, 0, err
		}
		for i := len(part); ; {
			i = bytes.LastIndexByte(part[:i], '\n')
			if i < 0 {
				break
			}
			// The newline before the first line wanted ends the line before it.
			if found == n {
				return from + int64(i) + 1, n, nil
			}
			found++
		}
		end = from
	}
	return 0, found, nil
}

// Subscribe sends every entry with a number greater than after, first those on disk, then each new
// one as soon as it is durable. The channel is closed when ctx ends or the log is closed. A slow
// receiver delays nobody: entries are read from the disk when it asks.
func (l *Log) Subscribe(ctx context.Context, after uint64) <-chan Entry {
	out := make(chan Entry)
	go func() {
		defer close(out)
		c, err := openCursor(l.dir, after)
		if err != nil {
			l.w.o.Log.Error("audit subscription", "err", err)
			return
		}
		defer c.close()
		for seq := after; ; {
			l.mu.Lock()
			durable, grown := l.durable, l.grown
			l.mu.Unlock()
			for seq < durable {
				line, h, err := c.next()
				var e Entry
				if err == nil && h.seq <= seq {
					continue
				}
				if err == nil {
					e, err = DecodeEntry(line)
				}
				if err != nil {
					l.w.o.Log.Error("audit subscription", "err", err)
					return
				}
				select {
				case out <- e:
					seq = e.Seq
				case <-ctx.Done():
					return
				}
			}
			select {
			case <-grown:
			case <-l.stopped:
				l.mu.Lock()
				done := seq >= l.durable
				l.mu.Unlock()
				if done {
					return
				}
			case <-ctx.Done():
				return
			}
		}
	}()
	return out
}
