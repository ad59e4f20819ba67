package sandbox

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/secureclaw/secureclaw/internal/run"
)

// veil is what is bound over hidden things: an empty file and an empty folder that nobody may open.
// "Permission denied" is an honest answer; an empty file would be taken for the real one.
type veil struct {
	file string
	dir  string
}

// makeVeil makes the two in the private folder dir, or checks those that are there.
func makeVeil(dir string) (veil, error) {
	if !filepath.IsAbs(dir) {
		return veil{}, errors.New("the runner has no folder of its own")
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return veil{}, err
	}
	dir, err := filepath.EvalSymlinks(dir)
	if err != nil {
		return veil{}, err
	}
	v := veil{file: filepath.Join(dir, "file"), dir: filepath.Join(dir, "folder")}
	f, err := os.OpenFile(v.file, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0)
	if err == nil {
		err = f.Close()
	}
	if err != nil && !errors.Is(err, fs.ErrExist) {
		return veil{}, err
	}
	if err := os.Mkdir(v.dir, 0); err != nil && !errors.Is(err, fs.ErrExist) {
		return veil{}, err
	}
	for name, want := range map[string]fs.FileMode{v.file: 0, v.dir: fs.ModeDir} {
		info, err := os.Lstat(name)
		if err != nil {
			return veil{}, err
		}
		if info.Mode() != want || want == 0 && info.Size() != 0 {
			return veil{}, fmt.Errorf("%s is not as it was made (%v, %d bytes): remove it", name, info.Mode(), info.Size())
		}
	}
	return v, nil
}

// covers is what must be hidden from a task: for each of its mounts, and what to put over it. opened says
// that the task was shown something of it that others of its form do not see.
type covers struct {
	hidden [][]covered
	veil   veil
	opened bool
}

// hide finds what each mount of t hides, in the order of t.Mounts, and what to put over it. A mount
// that the call may write to hides nothing: the user has agreed to that very call.
func (s *Sandbox) hide(ctx context.Context, t Task) (covers, *run.Refusal) {
	search := scan{bounds: s.bounds, until: time.Now().Add(s.bounds.time)}
	all := make([][]covered, len(t.Mounts))
	for i, m := range t.Mounts {
		if m.Writable || len(m.Hide) == 0 {
			continue
		}
		found, refusal := search.mount(ctx, m, t.Shown)
		if refusal != nil {
			return covers{}, refusal
		}
		all[i] = found
	}
	if search.covers == 0 {
		return covers{hidden: all, opened: search.opened}, nil
	}
	v, err := makeVeil(s.dir)
	if err != nil {
		return covers{}, &run.Refusal{
			Code: CodeHide,
			What: "There is nothing to cover secrets with, so nothing ran.",
			Why:  fmt.Sprintf("%.300v.", err),
			Fix:  "Look at SecureClaw's state folder: it must be its own, and writable.",
		}
	}
	s.log.Debug("hidden", "call", t.Call, "covers", search.covers, "names", search.seen)
	return covers{all, v, search.opened}, nil
}

// exposed looks again when the call is over, and says why its result must not be passed on: a secret
// that was made meanwhile was never covered, and a cover falls when its file is replaced on the host,
// as editors do that save by renaming. A command may wait for that, but it has no other way out than
// its result.
func (s *Sandbox) exposed(ctx context.Context, t Task, before [][]covered) string {
	after, refusal := s.hide(context.WithoutCancel(ctx), t)
	if refusal != nil {
		return "It ended, but its result is withheld, for it may hold a secret. " + refusal.What + " " + refusal.Why
	}
	for i, m := range t.Mounts {
		known := make(map[hidden]bool, len(before[i]))
		for _, h := range before[i] {
			known[h.hidden] = true
		}
		for _, h := range after.hidden[i] {
			if !known[h.hidden] {
				return fmt.Sprintf("It ended, but its result is withheld: %.200q looks like a secret and was made or replaced meanwhile, so the call may have read it. Try again.", m.Target+"/"+h.rel)
			}
		}
	}
	return ""
}
