package runner

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/secureclaw/secureclaw/internal/capability"
	"github.com/secureclaw/secureclaw/internal/config"
	"github.com/secureclaw/secureclaw/internal/run"
	"github.com/secureclaw/secureclaw/internal/strict"
	"github.com/secureclaw/secureclaw/runner/internal/sandbox"
)

func testConfig() *config.Config {
	executor := config.Executor{
		Image: "secureclaw/executor-shell:latest", Runtime: "runc", Memory: 256 << 20, CPUs: 1.5, Pids: 64,
		Timeout: config.Duration(30 * time.Second), OutputCap: 64 << 10, Tmp: 16 << 20, FileSize: 8 << 20,
		Mounts: []string{"workspace", "notes"},
	}
	file := executor
	file.Image, file.Mounts = "secureclaw/executor-file:latest", []string{"workspace"}
	web := executor
	web.Mounts = nil
	return &config.Config{
		Executors: map[string]config.Executor{"shell": executor, "file": file, "web": web},
		Mounts: []config.Mount{
			{Name: "workspace", Host: "/home/ada/workspace", Container: "/workspace", Mode: "rw", Hide: []string{"**/.env*"}},
			{Name: "notes", Host: "/home/ada/notes", Container: "/notes", Mode: "ro", Hide: []string{"**/*.key"}},
			{Name: "vault", Host: "/home/ada/vault", Container: "/vault", Mode: "rw"}, // in nobody's list
			{Name: "system", Host: "/home/ada/x", Container: "/usr/local", Mode: "rw"},
		},
	}
}

func testClaims() capability.Claims {
	return capability.Claims{
		Audience: "shell", ID: strings.Repeat("0a", 16), Tool: run.ToolShell,
		Mounts:    []capability.Mount{{Name: "workspace", Mode: "rw"}, {Name: "notes", Mode: "ro"}},
		TimeoutMS: 10_000, OutputCap: 32 << 10, Memory: 128 << 20, CPUMillis: 500, Pids: 32, Session: "s", Call: "c1",
	}
}

// taskOf is the task that goes with claims under the configuration of these tests.
func taskOf(tb testing.TB, c capability.Claims) strict.Value {
	tb.Helper()
	task := run.Task{Call: c.Call, Tool: c.Tool, Input: strict.Value(`{}`), TimeoutMS: c.TimeoutMS, OutputCap: int(c.OutputCap)}
	for _, m := range c.Mounts {
		task.Roots = append(task.Roots, run.Root{Name: m.Name, Path: "/" + m.Name, Mode: m.Mode})
	}
	return canonical(tb, task)
}

func canonical(tb testing.TB, task run.Task) strict.Value {
	tb.Helper()
	data, err := strict.CanonicalOf(task)
	if err != nil {
		tb.Fatal(err)
	}
	return data
}

func TestClip(t *testing.T) {
	claims := testClaims()
	got, _, refusal := clip(testConfig(), claims, taskOf(t, claims))
	if refusal != nil {
		t.Fatalf("clip = %+v", *refusal)
	}
	want := sandbox.Task{
		ID: claims.ID, Call: "c1", Kind: "shell", Image: "secureclaw/executor-shell:latest", Runtime: "runc",
		Memory: 128 << 20, NanoCPUs: 500e6, Pids: 32, Tmp: 16 << 20, FileSize: 8 << 20,
		Mounts: []sandbox.Mount{
			{Source: "/home/ada/workspace", Target: "/workspace", Writable: true},
			{Source: "/home/ada/notes", Target: "/notes", Hide: []string{"**/*.key"}},
		},
		Timeout: 12 * time.Second,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("clip (-want +got):\n%s", diff)
	}
}

// A token that claims more than the configuration has gets the configuration's.
func TestClipLowers(t *testing.T) {
	claims := testClaims()
	claims.TimeoutMS, claims.Memory, claims.CPUMillis, claims.Pids = 3_600_000, 1<<40, 64_000, 1<<20
	got, _, refusal := clip(testConfig(), claims, taskOf(t, claims))
	if refusal != nil {
		t.Fatal(*refusal)
	}
	if got.Timeout != 32*time.Second || got.Memory != 256<<20 || got.NanoCPUs != 1.5e9 || got.Pids != 64 {
		t.Errorf("clip = %+v, want the ceilings of the configuration", got)
	}
}

