package dispatch_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/secureclaw/secureclaw/gateway/internal/claw"
	"github.com/secureclaw/secureclaw/gateway/internal/dispatch"
	"github.com/secureclaw/secureclaw/gateway/internal/gate"
	"github.com/secureclaw/secureclaw/internal/capability"
	"github.com/secureclaw/secureclaw/internal/config"
	"github.com/secureclaw/secureclaw/internal/run"
	"github.com/secureclaw/secureclaw/internal/strict"
	"github.com/secureclaw/secureclaw/internal/wire"
)

func settings() *config.Config {
	exec := config.Executor{Memory: 64 << 20, CPUs: 0.5, Pids: 64, Timeout: config.Duration(time.Minute), OutputCap: 64 << 10, Mounts: []string{"workspace", "notes"}}
	return &config.Config{
		Executors: map[string]config.Executor{"shell": exec, "file": exec},
		Mounts: []config.Mount{
			{Name: "workspace", Host: "/srv/w", Container: "/workspace", Mode: "rw"},
			{Name: "notes", Host: "/srv/n", Container: "/notes", Mode: "ro"},
			{Name: "secret", Host: "/srv/s", Container: "/secret", Mode: "rw"}, // no executor may see it
		},
	}
}

func tool(t testing.TB, name string) gate.Tool {
	t.Helper()
	for _, tool := range dispatch.New(dispatch.Options{Config: settings()}).Tools() {
		if tool.Spec().Name == name {
			return tool
		}
	}
	t.Fatalf("no tool %q", name)
	return nil
}

func TestPrepareCleansOnceAndGrantsOnlyWhatIsNamed(t *testing.T) {
	ro, rw := "ro", "rw"
	for name, tc := range map[string]struct {
		tool, in, want string
		mounts         []claw.MountGrant
	}{
		"relative path":       {run.ToolReadFile, `{"path":"a.txt"}`, `{"path":"/workspace/a.txt"}`, []claw.MountGrant{{Name: "workspace", Mode: ro}}},
		"dots that stay":      {run.ToolReadFile, `{"path":"/workspace/x/../.env"}`, `{"path":"/workspace/.env"}`, []claw.MountGrant{{Name: "workspace", Mode: ro}}},
		"the other mount":     {run.ToolReadFile, `{"path":"/notes/n"}`, `{"path":"/notes/n"}`, []claw.MountGrant{{Name: "notes", Mode: ro}}},
		"from mount to mount": {run.ToolReadFile, `{"path":"../notes/n"}`, `{"path":"/notes/n"}`, []claw.MountGrant{{Name: "notes", Mode: ro}}},
		"write":               {run.ToolWriteFile, `{"path":"a","content":"x"}`, `{"content":"x","mode":"create","path":"/workspace/a"}`, []claw.MountGrant{{Name: "workspace", Mode: rw}}},
		"search the default":  {run.ToolSearchFiles, `{"pattern":"x"}`, `{"path":"/workspace","pattern":"x"}`, []claw.MountGrant{{Name: "workspace", Mode: ro}}},
		"shell reads": {run.ToolShell, `{"command":"ls"}`, `{"access":"read","command":"ls","timeout_seconds":30,"working_directory":"/workspace"}`,
			[]claw.MountGrant{{Name: "workspace", Mode: ro}, {Name: "notes", Mode: ro}}},
		"shell writes where it stands": {run.ToolShell, `{"command":"ls","access":"write","timeout_seconds":5,"working_directory":"sub"}`,
			`{"access":"write","command":"ls","timeout_seconds":5,"working_directory":"/workspace/sub"}`,
			[]claw.MountGrant{{Name: "workspace", Mode: rw}, {Name: "notes", Mode: ro}}},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := tool(t, tc.tool).Prepare([]byte(tc.in))
			if err != nil {
				t.Fatalf("Prepare(%s): %v", tc.in, err)
			}
			if string(got.Input) != tc.want {
				t.Errorf("Prepare(%s) = %s, want %s", tc.in, got.Input, tc.want)
			}
			if diff := cmp.Diff(tc.mounts, got.Mounts); diff != "" {
				t.Errorf("mounts of %s (-want +got):\n%s", tc.in, diff)
			}
		})
	}
}

