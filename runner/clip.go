package runner

import (
	"fmt"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/secureclaw/secureclaw/internal/capability"
	"github.com/secureclaw/secureclaw/internal/config"
	"github.com/secureclaw/secureclaw/internal/domain"
	"github.com/secureclaw/secureclaw/internal/run"
	"github.com/secureclaw/secureclaw/internal/strict"
	"github.com/secureclaw/secureclaw/runner/internal/sandbox"
)

// Codes of the refusals made here; package sandbox has the others.
const (
	codeRequest  = "request"  // not one request
	codeToken    = "token"    // not valid, or used before
	codeTask     = "task"     // says something else than its token
	codeExecutor = "executor" // unknown or disabled kind
	codeMount    = sandbox.CodeMount
	codeDomain   = "domain" // of a kind without a network, or not one that the page may reach
	codeLimit    = sandbox.CodeLimit
	codeBusy     = "busy"
	codeCanary   = "canary" // the way out is not proved to be closed
)

// killGrace is how much later than the executor's own deadline the container is killed, so that a
// living executor can still say what a command printed until then.
const killGrace = 2 * time.Second

// kindWeb is the one kind of executor that has a way out.
const kindWeb = "web"

// kinds are the executors that this build can run.
func kinds() []string { return []string{"shell", "file", kindWeb} }

// kindOf says which executor does a tool; empty for a tool that none does.
func kindOf(tool string) string {
	switch tool {
	case run.ToolShell:
		return "shell"
	case run.ToolReadFile, run.ToolWriteFile, run.ToolListDirectory, run.ToolSearchFiles, run.ToolStat, run.ToolSendFile:
		return "file"
	case run.ToolBrowse:
		return kindWeb
	default:
		return ""
	}
}

// clip is what verified claims may do under cfg: the smaller of both in every limit, and a refusal
// where something is granted that cfg does not know. The task must say what its token says: the
// executor goes by the task. The result lacks its envelope and key, and its way out, which is for the
// names of the list: none but for the web executor.
func clip(cfg *config.Config, claims capability.Claims, raw strict.Value) (sandbox.Task, domain.List, *run.Refusal) {
	none := sandbox.Task{}
	executor, ok := cfg.Executors[claims.Audience]
	if !ok || executor.Image == "" || !slices.Contains(kinds(), claims.Audience) {
		return none, nil, refuseKind(claims.Audience)
	}
	if kindOf(claims.Tool) != claims.Audience {
		return none, nil, refuseTask("the tool %.40q is none of the %s executor's", claims.Tool, claims.Audience)
	}
	if claims.Audience != kindWeb && len(claims.Domains) > 0 {
		return none, nil, &run.Refusal{
			Code: codeDomain,
			What: "The call asks for the network, so nothing ran.",
			Why:  fmt.Sprintf("The %s executor has none, and %.60q was asked for.", claims.Audience, claims.Domains[0]),
		}
	}
	if refusal := checkLimits(claims, executor); refusal != nil {
		return none, nil, refusal
	}
	mounts, roots, refusal := clipMounts(cfg, executor, claims)
	if refusal != nil {
		return none, nil, refusal
	}
	task, refusal := checkTask(raw, claims, roots)
	if refusal != nil {
		return none, nil, refusal
	}
	var names domain.List
	if claims.Audience == kindWeb {
		if names, refusal = reachable(cfg, claims, task); refusal != nil {
			return none, nil, refusal
		}
	}
	timeout := min(time.Duration(claims.TimeoutMS)*time.Millisecond, time.Duration(executor.Timeout))
	return sandbox.Task{
		ID:       claims.ID,
		Call:     claims.Call,
		Kind:     claims.Audience,
		Image:    executor.Image,
		Runtime:  executor.Runtime,
		Memory:   min(claims.Memory, int64(executor.Memory)),
		NanoCPUs: min(claims.CPUMillis, millis(executor.CPUs)) * 1e6,
		Pids:     min(claims.Pids, executor.Pids),
		Tmp:      int64(executor.Tmp),
		FileSize: int64(executor.FileSize),
		Mounts:   mounts,
		Shown:    shown(task),
		Timeout:  timeout + killGrace,
	}, names, nil
}

