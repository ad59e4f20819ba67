package runner

import (
	"context"
	"fmt"
	"time"

	"github.com/secureclaw/secureclaw/runner/internal/sandbox"
)

// PlainCall measures what a container of an executor's image costs without SecureClaw: the baseline
// of `secureclaw bench`. Options need Config, DockerHost, RuntimeDir and Log.
func PlainCall(ctx context.Context, o Options, kind string) (time.Duration, error) {
	exec, ok := o.Config.Executors[kind]
	if !ok {
		return 0, fmt.Errorf("no executor %q is configured", kind)
	}
	box := sandbox.New(sandbox.Options{Hosts: hosts(o), Instance: "bench", Boot: "bench", Log: o.Log})
	defer box.Close()
	return box.Plain(ctx, exec.Image)
}
