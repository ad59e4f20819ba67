package sandbox

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	cerrdefs "github.com/containerd/errdefs"
	api "github.com/moby/moby/api/types/container"
	"github.com/moby/moby/client"

	"github.com/secureclaw/secureclaw/internal/run"
	"github.com/secureclaw/secureclaw/internal/tunnel"
)

// namePrefix and a token's id make the name of a container that is started for a call. The engine takes a
// name once, which is a second fence against using a token twice.
const namePrefix = "secureclaw-"

// box is one created container and the way to talk to it.
type box struct {
	engine  *connection
	id      string
	name    string
	image   string // as it was called
	imageID string
	memory  int64
	ended   bool        // it exits by itself: its answer is there, or its stdin has ended
	bound   atomic.Bool // it has its one task
	waiting             // of a container that was started before its task came

	stream client.ContainerAttachResult
	out    *demux
	ear    *ear
	answer answer
	tunnel *tunnel.Host // of a web task that has begun
	once   sync.Once
	letGo  sync.Once // of the anchors
	pumps  sync.WaitGroup
}

// place finds all that a container of t needs beyond t, whose folders it resolves.
func (s *Sandbox) place(ctx context.Context, c *connection, t *Task) (place, *run.Refusal) {
	if refusal := s.resolve(ctx, c, t); refusal != nil {
		return place{}, refusal
	}
	image, refusal := s.image(ctx, c, t.Image)
	if refusal != nil {
		return place{}, refusal
	}
	// Last of all: what appears in a folder from here on is not covered, and costs the call its result.
	covers, refusal := s.hide(ctx, *t)
	if refusal != nil {
		return place{}, refusal
	}
	return place{
		imageID: image.id, entrypoint: image.entrypoint, instance: s.instance, boot: s.boot,
		deadline: time.Now().Add(t.Timeout), covers: covers,
	}, nil
}

// create makes the container of t at p, attached and compared with its request, not started. What it is to
// wait with is nil when t is its task already.
func (s *Sandbox) create(ctx context.Context, c *connection, t Task, p place, wait *waiting) (*box, *run.Refusal) {
	config, host := spec(t, p)

	b := &box{engine: c, name: namePrefix + t.ID, image: t.Image, imageID: p.imageID, memory: t.Memory}
	s.own(b.name)
	// Not the caller's ctx: an engine whose client hangs up in the middle makes the container all the
	// same, and tells nobody its id.
	createCtx, cancel := context.WithTimeout(context.WithoutCancel(ctx), changeTimeout)
	defer cancel()
	created, err := c.ContainerCreate(createCtx, client.ContainerCreateOptions{Config: config, HostConfig: host, Name: b.name})
	if err != nil {
		// It may exist all the same, when only the answer was lost.
		s.disown(b.name)
		if !cerrdefs.IsInvalidArgument(err) {
			s.dirty.Store(true)
		}
		return nil, s.failed(ctx, c, "create a container", err)
	}
	b.id = created.ID
	if wait != nil {
		b.waiting = *wait
		// Before we attach: who attaches as well is then the second.
		s.pool.watch(b)
	}
	if refusal := s.check(ctx, b, config, host, p); refusal != nil {
		s.pool.unwatch(b)
		s.remove(ctx, b)
		return nil, refusal
	}
	return b, nil
}

// check compares what the engine made with what was asked, and attaches.
func (s *Sandbox) check(ctx context.Context, b *box, config *api.Config, host *api.HostConfig, p place) *run.Refusal {
	got, err := b.inspect(ctx)
	if err != nil {
		return s.failed(ctx, b.engine, "show the container it made", err)
	}
	if diff := differences(config, host, p, *got); len(diff) > 0 {
		return &run.Refusal{
			Code: CodeFence,
			What: "The container engine did not put up every fence that was asked for, so nothing ran.",
			Why:  strings.Join(diff[:min(len(diff), 3)], "; ") + ".",
			Fix:  "Compare docker info with SecureClaw's requirements (swap and pids accounting, seccomp), and the image with images/: it may set no variables, volumes or health check.",
		}
	}
	attachCtx, cancel := context.WithTimeout(ctx, queryTimeout)
	defer cancel()
	b.stream, err = b.engine.ContainerAttach(attachCtx, b.id, client.ContainerAttachOptions{Stream: true, Stdin: true, Stdout: true, Stderr: true})
	if err != nil {
		return s.failed(ctx, b.engine, "attach to the container", err)
	}
	b.out = newDemux(b.stream.Reader)
	b.ear = newEar(b.out)
	b.pumps.Go(b.ear.listen)
	b.answer = make(answer, 1)
	return nil
}

