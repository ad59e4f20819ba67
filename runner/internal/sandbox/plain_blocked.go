package sandbox

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"time"

	"github.com/moby/moby/api/pkg/stdcopy"
	"github.com/moby/moby/client"
)

// This file holds the baselines whose container runs already when the clock starts.

// Blocked is a container that was started by plain API calls and is blocked on its input, which ends with
// us. Its lines are for one goroutine; Close ends it.
type Blocked struct {
	work   Work
	engine *connection
	id     string
	stream client.HijackedResponse
}

// Block starts one.
func (s *Sandbox) Block(ctx context.Context, w Work) (*Blocked, error) {
	c, refusal := s.engine.connect(ctx)
	if refusal != nil {
		return nil, refused(refusal)
	}
	id, err := w.create(ctx, c, w.Waits, true)
	if err != nil {
		return nil, err
	}
	stream, err := c.ContainerAttach(ctx, id, client.ContainerAttachOptions{Stream: true, Stdin: true, Stdout: true, Stderr: true})
	if err != nil {
		return nil, errors.Join(err, removePlain(ctx, c, id))
	}
	blocked := &Blocked{work: w, engine: c, id: id, stream: stream.HijackedResponse}
	if _, err := c.ContainerStart(ctx, id, client.ContainerStartOptions{}); err != nil {
		return nil, errors.Join(err, blocked.Close(ctx))
	}
	// A line of its own first: what is measured later is a program that waits, not one that still starts.
	if _, err := blocked.Line(ctx); err != nil {
		return nil, errors.Join(err, blocked.Close(ctx))
	}
	return blocked, nil
}

// Line is the time of one line in and the same line out.
func (w *Blocked) Line(ctx context.Context) (time.Duration, error) {
	defer context.AfterFunc(ctx, w.stream.Close)()
	want := []byte("one line\n")
	begin := time.Now()
	if _, err := w.stream.Conn.Write(want); err != nil {
		return 0, err
	}
	got, err := oneChunk(w.stream.Reader)
	took := time.Since(begin)
	if err == nil && !bytes.Equal(got, want) {
		err = errors.New(w.work.Waits[0] + " did not write its line back, but: " + string(got[:min(len(got), 300)]))
	}
	return took, err
}

// plainChunk reads one chunk of the engine's stream, whatever it is of.
func oneChunk(r io.Reader) ([]byte, error) {
	var header [headerBytes]byte
	if _, err := io.ReadFull(r, header[:]); err != nil {
		return nil, err
	}
	size := binary.BigEndian.Uint32(header[4:])
	if size > maxChunk {
		return nil, errChunk
	}
	data := make([]byte, size)
	_, err := io.ReadFull(r, data)
	return data, err
}

// Exec is the time of the work done in this container by the engine's exec: create, start attached, read
// to the end.
func (w *Blocked) Exec(ctx context.Context) (time.Duration, error) {
	begin := time.Now()
	made, err := w.engine.ExecCreate(ctx, w.id, client.ExecCreateOptions{AttachStdout: true, AttachStderr: true, Cmd: w.work.Once})
	if err != nil {
		return 0, err
	}
	stream, err := w.engine.ExecAttach(ctx, made.ID, client.ExecAttachOptions{})
	if err != nil {
		return 0, err
	}
	defer stream.Close()
	defer context.AfterFunc(ctx, stream.Close)()
	var said bytes.Buffer
	if _, err := stdcopy.StdCopy(io.Discard, &said, stream.Reader); err != nil {
		return 0, err
	}
	took := time.Since(begin)
	end, err := w.engine.ExecInspect(ctx, made.ID, client.ExecInspectOptions{})
	if err != nil {
		return 0, err
	}
	return took, ended(w.work.Once, end.ExitCode, said.String())
}

// Close removes the container.
func (w *Blocked) Close(ctx context.Context) error {
	w.stream.Close()
	return removePlain(ctx, w.engine, w.id)
}

// ID is the engine's name for it.
func (w *Blocked) ID() string { return w.id }