// The zero values of both sides give nothing.
func TestClipZero(t *testing.T) {
	for name, tc := range map[string]struct {
		cfg    *config.Config
		claims capability.Claims
	}{
		"no configuration": {&config.Config{}, testClaims()},
		"no claims":        {testConfig(), capability.Claims{}},
		"empty executor":   {&config.Config{Executors: map[string]config.Executor{"shell": {}}}, testClaims()},
	} {
		if _, _, refusal := clip(tc.cfg, tc.claims, taskOf(t, testClaims())); refusal == nil {
			t.Errorf("%s: clip = a task, want a refusal", name)
		}
	}
}

func TestClipRefusesClaims(t *testing.T) {
	for name, tc := range map[string]struct {
		change func(*config.Config, *capability.Claims)
		want   string
	}{
		"unknown executor":      {func(_ *config.Config, c *capability.Claims) { c.Audience = "root" }, codeExecutor},
		"executor without conf": {func(cfg *config.Config, _ *capability.Claims) { delete(cfg.Executors, "shell") }, codeExecutor},
		"executor of another":   {func(_ *config.Config, c *capability.Claims) { c.Audience = "web" }, codeTask},
		"tool of another":       {func(_ *config.Config, c *capability.Claims) { c.Tool = run.ToolReadFile }, codeTask},
		"unknown tool":          {func(_ *config.Config, c *capability.Claims) { c.Tool = "format_disk" }, codeTask},
		"a domain":              {func(_ *config.Config, c *capability.Claims) { c.Domains = []string{"example.org"} }, codeDomain},
		"unknown mount":         {func(_ *config.Config, c *capability.Claims) { c.Mounts[0].Name = "etc" }, codeMount},
		"nameless mount":        {func(_ *config.Config, c *capability.Claims) { c.Mounts[0].Name = "" }, codeMount},
		"host path for a name":  {func(_ *config.Config, c *capability.Claims) { c.Mounts[0].Name = "/home/ada/workspace" }, codeMount},
		"mount twice": {func(_ *config.Config, c *capability.Claims) {
			c.Mounts[1] = capability.Mount{Name: "workspace", Mode: "ro"}
		}, codeMount},
		"rw of a ro mount":     {func(_ *config.Config, c *capability.Claims) { c.Mounts[1].Mode = "rw" }, codeMount},
		"odd mode":             {func(_ *config.Config, c *capability.Claims) { c.Mounts[0].Mode = "RW" }, codeMount},
		"no mode":              {func(_ *config.Config, c *capability.Claims) { c.Mounts[0].Mode = "" }, codeMount},
		"mount of no executor": {func(_ *config.Config, c *capability.Claims) { c.Mounts[0].Name = "vault" }, codeMount},
		"mount of another executor": {func(_ *config.Config, c *capability.Claims) {
			c.Audience, c.Tool = "file", run.ToolStat // notes is not for the file executor
		}, codeMount},
		"mount over the system": {func(cfg *config.Config, c *capability.Claims) {
			e := cfg.Executors["shell"]
			e.Mounts = append(e.Mounts, "system")
			cfg.Executors["shell"] = e
			c.Mounts[0].Name = "system"
		}, codeMount},
		"no time":          {func(_ *config.Config, c *capability.Claims) { c.TimeoutMS = 0 }, codeLimit},
		"negative time":    {func(_ *config.Config, c *capability.Claims) { c.TimeoutMS = -1 }, codeLimit},
		"overflowing time": {func(_ *config.Config, c *capability.Claims) { c.TimeoutMS = 1 << 52 }, codeLimit},
		"no output":        {func(_ *config.Config, c *capability.Claims) { c.OutputCap = 0 }, codeLimit},
		"more output":      {func(_ *config.Config, c *capability.Claims) { c.OutputCap = 1 << 20 }, codeLimit},
		"no memory":        {func(_ *config.Config, c *capability.Claims) { c.Memory = 0 }, codeLimit},
		"no processor":     {func(_ *config.Config, c *capability.Claims) { c.CPUMillis = 0 }, codeLimit},
		"no processes":     {func(_ *config.Config, c *capability.Claims) { c.Pids = 0 }, codeLimit},
		"no ceiling": {func(cfg *config.Config, _ *capability.Claims) {
			e := cfg.Executors["shell"]
			e.Memory = 0
			cfg.Executors["shell"] = e
		}, codeLimit},
		"no /tmp": {func(cfg *config.Config, _ *capability.Claims) {
			e := cfg.Executors["shell"]
			e.Tmp = 0
			cfg.Executors["shell"] = e
		}, codeLimit},
		"no file size": {func(cfg *config.Config, _ *capability.Claims) {
			e := cfg.Executors["shell"]
			e.FileSize = 0
			cfg.Executors["shell"] = e
		}, codeLimit},
	} {
		t.Run(name, func(t *testing.T) {
			cfg, claims := testConfig(), testClaims()
			tc.change(cfg, &claims)
			got, _, refusal := clip(cfg, claims, taskOf(t, claims))
			if refusal == nil || refusal.Code != tc.want || refusal.What == "" || refusal.Why == "" {
				t.Errorf("clip = %+v, %+v, want refusal %s with its reason", got, refusal, tc.want)
			}
			if diff := cmp.Diff(sandbox.Task{}, got); diff != "" {
				t.Errorf("a refusal comes with a task: %s", diff)
			}
		})
	}
}

