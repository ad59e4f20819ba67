package sandbox

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"time"

	"github.com/moby/moby/api/pkg/stdcopy"
	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/client"

	"github.com/secureclaw/secureclaw/internal/run"
)

// labelPlain marks a container of the baselines, with the process that made it.
const labelPlain = "org.secureclaw.plain"

// Work is what the baselines of the benchmarks do in a container of an image: a call's work by programs
// of that image, none of them ours.
type Work struct {
	Image string
	// Once does the work and ends with 0.
	Once []string
	// Waits is blocked on its input, writes each line of it back, and ends with it. Empty: there is none.
	Waits []string
	// Binds are folders and files of the host that the work reads, each as source and target.
	Binds [][2]string
	// Browser says that a browser is to run under its own sandbox, which the engine's usual filter forbids.
	Browser bool
}

// Plain is the time of one container made by plain API calls and none of our settings but the missing
// network: create, attach, start, read to the end, wait, remove.
func (s *Sandbox) Plain(ctx context.Context, w Work) (time.Duration, error) {
	c, refusal := s.engine.connect(ctx)
	if refusal != nil {
		return 0, refused(refusal)
	}
	begin := time.Now()
	made, err := w.create(ctx, c, w.Once, false)
	if err != nil {
		return 0, err
	}
	err = w.live(ctx, c, made)
	gone := removePlain(ctx, c, made)
	return time.Since(begin), errors.Join(err, gone)
}

// create asks for a container. One whose input is ours ends with us, however we end, and the engine removes it.
func (w Work) create(ctx context.Context, c *connection, program []string, input bool) (string, error) {
	config := &container.Config{
		Labels: map[string]string{labelPlain: strconv.Itoa(os.Getpid())},
		Image:  w.Image, Entrypoint: program[:1], Cmd: program[1:], Env: []string{"HOME=/tmp"},
		AttachStdout: true, AttachStderr: true, OpenStdin: input, StdinOnce: input, AttachStdin: input,
	}
	host := &container.HostConfig{NetworkMode: "none", AutoRemove: input}
	for _, b := range w.Binds {
		host.Binds = append(host.Binds, b[0]+":"+b[1]+":ro")
	}
	if w.Browser {
		host.SecurityOpt = []string{"seccomp=" + profile(kindWeb)}
	}
	// An engine that is no longer waited for creates all the same, and then nobody knows of it.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), changeTimeout)
	defer cancel()
	made, err := c.ContainerCreate(ctx, client.ContainerCreateOptions{Config: config, HostConfig: host})
	return made.ID, err
}

// live is everything between create and remove.
func (w Work) live(ctx context.Context, c *connection, id string) error {
	stream, err := c.ContainerAttach(ctx, id, client.ContainerAttachOptions{Stream: true, Stdout: true, Stderr: true})
	if err != nil {
		return err
	}
	defer stream.Close()
	defer context.AfterFunc(ctx, stream.Close)()
	wait := c.ContainerWait(ctx, id, client.ContainerWaitOptions{Condition: container.WaitConditionNextExit})
	if _, err := c.ContainerStart(ctx, id, client.ContainerStartOptions{}); err != nil {
		return err
	}
	var said bytes.Buffer
	if _, err := stdcopy.StdCopy(io.Discard, &said, stream.Reader); err != nil {
		return err
	}
	select {
	case end := <-wait.Result:
		return ended(w.Once, int(end.StatusCode), said.String())
	case err := <-wait.Error:
		return err
	}
}

// ended says what went wrong in a container: a program that could not work would be quick.
func ended(program []string, code int, said string) error {
	if code == 0 {
		return nil
	}
	return fmt.Errorf("%s ended with %d: %.300s", program[0], code, said)
}

func removePlain(ctx context.Context, c *connection, id string) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), changeTimeout)
	defer cancel()
	return forceRemove(ctx, c, id)
}

func refused(r *run.Refusal) error { return errors.New(r.What + " " + r.Why) }