func TestPrepareRefuses(t *testing.T) {
	for name, tc := range map[string]struct{ tool, in, want string }{
		"dots that climb out":      {run.ToolReadFile, `{"path":"../../etc/passwd"}`, "outside"},
		"absolute and outside":     {run.ToolReadFile, `{"path":"/etc/passwd"}`, "outside"},
		"a name that only begins":  {run.ToolReadFile, `{"path":"/workspace2/a"}`, "outside"},
		"a mount not for it":       {run.ToolReadFile, `{"path":"/secret/a"}`, "outside"},
		"NUL":                      {run.ToolReadFile, `{"path":"a\u0000b"}`, "NUL"},
		"write to a read-only one": {run.ToolWriteFile, `{"path":"/notes/a","content":"x"}`, "read-only"},
		"unknown mode":             {run.ToolWriteFile, `{"path":"a","content":"x","mode":"force"}`, "mode"},
		"unknown field":            {run.ToolReadFile, `{"path":"a","follow_links":true}`, "unknown"},
		"another letter case":      {run.ToolReadFile, `{"Path":"a"}`, "unknown"},
		"duplicate key":            {run.ToolReadFile, `{"path":"a","path":"b"}`, "duplicate"},
		"wrong type":               {run.ToolReadFile, `{"path":["a"]}`, "path"},
		"negative":                 {run.ToolReadFile, `{"path":"a","limit":-1}`, "limit"},
		"no pattern":               {run.ToolSearchFiles, `{"path":"a"}`, "pattern"},
		"no command":               {run.ToolShell, `{"command":"  "}`, "command"},
		"unknown access":           {run.ToolShell, `{"command":"ls","access":"root"}`, "access"},
		"too long":                 {run.ToolShell, `{"command":"ls","timeout_seconds":61}`, "timeout_seconds"},
		"negative time":            {run.ToolShell, `{"command":"ls","timeout_seconds":-1}`, "timeout_seconds"},
		"writes in a read-only":    {run.ToolShell, `{"command":"ls","access":"write","working_directory":"/notes"}`, "read-only"},
		"works outside":            {run.ToolShell, `{"command":"ls","working_directory":"/etc"}`, "outside"},
		"no JSON":                  {run.ToolShell, `rm -rf /`, "invalid"},
		"cut":                      {run.ToolShell, `{"command":"ls`, "EOF"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := tool(t, tc.tool).Prepare([]byte(tc.in))
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("Prepare(%s) = %s, %v; want an error with %q", tc.in, got.Input, err, tc.want)
			}
		})
	}
}

// Whatever the path says, the action stays below a mount of the executor, and preparing its own
// canonical input again changes nothing.
func TestPreparedPathsStayInside(t *testing.T) {
	read := tool(t, run.ToolReadFile)
	rapid.Check(t, func(rt *rapid.T) {
		parts := rapid.SliceOfN(rapid.SampledFrom([]string{"..", ".", "", "workspace", "notes", "etc", "a", ".env", "workspace2"}), 0, 8).Draw(rt, "parts")
		p := strings.Join(parts, "/")
		if rapid.Bool().Draw(rt, "absolute") {
			p = "/" + p
		}
		in, err := json.Marshal(map[string]string{"path": p})
		if err != nil {
			rt.Fatal(err)
		}
		action, err := read.Prepare(in)
		if err != nil {
			return
		}
		var args run.ReadFile
		if err := strict.Decode(action.Input, &args); err != nil {
			rt.Fatal(err)
		}
		if !strings.HasPrefix(args.Path+"/", "/workspace/") && !strings.HasPrefix(args.Path+"/", "/notes/") || strings.Contains(args.Path, "..") {
			rt.Fatalf("Prepare(%q) leads to %q", p, args.Path)
		}
		again, err := read.Prepare(action.Input)
		if err != nil || !bytes.Equal(again.Input, action.Input) {
			rt.Fatalf("Prepare(%s) again = %s, %v", action.Input, again.Input, err)
		}
	})
}

// The schemas that a model is shown name exactly the fields of the types that are parsed.
func TestSchemasFitTheTypes(t *testing.T) {
	types := map[string]any{
		run.ToolReadFile: run.ReadFile{}, run.ToolWriteFile: run.WriteFile{}, run.ToolListDirectory: run.ListDirectory{},
		run.ToolSearchFiles: run.SearchFiles{}, run.ToolStat: run.Stat{}, run.ToolShell: run.Shell{}, run.ToolSendFile: run.SendFile{}, run.ToolBrowse: run.Browse{},
	}
	tools := dispatch.New(dispatch.Options{Config: browsing()}).Tools()
	if len(tools) != len(types) {
		t.Errorf("%d tools, want %d", len(tools), len(types))
	}
	for _, tool := range tools {
		spec := tool.Spec()
		var schema struct {
			Type                 string         `json:"type"`
			AdditionalProperties bool           `json:"additionalProperties"`
			Required             []string       `json:"required"`
			Properties           map[string]any `json:"properties"`
		}
		if err := strict.Decode(spec.Schema, &schema); err != nil || schema.Type != "object" || schema.AdditionalProperties {
			t.Errorf("schema of %s = %s, %v", spec.Name, spec.Schema, err)
		}
		var fields []string
		for f := range reflect.TypeOf(types[spec.Name]).Fields() {
			name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
			fields = append(fields, name)
			if schema.Properties[name] == nil {
				t.Errorf("schema of %s lacks %q", spec.Name, name)
			}
		}
		if len(fields) != len(schema.Properties) {
			t.Errorf("schema of %s has %d properties, its type %d fields", spec.Name, len(schema.Properties), len(fields))
		}
	}
}

