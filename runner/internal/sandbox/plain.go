package sandbox

import (
	"context"
	"errors"
	"io"
	"time"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/client"

	"github.com/secureclaw/secureclaw/internal/run"
)

// Plain is the baseline of the benchmarks: the time of one container of the same image made by
// plain API calls and none of our settings but the missing network (create, attach, start, end of
// input, read to the end, wait, remove). The executor gets no task, says so, and ends.
func (s *Sandbox) Plain(ctx context.Context, image string) (time.Duration, error) {
	c, refusal := s.engine.connect(ctx)
	if refusal != nil {
		return 0, refused(refusal)
	}
	begin := time.Now()
	made, err := c.ContainerCreate(ctx, client.ContainerCreateOptions{
		Config:     &container.Config{Image: image, OpenStdin: true, StdinOnce: true, AttachStdin: true, AttachStdout: true, AttachStderr: true},
		HostConfig: &container.HostConfig{NetworkMode: "none"},
	})
	if err != nil {
		return 0, err
	}
	err = s.plainLife(ctx, c, made.ID)
	_, gone := c.ContainerRemove(context.WithoutCancel(ctx), made.ID, client.ContainerRemoveOptions{Force: true})
	return time.Since(begin), errors.Join(err, gone)
}

func (s *Sandbox) plainLife(ctx context.Context, c *connection, id string) error {
	stream, err := c.ContainerAttach(ctx, id, client.ContainerAttachOptions{Stream: true, Stdin: true, Stdout: true, Stderr: true})
	if err != nil {
		return err
	}
	defer stream.Close()
	wait := c.ContainerWait(ctx, id, client.ContainerWaitOptions{Condition: container.WaitConditionNextExit})
	if _, err := c.ContainerStart(ctx, id, client.ContainerStartOptions{}); err != nil {
		return err
	}
	if err := stream.CloseWrite(); err != nil {
		return err
	}
	if _, err := io.Copy(io.Discard, stream.Reader); err != nil {
		return err
	}
	select {
	case <-wait.Result:
		return nil
	case err := <-wait.Error:
		return err
	}
}

func refused(r *run.Refusal) error { return errors.New(r.What + " " + r.Why) }