// resolve refuses what the engine would read in another way than we mean it, and resolves the folders.
func (s *Sandbox) resolve(ctx context.Context, c *connection, t *Task) *run.Refusal {
	for name, n := range map[string]int64{
		"memory": t.Memory, "processors": t.NanoCPUs, "processes": t.Pids, "size of /tmp": t.Tmp, "size of files": t.FileSize, "time": int64(t.Timeout),
	} {
		if n <= 0 {
			return &run.Refusal{Code: CodeLimit, What: "The call has no limit for " + name + ", so nothing ran.", Why: "Container engines read zero as unlimited.", Fix: "Set the limit of this executor in secureclaw.yaml."}
		}
	}
	// More than there is would be an error of the engine's, and is no more anyway.
	t.NanoCPUs = min(t.NanoCPUs, int64(max(c.info.NCPU, 1))*1e9)
	if refusal := c.runtime(ctx, t.Runtime); refusal != nil {
		return refusal
	}
	mounts := make([]Mount, 0, len(t.Mounts))
	for _, m := range t.Mounts {
		source, err := folder(m.Source)
		if err != nil {
			return &run.Refusal{
				Code: CodeMount,
				What: fmt.Sprintf("The folder for %s cannot be mounted, so nothing ran.", m.Target),
				Why:  err.Error() + ".",
				Fix:  fmt.Sprintf("Create it (mkdir -p %q) or change its mount in secureclaw.yaml.", m.Source),
			}
		}
		m.Source = source
		mounts = append(mounts, m)
	}
	t.Mounts = mounts
	return nil
}

// folder resolves links once, here: the engine gets a path without any, and would otherwise make a
// missing folder, as root.
func folder(path string) (string, error) {
	if !filepath.IsAbs(path) {
		return "", fmt.Errorf("%q is not absolute", path)
	}
	resolved, err := filepath.EvalSymlinks(path)
	if errors.Is(err, os.ErrNotExist) {
		return "", fmt.Errorf("%q does not exist", path)
	}
	if err != nil {
		return "", err
	}
	info, err := os.Stat(resolved)
	if err != nil {
		return "", err
	}
	if !info.IsDir() {
		return "", fmt.Errorf("%q is no directory", path)
	}
	return resolved, nil
}

// start starts it, whole: a start that is broken off half-way leaves a container that resists its
// removal. Who cancelled meanwhile is asked before the task is handed over.
func (b *box) start(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), changeTimeout)
	defer cancel()
	_, err := b.engine.ContainerStart(ctx, b.id, client.ContainerStartOptions{})
	return err
}

// talk starts to write the envelope and to read the answer, at the same time: an executor that
// writes before it reads would otherwise block us both.
func (b *box) talk(envelope []byte) {
	b.pumps.Go(func() { b.answer.read(b.ear) })
	b.pumps.Go(func() {
		// Errors show as a missing answer. The newline goes last: half a task cannot run.
		if _, err := b.stream.Conn.Write(append(envelope[:len(envelope):len(envelope)], '\n')); err == nil {
			_ = b.stream.CloseWrite()
		}
	})
}

// bind gives the container to one task, the only one that it ever gets; false says that it has one.
func (b *box) bind() bool { return b.bound.CompareAndSwap(false, true) }

// hangUp closes the stream, which unblocks whoever reads or writes it.
func (b *box) hangUp() {
	b.once.Do(func() { b.stream.Close() })
}

// release hangs up and waits until nobody uses the stream any more.
func (b *box) release() {
	b.hangUp()
	if b.tunnel != nil {
		_ = b.tunnel.Close() // why it ended was told by the answer
	}
	b.pumps.Wait()
	// The keeper may compare the anchors at this moment, so they are closed and stay.
	b.letGo.Do(b.held.close)
}

// stderr is the head of what the executor said there. Only after release.
func (b *box) stderr() string { return string(b.out.stderr) }

// state waits until the container ended, and says how. Asked after the end of its stream, so
// "not running" is soon true and no exit can be missed.
func (b *box) state(ctx context.Context) (*api.State, error) {
	ctx, cancel := context.WithTimeout(ctx, queryTimeout)
	defer cancel()
	wait := b.engine.ContainerWait(ctx, b.id, client.ContainerWaitOptions{Condition: api.WaitConditionNotRunning})
	select {
	case <-wait.Result:
	case err := <-wait.Error:
		return nil, err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	got, err := b.inspect(ctx)
	if err != nil {
		return nil, err
	}
	return got.State, nil
}
