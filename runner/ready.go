package runner

import (
	"runtime"
	"time"

	"github.com/secureclaw/secureclaw/internal/capability"
	"github.com/secureclaw/secureclaw/internal/config"
	"github.com/secureclaw/secureclaw/internal/run"
	"github.com/secureclaw/secureclaw/internal/strict"
	"github.com/secureclaw/secureclaw/runner/internal/sandbox"
)

// maxStarts is how many containers are started at once.
func maxStarts() int { return max(2, runtime.NumCPU()) }

// usual are tasks like those that calls bring most: a command and a reader that run unasked, a search, a page. Containers
// are kept ready for them before the first call. They are made by the very code that clips a call, so
// that they get what a call would get; what cannot be clipped is no usual call.
func (s *server) usual() []sandbox.Task {
	if s.config.Runner.Ready.Memory == 0 {
		return nil
	}
	var tasks []sandbox.Task
	for _, u := range []struct {
		kind, tool string
		input      any
		all        bool // sees each mount of its executor, else the first
	}{
		{"shell", run.ToolShell, run.Shell{}, true},
		{"file", run.ToolReadFile, run.ReadFile{}, false},
		{"file", run.ToolSearchFiles, run.SearchFiles{}, false},
		{kindWeb, run.ToolBrowse, run.Browse{URL: usualPage}, false},
	} {
		executor, ok := s.config.Executors[u.kind]
		if !ok {
			continue
		}
		if t, ok := s.usualTask(u.kind, u.tool, u.input, executor, u.all); ok {
			tasks = append(tasks, t)
		}
	}
	return tasks
}

// usualPage stands for any: a page's names are no part of its container.
const (
	usualHost = "www.example.com"
	usualPage = "https://" + usualHost + "/"
)

func (s *server) usualTask(kind, tool string, input any, executor config.Executor, all bool) (sandbox.Task, bool) {
	claims := capability.Claims{
		Audience: kind, Tool: tool, TimeoutMS: time.Duration(executor.Timeout).Milliseconds(), OutputCap: int64(executor.OutputCap),
		Memory: int64(executor.Memory), CPUMillis: millis(executor.CPUs), Pids: executor.Pids,
	}
	if kind == kindWeb {
		claims.Domains = []string{usualHost}
	}
	body, err := strict.CanonicalOf(input)
	if err != nil {
		return sandbox.Task{}, false
	}
	task := run.Task{Tool: tool, Input: body, TimeoutMS: claims.TimeoutMS, OutputCap: int(claims.OutputCap)}
	names := executor.Mounts
	if kind == kindWeb {
		names = nil
	} else if !all && len(names) > 1 {
		names = names[:1]
	}
	for _, name := range names {
		claims.Mounts = append(claims.Mounts, capability.Mount{Name: name, Mode: "ro"})
		for _, m := range s.config.Mounts {
			if m.Name == name {
				task.Roots = append(task.Roots, run.Root{Name: name, Path: m.Container, Mode: "ro"})
			}
		}
	}
	raw, err := strict.CanonicalOf(task)
	if err != nil {
		return sandbox.Task{}, false
	}
	clipped, _, refusal := clip(s.config, claims, raw)
	if refusal != nil {
		return sandbox.Task{}, false
	}
	clipped.VerifyKey = s.key
	return clipped, true
}
