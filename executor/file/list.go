package file

import (
	"container/heap"
	"context"
	"errors"
	"io"
	"os"
	"slices"

	"golang.org/x/sys/unix"

	"github.com/secureclaw/secureclaw/executor"
	"github.com/secureclaw/secureclaw/internal/run"
	"github.com/secureclaw/secureclaw/internal/strict"
)

const (
	defaultEntries = 1000
	maxEntries     = 10_000
	entryOverhead  = 100 // bytes of JSON around an entry's names
	readAtOnce     = 1024
)

// list returns the first names of a directory in byte order and counts all of them.
func list(ctx context.Context, call executor.Call) executor.Answer {
	var in run.ListDirectory
	if err := strict.Decode(call.Input, &in); err != nil {
		return executor.Refused("arguments: %v", err)
	}
	if in.Limit < 0 {
		return executor.Refused("limit %d must not be negative", in.Limit)
	}
	if in.Limit == 0 {
		in.Limit = defaultEntries
	}
	dir, err := call.Roots.Open(in.Path, unix.O_RDONLY|unix.O_DIRECTORY)
	if err != nil {
		return executor.AnswerTo(err)
	}
	defer dir.Close()
	names, total, err := firstNames(ctx, dir, min(in.Limit, maxEntries))
	if err != nil && !isOver(err) {
		return executor.AnswerTo(executor.Explain(in.Path, err))
	}
	result := run.ListDirectoryResult{Path: in.Path, Entries: []run.Entry{}, Total: total}
	for room := call.Cap; len(result.Entries) < len(names); {
		if err == nil {
			err = ctx.Err()
		}
		base := names[len(result.Entries)]
		var st unix.Stat_t
		if failed := unix.Fstatat(int(dir.Fd()), base, &st, unix.AT_SYMLINK_NOFOLLOW); failed != nil {
			if errors.Is(failed, unix.ENOENT) { // removed since it was listed
				names = slices.Delete(names, len(result.Entries), len(result.Entries)+1)
				result.Total--
				continue
			}
			return executor.AnswerTo(executor.Explain(in.Path, failed))
		}
		e := entry(dir, base, &st)
		if room -= len(e.Name) + len(e.Target) + entryOverhead; room < 0 || err != nil {
			break
		}
		result.Entries = append(result.Entries, e)
	}
	result.Truncated = len(result.Entries) < result.Total
	if isOver(err) {
		result.Truncated = true
		return executor.TimedOut(result, "%q could not be listed within the time limit", in.Path)
	}
	return executor.Done(result)
}

func isOver(err error) bool {
	return errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled)
}

// firstNames returns the first names in byte order, at most limit of them, and how many there are.
// It holds no more than that, however large the directory is.
func firstNames(ctx context.Context, dir *os.File, limit int) (names []string, total int, err error) {
	var kept largestFirst
	for {
		if err = ctx.Err(); err != nil {
			break
		}
		var chunk []string
		chunk, err = dir.Readdirnames(readAtOnce)
		for _, n := range chunk {
			total++
			if len(kept) < limit {
				heap.Push(&kept, n)
			} else if n < kept[0] {
				kept[0] = n
				heap.Fix(&kept, 0)
			}
		}
		if errors.Is(err, io.EOF) {
			err = nil
			break
		}
		if err != nil {
			break
		}
	}
	slices.Sort(kept)
	return kept, total, err
}

// largestFirst is a heap.Interface.
type largestFirst []string

func (h largestFirst) Len() int           { return len(h) }
func (h largestFirst) Less(i, j int) bool { return h[i] > h[j] }
func (h largestFirst) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }
func (h *largestFirst) Push(x any)        { *h = append(*h, x.(string)) }
func (h *largestFirst) Pop() any {
	last := (*h)[len(*h)-1]
	*h = (*h)[:len(*h)-1]
	return last
}