// peer is a runner that does what a test says, on a real socket.
func peer(t testing.TB, answer func(order *run.Order, conn *wire.Conn)) (socket string) {
	t.Helper()
	socket = filepath.Join(t.TempDir(), "run", "r.sock")
	ln, err := wire.Listen(socket, wire.Hello{Role: "runner", Program: "test"})
	if err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	serve := func(pending *wire.Pending) {
		conn, err := pending.Handshake()
		if err != nil {
			return
		}
		defer conn.Close()
		defer context.AfterFunc(t.Context(), func() { _ = conn.Close() })()
		var req run.Request
		if err := conn.Receive(&req); err == nil && req.Run != nil {
			answer(req.Run, conn)
		}
	}
	all.Go(func() {
		for {
			pending, err := ln.Accept()
			if err != nil {
				return
			}
			all.Go(func() { serve(pending) })
		}
	})
	t.Cleanup(func() { _ = ln.Close(); all.Wait() })
	return socket
}

func call(t *testing.T, ctx context.Context, socket string) claw.ToolResult {
	t.Helper()
	return callTool(t, ctx, socket, settings(), run.ToolReadFile, `{"path":"a"}`)
}

func callTool(t *testing.T, ctx context.Context, socket string, cfg *config.Config, name, input string) claw.ToolResult {
	t.Helper()
	key, err := capability.DeriveKey(strings.Repeat("k", 40))
	if err != nil {
		t.Fatal(err)
	}
	for _, tool := range dispatch.New(dispatch.Options{Socket: socket, Program: "test", Minter: capability.NewMinter(key, time.Now), Config: cfg}).Tools() {
		if tool.Spec().Name == name {
			action, err := tool.Prepare([]byte(input))
			if err != nil {
				t.Fatal(err)
			}
			return tool.Run(ctx, gate.Call{ID: "call_1", ModelID: "t1", Session: "s", Run: "r"}, action)
		}
	}
	t.Fatalf("no %s", name)
	return claw.ToolResult{}
}

func TestTokenAllowsExactlyItsTask(t *testing.T) {
	key, err := capability.DeriveKey(strings.Repeat("k", 40))
	if err != nil {
		t.Fatal(err)
	}
	var claims capability.Claims
	var verified error
	socket := peer(t, func(o *run.Order, conn *wire.Conn) {
		verifier := capability.NewVerifier(key.Public().(ed25519.PublicKey), time.Now)
		claims, verified = verifier.Verify(o.Token, []string{"file"}, o.Task)
		if _, err := verifier.Verify(o.Token, []string{"file"}, append(bytes.Clone(o.Task), ' ')); err == nil {
			verified = errors.New("the token allows another task too")
		}
		_ = conn.Send(run.Event{Result: &run.Result{Outcome: run.Finished, Output: &run.Output{Call: "call_1", Status: run.OutputOK, Value: strict.Value(`{"content":"x"}`)}}})
	})
	got := call(t, t.Context(), socket)
	if verified != nil {
		t.Fatalf("token: %v", verified)
	}
	if diff := cmp.Diff([]capability.Mount{{Name: "workspace", Mode: "ro"}}, claims.Mounts); diff != "" || len(claims.Domains) != 0 || claims.Call != "call_1" || claims.Tool != run.ToolReadFile {
		t.Errorf("claims = %+v (mounts %s)", claims, diff)
	}
	if got.Status != claw.OK || got.Content != `{"content":"x"}` || got.Label.Integrity != claw.Owned || got.Label.Privacy != claw.Private {
		t.Errorf("result = %+v", got)
	}
}