// The executor goes by the task, so the task must say what the token says.
func TestClipRefusesTasks(t *testing.T) {
	claims := testClaims()
	good := run.Task{
		Call: "c1", Tool: run.ToolShell, Input: strict.Value(`{}`), TimeoutMS: 10_000, OutputCap: 32 << 10,
		Roots: []run.Root{{Name: "workspace", Path: "/workspace", Mode: "rw"}, {Name: "notes", Path: "/notes", Mode: "ro"}},
	}
	change := func(f func(*run.Task)) strict.Value {
		task := good
		task.Roots = slices.Clone(good.Roots)
		f(&task)
		return canonical(t, task)
	}
	for name, tc := range map[string]struct {
		raw  strict.Value
		want string // empty: accepted
	}{
		"as signed":         {change(func(*run.Task) {}), ""},
		"roots turned":      {change(func(k *run.Task) { slices.Reverse(k.Roots) }), ""},
		"another call":      {change(func(k *run.Task) { k.Call = "c2" }), codeTask},
		"another tool":      {change(func(k *run.Task) { k.Tool = run.ToolStat }), codeTask},
		"more time":         {change(func(k *run.Task) { k.TimeoutMS++ }), codeTask},
		"more output":       {change(func(k *run.Task) { k.OutputCap++ }), codeTask},
		"a root less":       {change(func(k *run.Task) { k.Roots = k.Roots[:1] }), codeTask},
		"a root more":       {change(func(k *run.Task) { k.Roots = append(k.Roots, run.Root{Name: "x", Path: "/", Mode: "rw"}) }), codeTask},
		"a root twice":      {change(func(k *run.Task) { k.Roots[1] = k.Roots[0] }), codeTask},
		"root elsewhere":    {change(func(k *run.Task) { k.Roots[0].Path = "/" }), codeTask},
		"root writable":     {change(func(k *run.Task) { k.Roots[1].Mode = "rw" }), codeTask},
		"no roots":          {change(func(k *run.Task) { k.Roots = nil }), codeTask},
		"not canonical":     {strict.Value(" " + string(canonical(t, good))), codeTask},
		"duplicate key":     {strict.Value(`{"call":"c1","call":"c1"}`), codeTask},
		"a piece of a file": {change(func(k *run.Task) { k.Piece = &run.Piece{Limit: 1} }), codeTask}, // a shell has none
		"unknown key":       {strict.Value(`{"call":"c1","sudo":true}`), codeTask},
		"other letter case": {strict.Value(`{"Call":"c1"}`), codeTask},
		"no object":         {strict.Value(`[]`), codeTask},
		"empty":             {nil, codeTask},
	} {
		t.Run(name, func(t *testing.T) {
			_, _, refusal := clip(testConfig(), claims, tc.raw)
			if tc.want == "" && refusal != nil || tc.want != "" && (refusal == nil || refusal.Code != tc.want) {
				t.Errorf("clip(%s) = %+v, want %q", tc.raw, refusal, tc.want)
			}
		})
	}
}