// maxTimeout keeps a claim from overflowing a time.Duration.
const maxTimeout = 24 * time.Hour

// checkLimits refuses a limit that is not there: engines read zero as unlimited.
func checkLimits(claims capability.Claims, executor config.Executor) *run.Refusal {
	for _, l := range []struct {
		name       string
		claim, cfg int64
	}{
		{"time", claims.TimeoutMS, time.Duration(executor.Timeout).Milliseconds()},
		{"output", claims.OutputCap, int64(executor.OutputCap)},
		{"memory", claims.Memory, int64(executor.Memory)},
		{"processors", claims.CPUMillis, millis(executor.CPUs)},
		{"processes", claims.Pids, executor.Pids},
		{"/tmp", int64(executor.Tmp), int64(executor.Tmp)}, // not claimed: the configuration's alone
		{"file size", int64(executor.FileSize), int64(executor.FileSize)},
	} {
		if l.claim <= 0 || l.cfg <= 0 {
			return refuseLimit("Token and configuration must both limit %s; they say %d and %d.", l.name, l.claim, l.cfg)
		}
	}
	if claims.TimeoutMS > maxTimeout.Milliseconds() {
		return refuseLimit("The token allows %d ms, and no task may take more than %v.", claims.TimeoutMS, maxTimeout)
	}
	// The executor cuts its output, and goes by the task: the one limit that no engine can lower.
	if claims.OutputCap > int64(executor.OutputCap) {
		return refuseLimit("The token allows %d bytes of output, the configuration %d.", claims.OutputCap, int64(executor.OutputCap))
	}
	return nil
}

func millis(cpus float64) int64 { return int64(cpus * 1000) }

// clipMounts turns granted names into folders, and into the roots that the task must name.
func clipMounts(cfg *config.Config, executor config.Executor, claims capability.Claims) ([]sandbox.Mount, []run.Root, *run.Refusal) {
	var mounts []sandbox.Mount
	var roots []run.Root
	for i, grant := range claims.Mounts {
		at := slices.IndexFunc(cfg.Mounts, func(m config.Mount) bool { return m.Name == grant.Name })
		switch {
		case at < 0 || grant.Name == "":
			return nil, nil, refuseMount(grant, "secureclaw.yaml has no mount of that name")
		case slices.ContainsFunc(claims.Mounts[:i], func(m capability.Mount) bool { return m.Name == grant.Name }):
			return nil, nil, refuseMount(grant, "it is granted twice")
		case claims.Audience == kindWeb:
			return nil, nil, refuseMount(grant, "what reads the Internet sees no folder")
		case !slices.Contains(executor.Mounts, grant.Name):
			return nil, nil, refuseMount(grant, "the "+claims.Audience+" executor may not see it (executors."+claims.Audience+".mounts)")
		case grant.Mode != "ro" && grant.Mode != "rw":
			return nil, nil, refuseMount(grant, "the mode is neither ro nor rw")
		case grant.Mode == "rw" && cfg.Mounts[at].Mode != "rw":
			return nil, nil, refuseMount(grant, "its mode in secureclaw.yaml is not rw")
		case !mountable(cfg.Mounts[at].Container):
			return nil, nil, refuseMount(grant, "its place in the container is the system's own")
		}
		mount := sandbox.Mount{Source: cfg.Mounts[at].Host, Target: cfg.Mounts[at].Container, Writable: grant.Mode == "rw"}
		if !mount.Writable && !judgedByPath(claims.Tool) {
			mount.Hide = cfg.Mounts[at].Hidden()
		}
		mounts = append(mounts, mount)
		roots = append(roots, run.Root{Name: grant.Name, Path: cfg.Mounts[at].Container, Mode: grant.Mode})
	}
	return mounts, roots, nil
}

// mountable refuses places where a mount would hide a fence or the executor itself.
func mountable(target string) bool {
	if !path.IsAbs(target) || path.Clean(target) != target {
		return false
	}
	top, _, _ := strings.Cut(target[1:], "/")
	switch top {
	case "", "bin", "boot", "dev", "etc", "lib", "lib32", "lib64", "libx32", "proc", "run", "sbin", "sys", "tmp", "usr":
		return false
	}
	return true
}

