package sandbox

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	cerrdefs "github.com/containerd/errdefs"
	"github.com/moby/moby/client"

	"github.com/secureclaw/secureclaw/internal/run"
)

// image is what a configured name stands for at this moment. The id is what runs: if the name
// moves between now and the start, the container is still the one that was looked at.
type image struct {
	id         string
	entrypoint []string
}

// image resolves name, and never pulls.
func (s *Sandbox) image(ctx context.Context, c *connection, name string) (image, *run.Refusal) {
	queryCtx, cancel := context.WithTimeout(ctx, queryTimeout)
	defer cancel()
	got, err := c.ImageInspect(queryCtx, name)
	if cerrdefs.IsNotFound(err) || cerrdefs.IsInvalidArgument(err) {
		return image{}, &run.Refusal{
			Code: CodeImage,
			What: "The executor's image is missing, so nothing ran.",
			Why:  fmt.Sprintf("The engine has no image %q, and images are never pulled during a call.", name),
			Fix:  "Run make images, or correct the image of this executor in secureclaw.yaml.",
		}
	}
	if err != nil {
		return image{}, s.failed(ctx, c, "show the executor's image", err)
	}
	if got.Config == nil || len(got.Config.Entrypoint) == 0 || !strings.HasPrefix(got.ID, "sha256:") {
		return image{}, &run.Refusal{
			Code: CodeImage,
			What: "The executor's image is not an executor, so nothing ran.",
			Why:  fmt.Sprintf("The image %q has no entry point.", name),
			Fix:  "Run make images, or correct the image of this executor in secureclaw.yaml.",
		}
	}
	return image{id: got.ID, entrypoint: got.Config.Entrypoint}, nil
}

// runtime refuses a runtime that the engine does not have. Asked again when it was missing at
// connect: it may have been installed since.
func (c *connection) runtime(ctx context.Context, name string) *run.Refusal {
	if name == "" {
		return nil
	}
	runtimes := c.info.Runtimes
	if _, ok := runtimes[name]; ok {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, queryTimeout)
	defer cancel()
	if fresh, err := c.Info(ctx, client.InfoOptions{}); err == nil {
		runtimes = fresh.Info.Runtimes
	}
	if _, ok := runtimes[name]; ok {
		return nil
	}
	return &run.Refusal{
		Code: CodeRuntime,
		What: fmt.Sprintf("The container runtime %q is not on this host, so nothing ran.", name),
		Why:  fmt.Sprintf("The engine knows %s, and a weaker one is never taken instead.", strings.Join(slices.Sorted(maps.Keys(runtimes)), ", ")),
		Fix:  fmt.Sprintf("Install %s and add it to the engine's runtimes, or change the executor's runtime in secureclaw.yaml.", name),
	}
}

// Engine says which engine answers ("Docker 28.2.2, API 1.51"), or what keeps us from it.
func (s *Sandbox) Engine(ctx context.Context) (string, *run.Refusal) {
	c, refusal := s.engine.connect(ctx)
	if refusal != nil {
		return "", refusal
	}
	pingCtx, cancel := context.WithTimeout(ctx, queryTimeout)
	defer cancel()
	if _, err := c.Ping(pingCtx, client.PingOptions{}); err != nil {
		return "", s.failed(ctx, c, "answer", err)
	}
	if s.dirty.Load() {
		s.Sweep(ctx)
	}
	return fmt.Sprintf("Docker %s, API %s", c.info.ServerVersion, c.ClientVersion()), nil
}

// Executor says which image a task of this name and runtime would run, or what keeps it from running.
func (s *Sandbox) Executor(ctx context.Context, name, runtime string) (imageID string, refusal *run.Refusal) {
	c, refusal := s.engine.connect(ctx)
	if refusal != nil {
		return "", refusal
	}
	found, refusal := s.image(ctx, c, name)
	if refusal != nil {
		return "", refusal
	}
	return found.id, c.runtime(ctx, runtime)
}
