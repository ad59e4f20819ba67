//go:build docker

package sandbox

import (
	"bufio"
	"context"
	"io"
	"slices"
	"testing"
	"time"

	api "github.com/moby/moby/api/types/container"
	"github.com/moby/moby/client"

	"github.com/secureclaw/secureclaw/internal/run"
)

// BenchmarkRun holds a call, from the task to its result in hand, against the same container made
// by plain API calls: create, attach, start, write, read to the end, wait, remove. Both alternate
// in one run, so that the ratio means something on a busy machine. Goal: ratio ≤ 1.15.
func BenchmarkRun(b *testing.B) {
	bd := newBed(b)
	bd.do(b, bd.task(b, "echo", "warm"))
	plain(b, bd) // warm
	var base, ours, removed time.Duration
	b.ResetTimer()
	for b.Loop() {
		begin := time.Now()
		plain(b, bd)
		base += time.Since(begin)

		begin = time.Now()
		if got := bd.do(b, bd.task(b, "echo", "x")); got.Outcome != run.Finished {
			b.Fatalf("Run = %+v", got)
		}
		ours += time.Since(begin)
		bd.cleanups.Wait()
		removed += time.Since(begin)
	}
	n := float64(b.N)
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(float64(base.Milliseconds())/n, "plain-ms")
	b.ReportMetric(float64(ours.Milliseconds())/n, "result-ms")
	b.ReportMetric(float64(removed.Milliseconds())/n, "removed-ms")
	b.ReportMetric(float64(ours)/float64(base), "result/plain")
	b.ReportMetric(float64(removed)/float64(base), "removed/plain")
}

func plain(tb testing.TB, b *bed) {
	tb.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	t := b.task(tb, "echo", "x")
	image, refusal := b.Sandbox.image(ctx, mustConnect(tb, b), t.Image)
	if refusal != nil {
		tb.Fatal(*refusal)
	}
	config, host := spec(t, place{imageID: image.id, entrypoint: image.entrypoint})
	check := func(err error) {
		tb.Helper()
		if err != nil {
			tb.Fatal(err)
		}
	}
	made, err := b.c.ContainerCreate(ctx, client.ContainerCreateOptions{Config: config, HostConfig: host})
	check(err)
	stream, err := b.c.ContainerAttach(ctx, made.ID, client.ContainerAttachOptions{Stream: true, Stdin: true, Stdout: true, Stderr: true})
	check(err)
	wait := b.c.ContainerWait(ctx, made.ID, client.ContainerWaitOptions{Condition: api.WaitConditionNextExit})
	_, err = b.c.ContainerStart(ctx, made.ID, client.ContainerStartOptions{})
	check(err)
	_, err = stream.Conn.Write(append(t.Envelope, '\n'))
	check(err)
	check(stream.CloseWrite())
	_, err = bufio.NewReader(newDemux(stream.Reader)).ReadString('\n')
	check(err)
	_, err = io.Copy(io.Discard, stream.Reader)
	check(err)
	stream.Close()
	select {
	case <-wait.Result:
	case err := <-wait.Error:
		check(err)
	}
	_, err = b.c.ContainerRemove(ctx, made.ID, client.ContainerRemoveOptions{Force: true})
	check(err)
}

func mustConnect(tb testing.TB, b *bed) *connection {
	tb.Helper()
	c, refusal := b.engine.connect(context.Background())
	if refusal != nil {
		tb.Fatal(*refusal)
	}
	return c
}

// BenchmarkSpec is what building and comparing a request costs, without an engine.
func BenchmarkSpec(b *testing.B) {
	config, host := spec(exampleTask(), examplePlace())
	got := created(b, config, host, examplePlace())
	b.ReportAllocs()
	for b.Loop() {
		config, host := spec(exampleTask(), examplePlace())
		if diff := differences(config, host, examplePlace(), got); len(diff) > 0 {
			b.Fatal(diff)
		}
	}
}

// BenchmarkTake measures what it takes to find a waiting container and to see that nobody touched it: the
// engine is asked for image and container one after the other, or for both at once. Both alternate.
func BenchmarkTake(b *testing.B) {
	bd := newReadyBed(b, 32<<20)
	t := bd.task(b, "echo", "x")
	bd.expect(t)
	bd.wake()
	waiting := bd.waits(b, t)
	c := mustConnect(b, bd)
	take := func(g *glance) time.Duration {
		begin, asked := time.Now(), t
		if g != nil {
			if g = bd.glance(b.Context(), t); g.b != waiting {
				b.Fatalf("glance at %v, want the one that waits", g.b)
			}
			defer g.end()
		}
		if _, refusal := bd.place(b.Context(), c, &asked); refusal != nil {
			b.Fatal(*refusal)
		}
		if err := waiting.untouched(b.Context(), g); err != nil {
			b.Fatal(err)
		}
		return time.Since(begin)
	}
	var turns, once []time.Duration
	b.ResetTimer()
	for b.Loop() {
		turns = append(turns, take(nil))
		once = append(once, take(new(glance)))
	}
	slices.Sort(turns)
	slices.Sort(once)
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(float64(turns[len(turns)/2].Microseconds()), "in-turn-µs")
	b.ReportMetric(float64(once[len(once)/2].Microseconds()), "at-once-µs")
}