// judgedByPath says whether a tool touches the one path that it names and nothing else. The policy
// judged that path, so such a call sees its mount whole. Any other tool reads what it comes across,
// and what the mount hides is covered: else a search or a command that runs unasked would read what
// read_file asks for.
func judgedByPath(tool string) bool {
	switch tool {
	case run.ToolReadFile, run.ToolWriteFile, run.ToolListDirectory, run.ToolStat, run.ToolSendFile:
		return true
	default:
		return false
	}
}

// shown is the path that a search starts from. The policy judged it as it did a reader's, so a
// search that the user approved in a hidden folder finds it open.
func shown(task run.Task) string {
	if task.Tool != run.ToolSearchFiles {
		return ""
	}
	var in run.SearchFiles
	if err := strict.Decode(task.Input, &in); err != nil {
		return "" // the executor will say why it cannot be read
	}
	return in.Path
}

// checkTask holds the task against its token. Both are the gateway's, and a difference means that
// what was approved is not what would run.
func checkTask(raw strict.Value, claims capability.Claims, roots []run.Root) (task run.Task, refusal *run.Refusal) {
	canonical, err := strict.Canonical(raw)
	if err != nil {
		return task, refuseTask("%v", err)
	}
	if string(canonical) != string(raw) {
		return task, refuseTask("it is not in canonical form")
	}
	if err := strict.Decode(raw, &task); err != nil {
		return task, refuseTask("%v", err)
	}
	switch {
	case task.Call != claims.Call:
		return task, refuseTask("it is for call %.40q, the token for %.40q", task.Call, claims.Call)
	case task.Tool != claims.Tool:
		return task, refuseTask("it is for the tool %.40q, the token for %.40q", task.Tool, claims.Tool)
	case task.TimeoutMS != claims.TimeoutMS:
		return task, refuseTask("it may take %d ms, the token allows %d ms", task.TimeoutMS, claims.TimeoutMS)
	case int64(task.OutputCap) != claims.OutputCap:
		return task, refuseTask("its output may hold %d bytes, the token allows %d", task.OutputCap, claims.OutputCap)
	case (task.Piece != nil) != (task.Tool == run.ToolSendFile):
		return task, refuseTask("pieces of a file are for %s alone, which gets nothing else", run.ToolSendFile)
	case task.Piece != nil && task.Piece.Valid() != nil:
		return task, refuseTask("%v", task.Piece.Valid())
	case !slices.Equal(byName(task.Roots), byName(roots)):
		return task, refuseTask("its folders are not those that token and configuration give")
	}
	return task, nil
}

func byName(roots []run.Root) []run.Root {
	return slices.SortedFunc(slices.Values(roots), func(a, b run.Root) int { return strings.Compare(a.Name, b.Name) })
}

func refuseKind(kind string) *run.Refusal {
	return &run.Refusal{
		Code: codeExecutor,
		What: fmt.Sprintf("There is no executor %.40q, so nothing ran.", kind),
		Why:  "It is not configured, or this release does not know it.",
		Fix:  "Set executors.<kind>.image in secureclaw.yaml; the kinds are shell, file and web.",
	}
}

func refuseMount(grant capability.Mount, why string) *run.Refusal {
	return &run.Refusal{
		Code: codeMount,
		What: fmt.Sprintf("The mount %.40q cannot be given as %.10q, so nothing ran.", grant.Name, grant.Mode),
		Why:  "Reason: " + why + ".",
		Fix:  "Gateway and runner must read the same secureclaw.yaml: restart both after a change.",
	}
}

func refuseLimit(format string, args ...any) *run.Refusal {
	return &run.Refusal{
		Code: codeLimit,
		What: "A limit is missing or too high, so nothing ran.",
		Why:  fmt.Sprintf(format, args...),
		Fix:  "Gateway and runner must read the same secureclaw.yaml: restart both after a change.",
	}
}

func refuseTask(format string, args ...any) *run.Refusal {
	return &run.Refusal{
		Code: codeTask,
		What: "The task is not what its token allows, so nothing ran.",
		Why:  fmt.Sprintf("The task cannot be taken: "+format+".", args...),
		Fix:  "Gateway and runner must come from one release and read the same secureclaw.yaml.",
	}
}
