package runner

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"log/slog"
	"path/filepath"
	"time"

	"github.com/secureclaw/secureclaw/runner/internal/sandbox"
)

// Plain does an executor's work in containers of the same image without SecureClaw, and by programs of the
// image alone: the baselines of `secureclaw bench`. Close ends it.
type Plain struct {
	box  *sandbox.Sandbox
	work sandbox.Work

	blocked *sandbox.Blocked
}

// PlainFile is the name of the file that a plain container of kind file reads, in its folder.
const PlainFile = "a.txt"

// NewPlain returns the baselines of a kind. Options need Config, DockerHost, RuntimeDir and Log. What a
// container reads lies in folder: [PlainFile], and for the browser a file policy.json, which stands in
// for the image's own, since that forbids the page by which Chromium prints what it loaded.
func NewPlain(o Options, kind, folder string) (*Plain, error) {
	exec, ok := o.Config.Executors[kind]
	if !ok {
		return nil, fmt.Errorf("no executor %q is configured", kind)
	}
	work := sandbox.Work{Image: exec.Image}
	switch kind {
	case "shell":
		work.Once, work.Waits = []string{"/bin/true"}, []string{"/bin/cat"}
	case "file":
		work.Once = []string{"/usr/bin/rg", "--no-config", "--no-filename", "^", "/workspace/" + PlainFile}
		work.Waits = []string{"/usr/bin/rg", "--no-config", "--line-buffered", "^", "-"}
		work.Binds = [][2]string{{folder, "/workspace"}}
	case "web":
		work.Once = []string{"/usr/lib/chromium/chromium", "--headless=new", "--disable-gpu", "--disable-software-rasterizer", "--user-data-dir=/tmp/profile", "--dump-dom", "about:blank"}
		work.Binds = [][2]string{{filepath.Join(folder, "policy.json"), "/etc/chromium/policies/managed/secureclaw.json"}}
		work.Browser = true
	default:
		return nil, fmt.Errorf("nothing is known to compare %q with", kind)
	}
	return &Plain{box: plainBox(o), work: work}, nil
}

// plainBox has a name of its own: a Sandbox sweeps away what nobody owns of its installation's.
func plainBox(o Options) *sandbox.Sandbox {
	log := o.Log
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	return sandbox.New(sandbox.Options{Hosts: hosts(o), Instance: "bench", Boot: "bench", Log: log})
}

// Call makes a container, runs its program to the end and removes it.
func (p *Plain) Call(ctx context.Context) (time.Duration, error) { return p.box.Plain(ctx, p.work) }

// Block starts a container that waits, for [Plain.Exec] and [Plain.Line]. False: the image has no program for it.
func (p *Plain) Block(ctx context.Context) (bool, error) {
	if p.blocked != nil || len(p.work.Waits) == 0 {
		return p.blocked != nil, nil
	}
	var err error
	p.blocked, err = p.box.Block(ctx, p.work)
	return err == nil, err
}

// Exec runs the program in the container that waits, as those do who share one.
func (p *Plain) Exec(ctx context.Context) (time.Duration, error) { return p.blocked.Exec(ctx) }

// Line sends the container that waits one line and takes it back.
func (p *Plain) Line(ctx context.Context) (time.Duration, error) { return p.blocked.Line(ctx) }

// Close removes the container that waits, also when ctx has ended.
func (p *Plain) Close(ctx context.Context) error {
	defer p.box.Close()
	if p.blocked == nil {
		return nil
	}
	return p.blocked.Close(ctx)
}

// Weight is what one waiting container holds of the memory, in bytes; 0 is what cannot be seen here.
type Weight struct {
	Kind              string
	Cgroup, PSS, Shim int64
}

// Weigh looks at the containers of the runner whose StateDir is that of the options.
func Weigh(ctx context.Context, o Options) ([]Weight, error) {
	b := plainBox(o)
	defer b.Close()
	kinds := make(map[string]string)
	for kind, exec := range o.Config.Executors {
		kinds[b.ImageID(ctx, exec.Image)] = kind
	}
	weights, err := b.Weigh(ctx, instanceOf(o.StateDir))
	if err != nil {
		return nil, err
	}
	var out []Weight
	for _, w := range weights {
		out = append(out, Weight{Kind: kinds[w.Image], Cgroup: w.Cgroup, PSS: w.PSS, Shim: w.Shim})
	}
	return out, nil
}

// instanceOf names an installation on its engine.
func instanceOf(stateDir string) string {
	sum := sha256.Sum256([]byte(filepath.Clean(stateDir)))
	return hex.EncodeToString(sum[:8])
}
