package executor_test

import (
	"context"
	"crypto/ed25519"
	"encoding/base64"
	"os"
	"strings"
	"time"

	"github.com/secureclaw/secureclaw/executor"
	"github.com/secureclaw/secureclaw/internal/capability"
	"github.com/secureclaw/secureclaw/internal/run"
	"github.com/secureclaw/secureclaw/internal/strict"
)

// One life of an executor: a signed task comes in on one line, and one line goes out.
func Example() {
	// The gateway's side.
	public, private, _ := ed25519.GenerateKey(nil)
	task, _ := strict.CanonicalOf(run.Task{
		Call: "call-7", Tool: "greet", Input: strict.Value(`{"name":"Ada"}`), TimeoutMS: 1000, OutputCap: 4096,
	})
	token, _ := capability.NewMinter(private, time.Now).Mint(capability.Claims{
		Audience: "shell", Tool: "greet", TaskSHA256: capability.TaskDigest(task), TimeoutMS: 1000, OutputCap: 4096,
		Memory: 64 << 20, CPUMillis: 1000, Pids: 64, Session: "s", Call: "call-7",
	})
	line, _ := strict.Encode(run.Envelope{Token: token, Task: task})

	// The container's side. A program gets stdin and stdout from executor.Seal.
	greet := func(_ context.Context, call executor.Call) executor.Answer {
		var in struct {
			Name string `json:"name"`
		}
		if err := strict.Decode(call.Input, &in); err != nil {
			return executor.Refused("arguments: %v", err)
		}
		return executor.Done("hello, " + in.Name)
	}
	options := executor.Options{
		Kind:   "shell",
		Stdin:  strings.NewReader(string(line) + "\n"),
		Stdout: os.Stdout,
		Key:    base64.StdEncoding.EncodeToString(public),
		Now:    time.Now,
		Tools:  map[string]executor.Tool{"greet": greet},
	}
	executor.Serve(options)

	// A token is for one task: with one letter changed, nothing runs.
	options.Stdin = strings.NewReader(strings.Replace(string(line), "Ada", "Eve", 1) + "\n")
	executor.Serve(options)
	// Output:
	// {"call":"call-7","status":"ok","value":"hello, Ada"}
	// {"call":"call-7","status":"refused","error":"token refused (task): signed for a task with digest a634e54490ff…, got 053456d0c905…"}
}