// A file leaves in pieces that fit a frame, and nothing else asks for pieces.
func TestClipRefusesPieces(t *testing.T) {
	claims := testClaims()
	claims.Audience, claims.Tool, claims.Mounts = "file", run.ToolSendFile, []capability.Mount{{Name: "workspace", Mode: "ro"}}
	for name, tc := range map[string]struct {
		tool  string
		piece *run.Piece
		ok    bool
	}{
		"the first":        {run.ToolSendFile, &run.Piece{Limit: run.MaxPiece}, true},
		"a later one":      {run.ToolSendFile, &run.Piece{Offset: 1 << 30, Limit: 1}, true},
		"none":             {run.ToolSendFile, nil, false},
		"too large":        {run.ToolSendFile, &run.Piece{Limit: run.MaxPiece + 1}, false},
		"empty":            {run.ToolSendFile, &run.Piece{}, false},
		"before the start": {run.ToolSendFile, &run.Piece{Offset: -1, Limit: 1}, false},
		"of a reader":      {run.ToolReadFile, &run.Piece{Limit: 1}, false},
		"a reader's none":  {run.ToolReadFile, nil, true},
	} {
		claims.Tool = tc.tool
		task := run.Task{
			Call: claims.Call, Tool: tc.tool, Input: strict.Value(`{"path":"/workspace/a"}`), TimeoutMS: claims.TimeoutMS, OutputCap: int(claims.OutputCap),
			Roots: []run.Root{{Name: "workspace", Path: "/workspace", Mode: "ro"}}, Piece: tc.piece,
		}
		got, _, refusal := clip(testConfig(), claims, canonical(t, task))
		if tc.ok != (refusal == nil) || refusal != nil && refusal.Code != codeTask {
			t.Errorf("%s: clip = %+v, %+v, want it taken: %t", name, got, refusal, tc.ok)
		}
		if tc.ok && len(got.Mounts[0].Hide) != 0 {
			t.Errorf("%s: hides %q from a call that was judged by its path", name, got.Mounts[0].Hide)
		}
	}
}

// Whatever a token claims: what comes out is within claims and configuration, both.
func TestClipNeverWidens(t *testing.T) {
	cfg := testConfig()
	rapid.Check(t, func(rt *rapid.T) {
		claims := testClaims()
		claims.Audience = rapid.SampledFrom([]string{"shell", "shell", "file", "web", "x"}).Draw(rt, "aud")
		if claims.Audience == "file" {
			claims.Tool = run.ToolStat
		}
		claims.TimeoutMS = rapid.Int64Range(-1, 1<<20).Draw(rt, "timeout")
		claims.OutputCap = rapid.Int64Range(-1, 1<<17).Draw(rt, "cap")
		claims.Memory = rapid.Int64Range(-1, 1<<40).Draw(rt, "memory")
		claims.CPUMillis = rapid.Int64Range(-1, 1<<20).Draw(rt, "cpu")
		claims.Pids = rapid.Int64Range(-1, 1<<20).Draw(rt, "pids")
		claims.Mounts = rapid.SliceOfN(rapid.Custom(func(rt *rapid.T) capability.Mount {
			return capability.Mount{
				Name: rapid.SampledFrom([]string{"workspace", "notes", "vault", "system", "etc"}).Draw(rt, "name"),
				Mode: rapid.SampledFrom([]string{"ro", "rw", ""}).Draw(rt, "mode"),
			}
		}), 0, 3).Draw(rt, "mounts")
		got, _, refusal := clip(cfg, claims, taskOf(t, claims))
		if refusal != nil {
			return
		}
		e := cfg.Executors[claims.Audience]
		for _, l := range []struct {
			name             string
			got, claim, conf int64
		}{
			{"memory", got.Memory, claims.Memory, int64(e.Memory)},
			{"cpus", got.NanoCPUs, claims.CPUMillis * 1e6, int64(e.CPUs * 1e9)},
			{"pids", got.Pids, claims.Pids, e.Pids},
			{"timeout", int64(got.Timeout - killGrace), claims.TimeoutMS * 1e6, int64(e.Timeout)},
		} {
			if l.got <= 0 || l.got > l.claim || l.got > l.conf {
				rt.Errorf("%s = %d, claimed %d, configured %d", l.name, l.got, l.claim, l.conf)
			}
		}
		if len(got.Mounts) != len(claims.Mounts) || got.Image != e.Image {
			rt.Errorf("clip(%+v) = %+v", claims, got)
		}
		for i, m := range got.Mounts {
			grant := claims.Mounts[i]
			at := slices.IndexFunc(cfg.Mounts, func(c config.Mount) bool { return c.Name == grant.Name })
			if !slices.Contains(e.Mounts, grant.Name) || m.Source != cfg.Mounts[at].Host || m.Target != cfg.Mounts[at].Container ||
				m.Writable && (grant.Mode != "rw" || cfg.Mounts[at].Mode != "rw") ||
				!m.Writable && claims.Tool == run.ToolShell && !slices.Equal(m.Hide, cfg.Mounts[at].Hidden()) {
				rt.Errorf("mount %+v for %+v", m, grant)
			}
		}
	})
}

