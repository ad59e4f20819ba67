//go:build docker

package file_test

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/secureclaw/secureclaw/executor"
	"github.com/secureclaw/secureclaw/internal/run"
	"github.com/secureclaw/secureclaw/internal/strict"
)

// Every tool works as an unprivileged, unreadable process 1 with little memory and few threads, in
// the image as it ships but for the program, which is this tree's.
func TestContainer(t *testing.T) {
	program := filepath.Join(t.TempDir(), "executor")
	build := exec.Command("go", "build", "-trimpath", "-o", program, "../../cmd/executor-file")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	host := workspace(t, "rw")
	put(t, host, "sub/f", "needle\n")
	f := must(os.Create(host.Path + "/huge"))
	mustDo(t, f.Truncate(2<<30), f.Close())
	mustDo(t, os.Symlink("/executor", host.Path+"/link"), os.Symlink("/proc/1/environ", host.Path+"/environ"))
	mustDo(t, os.WriteFile(host.Path+"/owned", []byte("old\n"), 0o640))
	for _, name := range []string{"", "/sub", "/sub/f", "/huge", "/owned"} {
		mustDo(t, os.Chown(host.Path+name, 1000, 1000))
	}
	inside := run.Root{Name: "work", Path: "/workspace", Mode: "rw"}
	for name, tc := range map[string]struct {
		tool string
		in   any
		want string // in the line
	}{
		"read":            {run.ToolReadFile, run.ReadFile{Path: "/workspace/sub/f"}, `"content":"needle\n"`},
		"read far":        {run.ToolReadFile, run.ReadFile{Path: "/workspace/huge", Offset: 2}, `"binary":true`},
		"read a link":     {run.ToolReadFile, run.ReadFile{Path: "/workspace/environ"}, `"refused"`},
		"read the image":  {run.ToolReadFile, run.ReadFile{Path: "/etc/passwd"}, `"refused"`},
		"read process 1":  {run.ToolReadFile, run.ReadFile{Path: "/proc/1/environ"}, `"refused"`},
		"list":            {run.ToolListDirectory, run.ListDirectory{Path: "/workspace"}, `"name":"huge","size":2147483648`},
		"stat":            {run.ToolStat, run.Stat{Path: "/workspace/owned"}, `"mode":"-rw-r-----"`},
		"search":          {run.ToolSearchFiles, run.SearchFiles{Pattern: "needle", Path: "/workspace"}, `"path":"/workspace/sub/f"`},
		"search one file": {run.ToolSearchFiles, run.SearchFiles{Pattern: "needle", Path: "/workspace/sub/f"}, `"path":"/workspace/sub/f"`},
		"search process":  {run.ToolSearchFiles, run.SearchFiles{Pattern: "KEY", Path: "/proc/1"}, `"refused"`},
		"bad pattern":     {run.ToolSearchFiles, run.SearchFiles{Pattern: "(", Path: "/workspace"}, `unclosed group`},
		"write":           {run.ToolWriteFile, run.WriteFile{Path: "/workspace/new/deep/f", Content: "x\n", Mode: run.WriteCreate}, `"created":true`},
		"overwrite":       {run.ToolWriteFile, run.WriteFile{Path: "/workspace/owned", Content: "new\n", Mode: run.WriteOverwrite}, `-old\n+new\n`},
		"write too much":  {run.ToolWriteFile, run.WriteFile{Path: "/workspace/large", Content: strings.Repeat("x", 300<<10), Mode: run.WriteCreate}, "larger than the executor may write"},
	} {
		t.Run(name, func(t *testing.T) {
			key, line := envelope(t, tc.tool, tc.in, 10*time.Second, inside)
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			cmd := exec.CommandContext(ctx, "docker", "run", "--rm", "-i", "--network=none", "--read-only", "--user=1000:1000",
				"--cap-drop=ALL", "--security-opt=no-new-privileges", "--pids-limit=64", "--memory=128m", "--memory-swap=128m", "--ulimit=fsize=262144",
				"--tmpfs=/tmp:noexec,nosuid,nodev,size=16m,uid=1000,gid=1000,mode=700", "--log-driver=none",
				"--volume="+program+":/executor:ro", "--volume="+host.Path+":/workspace", "--env="+executor.KeyVariable+"="+key, "secureclaw/executor-file:latest")
			cmd.Stdin = bytes.NewReader(line)
			var stderr bytes.Buffer
			cmd.Stderr = &stderr
			raw, err := cmd.Output()
			var out run.Output
			if err == nil {
				err = strict.Decode(bytes.TrimSuffix(raw, []byte("\n")), &out)
			}
			if err != nil || !strings.Contains(string(raw), tc.want) {
				t.Errorf("%s %+v = %.500s (%v, stderr %s), want %s", tc.tool, tc.in, raw, err, stderr.String(), tc.want)
			}
		})
	}
	if names := must(filepath.Glob(host.Path + "/.secureclaw*")); len(names) != 0 {
		t.Errorf("left behind: %v", names)
	}
	if got := string(must(os.ReadFile(host.Path + "/owned"))); got != "new\n" {
		t.Errorf("owned = %q", got)
	}
}
