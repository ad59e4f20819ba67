package dispatch

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path"
	"strings"
	"time"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/secureclaw/secureclaw/gateway/internal/claw"
	"github.com/secureclaw/secureclaw/gateway/internal/gate"
	"github.com/secureclaw/secureclaw/internal/config"
	"github.com/secureclaw/secureclaw/internal/run"
	"github.com/secureclaw/secureclaw/internal/strict"
)

// The kinds of executor that this package has tools for.
const (
	kindShell = "shell"
	kindFile  = "file"
	kindWeb   = "web"
)

// maxCaption is the most UTF-16 units below a file, as messengers count them.
const maxCaption = 1024

// defaultShellTimeout is what a command gets that names no time of its own.
const defaultShellTimeout = 30 * time.Second

// Tools returns the tools of every executor that is configured.
func (d *Dispatch) Tools() []gate.Tool {
	var tools []gate.Tool
	if _, ok := d.cfg.Executors[kindFile]; ok {
		tools = append(tools,
			fileTool(d, run.ToolReadFile, describeReadFile, schemaReadFile, false, func(a *run.ReadFile) (*string, error) {
				return &a.Path, errors.Join(notNegative("offset", a.Offset), notNegative("limit", a.Limit))
			}),
			fileTool(d, run.ToolWriteFile, describeWriteFile, schemaWriteFile, true, func(a *run.WriteFile) (*string, error) {
				if a.Mode == "" {
					a.Mode = run.WriteCreate
				}
				return &a.Path, oneOf("mode", a.Mode, run.WriteCreate, run.WriteOverwrite, run.WriteAppend)
			}),
			fileTool(d, run.ToolListDirectory, describeListDirectory, schemaListDirectory, false, func(a *run.ListDirectory) (*string, error) {
				return &a.Path, notNegative("limit", a.Limit)
			}),
			fileTool(d, run.ToolSearchFiles, describeSearchFiles, schemaSearchFiles, false, func(a *run.SearchFiles) (*string, error) {
				if a.Pattern == "" {
					return nil, errors.New("pattern is missing")
				}
				return &a.Path, notNegative("limit", a.Limit)
			}),
			fileTool(d, run.ToolSendFile, describeSendFile, schemaSendFile, false, func(a *run.SendFile) (*string, error) {
				if n := len(utf16.Encode([]rune(a.Caption))); n > maxCaption {
					return nil, fmt.Errorf("caption has %d characters, the most is %d; say the rest in your answer", n, maxCaption)
				}
				return &a.Path, nil
			}),
			fileTool(d, run.ToolStat, describeStat, schemaStat, false, func(a *run.Stat) (*string, error) {
				return &a.Path, nil
			}),
		)
	}
	if _, ok := d.cfg.Executors[kindShell]; ok {
		tools = append(tools, &tool{d: d, spec: claw.Tool{Name: run.ToolShell, Description: describeShell, Schema: strict.Value(schemaShell)}, prepare: d.prepareShell})
	}
	if _, ok := d.cfg.Executors[kindWeb]; ok {
		tools = append(tools, &tool{d: d, spec: claw.Tool{Name: run.ToolBrowse, Description: describeBrowse, Schema: strict.Value(schemaBrowse)}, prepare: d.prepareBrowse})
	}
	return tools
}

// tool is one executor tool as the gate sees it.
type tool struct {
	d       *Dispatch
	spec    claw.Tool
	prepare func(input []byte) (claw.Action, error)
}

var _ gate.Tool = (*tool)(nil)

func (t *tool) Spec() claw.Tool                           { return t.spec }
func (t *tool) Prepare(input []byte) (claw.Action, error) { return t.prepare(input) }
func (t *tool) Run(ctx context.Context, call gate.Call, action claw.Action) claw.ToolResult {
	return t.d.execute(ctx, call, action)
}

// fileTool is a tool with one path. check gives defaults, and says where the path stands.
func fileTool[A any](d *Dispatch, name, description, schema string, writes bool, check func(*A) (*string, error)) *tool {
	return &tool{d: d, spec: claw.Tool{Name: name, Description: description, Schema: strict.Value(schema)}, prepare: func(input []byte) (claw.Action, error) {
		var args A
		if err := decode(input, schema, &args); err != nil {
			return claw.Action{}, fmt.Errorf("arguments of %s: %w", name, err)
		}
		where, err := check(&args)
		if err != nil {
			return claw.Action{}, fmt.Errorf("arguments of %s: %w", name, err)
		}
		clean, mount, err := d.place(kindFile, *where)
		if err != nil {
			return claw.Action{}, err
		}
		*where = clean
		grant := claw.MountGrant{Name: mount.Name, Mode: "ro"}
		if writes {
			if mount.Mode != "rw" {
				return claw.Action{}, fmt.Errorf("%s lies in the mount %q, which is read-only", clean, mount.Name)
			}
			grant.Mode = "rw"
		}
		return d.action(name, kindFile, args, []claw.MountGrant{grant}, 0)
	}}
}

// decode reads the arguments of a tool. What its schema requires must be there: to a Go type a
// member that is absent is an empty one, and a write without content would empty the file.
func decode(input []byte, schema string, args any) error {
	if err := strict.Decode(input, args); err != nil {
		return err
	}
	var want struct {
		Required []string `json:"required"`
	}
	if err := json.Unmarshal([]byte(schema), &want); err != nil {
		return fmt.Errorf("schema: %w", err)
	}
	var members map[string]strict.Value
	if err := strict.Decode(input, &members); err != nil {
		return err
	}
	for _, name := range want.Required {
		if value, ok := members[name]; !ok || string(value) == "null" {
			return fmt.Errorf("%s is missing", name)
		}
	}
	return nil
}