// What runs unasked and reads whatever it comes across does not see what a mount hides. What the
// user agreed to, and what names its one path, does.
func TestClipHides(t *testing.T) {
	search := func(path string) strict.Value {
		input, err := strict.CanonicalOf(run.SearchFiles{Pattern: "x", Path: path})
		if err != nil {
			t.Fatal(err)
		}
		return input
	}
	for name, tc := range map[string]struct {
		tool, mode string
		input      strict.Value
		hide       []string // of the mount in the configuration
		want       []string
		shown      string
	}{
		"a command that reads":           {run.ToolShell, "ro", strict.Value(`{}`), []string{"*.key"}, []string{"*.key"}, ""},
		"a command that names a path":    {run.ToolShell, "ro", strict.Value(`{"path":"/workspace/x.key"}`), []string{"*.key"}, []string{"*.key"}, ""},
		"a command that writes":          {run.ToolShell, "rw", strict.Value(`{}`), []string{"*.key"}, nil, ""},
		"a search":                       {run.ToolSearchFiles, "ro", search("/workspace"), []string{"*.key"}, []string{"*.key"}, "/workspace"},
		"a search that cannot be read":   {run.ToolSearchFiles, "ro", strict.Value(`{"Path":"/workspace/x.key"}`), []string{"*.key"}, []string{"*.key"}, ""},
		"reading":                        {run.ToolReadFile, "ro", strict.Value(`{}`), []string{"*.key"}, nil, ""},
		"writing":                        {run.ToolWriteFile, "rw", strict.Value(`{}`), []string{"*.key"}, nil, ""},
		"listing":                        {run.ToolListDirectory, "ro", strict.Value(`{}`), []string{"*.key"}, nil, ""},
		"looking":                        {run.ToolStat, "ro", strict.Value(`{}`), []string{"*.key"}, nil, ""},
		"a mount that nobody decided on": {run.ToolShell, "ro", strict.Value(`{}`), nil, config.Mount{}.Hidden(), ""},
		"a mount that hides nothing":     {run.ToolShell, "ro", strict.Value(`{}`), []string{}, []string{}, ""},
		"a search where nobody decided":  {run.ToolSearchFiles, "ro", search("/workspace/a"), nil, config.Mount{}.Hidden(), "/workspace/a"},
		"a search whose path is unclean": {run.ToolSearchFiles, "ro", search("/workspace/../x"), []string{"*.key"}, []string{"*.key"}, "/workspace/../x"},
	} {
		t.Run(name, func(t *testing.T) {
			cfg, claims := testConfig(), testClaims()
			cfg.Mounts[0].Hide = tc.hide
			claims.Tool, claims.Audience = tc.tool, kindOf(tc.tool)
			claims.Mounts = []capability.Mount{{Name: "workspace", Mode: tc.mode}}
			raw := canonical(t, run.Task{
				Call: claims.Call, Tool: tc.tool, Input: tc.input, TimeoutMS: claims.TimeoutMS, OutputCap: int(claims.OutputCap),
				Roots: []run.Root{{Name: "workspace", Path: "/workspace", Mode: tc.mode}},
			})
			got, _, refusal := clip(cfg, claims, raw)
			if refusal != nil {
				t.Fatalf("clip = %+v", *refusal)
			}
			if diff := cmp.Diff(tc.want, got.Mounts[0].Hide); diff != "" || got.Shown != tc.shown {
				t.Errorf("clip(%s %s): Shown = %q, want %q; Hide (-want +got):\n%s", tc.tool, tc.input, got.Shown, tc.shown, diff)
			}
		})
	}
	if len(config.Mount{}.Hidden()) == 0 {
		t.Error("the zero Mount hides nothing")
	}
}

func TestMountable(t *testing.T) {
	for target, want := range map[string]bool{
		"/workspace": true, "/home/ada": true, "/mnt/a": true, "/opt/x": true,
		"": false, "/": false, "workspace": false, "/a/../etc": false, "/a/": false, "//etc": false,
		"/etc": false, "/etc/x": false, "/usr/local": false, "/proc": false, "/sys/x": false, "/dev/shm": false, "/tmp": false, "/tmp/x": false, "/run/x": false,
	} {
		if got := mountable(target); got != want {
			t.Errorf("mountable(%q) = %v, want %v", target, got, want)
		}
	}
}

func ExampleRun_refusal() {
	claims := testClaims()
	claims.Mounts[1].Mode = "rw"
	_, _, refusal := clip(testConfig(), claims, nil)
	fmt.Println(refusal.What)
	fmt.Println(refusal.Why)
	// Output:
	// The mount "notes" cannot be given as "rw", so nothing ran.
	// Reason: its mode in secureclaw.yaml is not rw.
}