func TestRunnerThatMisbehaves(t *testing.T) {
	ok := &run.Output{Call: "call_1", Status: run.OutputOK, Value: strict.Value(`{}`)}
	for name, tc := range map[string]struct {
		events []run.Event
		want   claw.Status
		text   string
	}{
		"refusal":                 {[]run.Event{{Refusal: &run.Refusal{Code: "engine", What: "Docker is not reachable", Why: "no socket", Fix: "start it"}}}, claw.Refused, "Fix: start it"},
		"hangs up at once":        {nil, claw.Unknown, "unknown"},
		"hangs up after starting": {[]run.Event{{Started: &run.Started{Container: "c"}}}, claw.Unknown, "unknown"},
		"empty event":             {[]run.Event{{}}, claw.Unknown, "unknown"},
		"answer to another call":  {[]run.Event{{Result: &run.Result{Outcome: run.Finished, Output: &run.Output{Call: "call_2", Status: run.OutputOK}}}}, claw.Failed, "no valid result"},
		"finished without output": {[]run.Event{{Result: &run.Result{Outcome: run.Finished}}}, claw.Failed, "no valid result"},
		"no outcome":              {[]run.Event{{Result: &run.Result{Output: ok}}}, claw.Failed, "no valid result"},
		"no status":               {[]run.Event{{Result: &run.Result{Outcome: run.Finished, Output: &run.Output{Call: "call_1"}}}}, claw.Failed, ""},
		"timeout":                 {[]run.Event{{Started: &run.Started{}}, {Result: &run.Result{Outcome: run.TimedOut, Detail: "after 30 s"}}}, claw.TimedOut, "after 30 s"},
		"out of memory":           {[]run.Event{{Result: &run.Result{Outcome: run.OutOfMem}}}, claw.Failed, "memory"},
		"tool failed":             {[]run.Event{{Result: &run.Result{Outcome: run.Finished, Output: &run.Output{Call: "call_1", Status: run.OutputFailed, Error: "no such file"}}}}, claw.Failed, "no such file"},
	} {
		t.Run(name, func(t *testing.T) {
			socket := peer(t, func(_ *run.Order, conn *wire.Conn) {
				for _, e := range tc.events {
					_ = conn.Send(e)
				}
			})
			got := call(t, t.Context(), socket)
			if got.Status != tc.want || !strings.Contains(got.Content, tc.text) || got.Call != "call_1" {
				t.Errorf("result = %+v, want %s with %q", got, tc.want, tc.text)
			}
		})
	}
}

// A file that came in a chat was written by nobody knows whom, whichever tool reads it.
func TestTheInboxIsExternal(t *testing.T) {
	cfg := settings()
	cfg.Mounts = append(cfg.Mounts, config.Mount{Name: "inbox", Host: "/srv/i", Container: "/inbox", Mode: "ro"})
	file := cfg.Executors["file"]
	file.Mounts = append(file.Mounts, "inbox")
	cfg.Executors["file"] = file
	private := claw.Label{Integrity: claw.Owned, Privacy: claw.Private}
	external := claw.Label{Integrity: claw.External, Privacy: claw.Private, Sources: []string{"inbox"}}
	for name, tc := range map[string]struct {
		shell bool // sees the inbox too
		tool  string
		in    string
		want  claw.Label
	}{
		"a file of the inbox":   {false, run.ToolReadFile, `{"path":"/inbox/a"}`, external},
		"its names":             {false, run.ToolListDirectory, `{"path":"/inbox"}`, external},
		"another file":          {false, run.ToolReadFile, `{"path":"/notes/a"}`, private.Join(claw.Label{Integrity: claw.Owned, Sources: []string{"folder notes"}})},
		"a command without it":  {false, run.ToolShell, `{"command":"ls"}`, private.Join(claw.Label{Integrity: claw.Owned, Sources: []string{"folder workspace", "folder notes"}})},
		"a command that has it": {true, run.ToolShell, `{"command":"ls"}`, external.Join(claw.Label{Sources: []string{"folder workspace", "folder notes"}})},
	} {
		t.Run(name, func(t *testing.T) {
			shell := settings().Executors["shell"]
			if tc.shell {
				shell.Mounts = append(shell.Mounts, "inbox")
			}
			cfg.Executors["shell"] = shell
			socket := peer(t, func(_ *run.Order, conn *wire.Conn) {
				_ = conn.Send(run.Event{Result: &run.Result{Outcome: run.Finished, Output: &run.Output{Call: "call_1", Status: run.OutputOK, Value: strict.Value(`{}`)}}})
			})
			got := callTool(t, t.Context(), socket, cfg, tc.tool, tc.in)
			if diff := cmp.Diff(tc.want, got.Label); diff != "" || got.Status != claw.OK {
				t.Errorf("%s %s: %+v, label (-want +got):\n%s", tc.tool, tc.in, got, diff)
			}
		})
	}
}

func TestWithoutARunnerNothingRuns(t *testing.T) {
	got := call(t, t.Context(), filepath.Join(t.TempDir(), "nobody.sock"))
	if got.Status != claw.Refused || !strings.Contains(got.Content, "Fix:") {
		t.Errorf("result = %+v, want a refusal with a fix", got)
	}
}

func TestCancellingHangsUp(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	hungUp := make(chan error, 1)
	socket := peer(t, func(_ *run.Order, conn *wire.Conn) {
		_ = conn.Send(run.Event{Started: &run.Started{Container: "c"}})
		cancel()
		var next run.Request
		hungUp <- conn.Receive(&next)
	})
	if got := call(t, ctx, socket); got.Status != claw.Cancelled {
		t.Errorf("result = %+v, want cancelled", got)
	}
	if err := <-hungUp; err == nil {
		t.Error("the connection stayed open: the runner would let the container run on")
	}
}