// prepareShell reads the arguments of run_shell_command. A command sees every mount of its
// executor read-only; with access "write" the one that holds its working directory is writable.
func (d *Dispatch) prepareShell(input []byte) (claw.Action, error) {
	var args run.Shell
	if err := decode(input, schemaShell, &args); err != nil {
		return claw.Action{}, fmt.Errorf("arguments of %s: %w", run.ToolShell, err)
	}
	if strings.TrimSpace(args.Command) == "" {
		return claw.Action{}, errors.New("command is missing")
	}
	if strings.ContainsRune(args.Command, 0) {
		return claw.Action{}, errors.New("command holds a NUL byte")
	}
	if args.Access == "" {
		args.Access = run.AccessRead
	}
	if err := oneOf("access", args.Access, run.AccessRead, run.AccessWrite); err != nil {
		return claw.Action{}, err
	}
	ceiling := time.Duration(d.cfg.Executors[kindShell].Timeout)
	if args.TimeoutSeconds == 0 {
		args.TimeoutSeconds = int(min(defaultShellTimeout, ceiling) / time.Second)
	}
	timeout := time.Duration(args.TimeoutSeconds) * time.Second
	if args.TimeoutSeconds < 0 || args.TimeoutSeconds > int(ceiling/time.Second) {
		return claw.Action{}, fmt.Errorf("timeout_seconds is %d, want 1 to %d (executors.shell.timeout)", args.TimeoutSeconds, int(ceiling/time.Second))
	}
	var grants []claw.MountGrant
	var home config.Mount
	if names := d.cfg.Executors[kindShell].Mounts; len(names) > 0 {
		clean, mount, err := d.place(kindShell, args.WorkingDirectory)
		if err != nil {
			return claw.Action{}, fmt.Errorf("working_directory: %w", err)
		}
		args.WorkingDirectory, home = clean, mount
	} else if args.WorkingDirectory != "" && args.WorkingDirectory != "/tmp" {
		return claw.Action{}, errors.New("working_directory: no folder is shared with the shell (executors.shell.mounts), only /tmp exists")
	} else {
		args.WorkingDirectory = "/tmp"
	}
	if args.Access == run.AccessWrite && home.Mode != "rw" {
		return claw.Action{}, fmt.Errorf("access is %q, but the mount of %s is read-only", run.AccessWrite, args.WorkingDirectory)
	}
	for _, name := range d.cfg.Executors[kindShell].Mounts {
		grant := claw.MountGrant{Name: name, Mode: "ro"}
		if name == home.Name && args.Access == run.AccessWrite {
			grant.Mode = "rw"
		}
		grants = append(grants, grant)
	}
	return d.action(run.ToolShell, kindShell, args, grants, timeout)
}

// action puts cleaned arguments in their one canonical form. The zero timeout means the executor's own.
func (d *Dispatch) action(name, kind string, args any, mounts []claw.MountGrant, timeout time.Duration) (claw.Action, error) {
	input, err := strict.CanonicalOf(args)
	if err != nil {
		return claw.Action{}, fmt.Errorf("arguments of %s: %w", name, err)
	}
	if timeout == 0 {
		timeout = time.Duration(d.cfg.Executors[kind].Timeout)
	}
	return claw.Action{Tool: name, Executor: kind, Input: input, Mounts: mounts, TimeoutMS: timeout.Milliseconds()}, nil
}

// place makes a path absolute and clean and finds the mount that holds it. Relative paths, and
// the empty one, count from the executor's first mount. It is what the policy judges; the
// executor's openat2 is what holds.
func (d *Dispatch) place(kind, p string) (string, config.Mount, error) {
	if !utf8.ValidString(p) || strings.ContainsRune(p, 0) {
		return "", config.Mount{}, fmt.Errorf("path %q holds a NUL byte or is not UTF-8", p)
	}
	names := d.cfg.Executors[kind].Mounts
	if len(names) == 0 {
		return "", config.Mount{}, fmt.Errorf("no folder is shared with the %s executor (executors.%s.mounts)", kind, kind)
	}
	if !path.IsAbs(p) {
		first, ok := findMount(d.cfg.Mounts, names[0])
		if !ok {
			return "", config.Mount{}, fmt.Errorf("mount %q is not configured", names[0])
		}
		// Joined, not cleaned yet: "../x" must not be folded into the mount.
		p = first.Container + "/" + p
	}
	clean := path.Clean(p)
	var roots []string
	var found config.Mount
	for _, name := range names {
		mount, ok := findMount(d.cfg.Mounts, name)
		if !ok {
			continue
		}
		roots = append(roots, mount.Container)
		inside := clean == mount.Container || strings.HasPrefix(clean, strings.TrimSuffix(mount.Container, "/")+"/")
		if inside && len(mount.Container) > len(found.Container) {
			found = mount
		}
	}
	if found.Name == "" {
		return "", config.Mount{}, fmt.Errorf("%s is outside the shared folders (%s)", clean, strings.Join(roots, ", "))
	}
	return clean, found, nil
}

func oneOf(name, got string, want ...string) error {
	for _, w := range want {
		if got == w {
			return nil
		}
	}
	return fmt.Errorf("%s is %q, want one of %s", name, got, strings.Join(want, ", "))
}

func notNegative(name string, n int) error {
	if n < 0 {
		return fmt.Errorf("%s is %d, want 0 or more", name, n)
	}
	return nil
}
