package sandbox

import (
	"context"
	"fmt"
	"net"
	"time"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/mount"

	"github.com/secureclaw/secureclaw/internal/tunnel"
)

// Labels of our containers. They let a later start of the runner find what an earlier one left,
// and leave alone what belongs to another installation on the same engine.
const (
	labelInstance = "org.secureclaw.instance"
	labelBoot     = "org.secureclaw.boot"
	labelCall     = "org.secureclaw.call"
	labelDeadline = "org.secureclaw.deadline" // RFC 3339: when the container must be gone
)

// VerifyKeyEnv is the one variable of ours in an executor: the public key that checks its token,
// in standard base64 with padding. It verifies and mints nothing, so it is no secret.
const VerifyKeyEnv = "SECURECLAW_VERIFY_KEY"

// user is uid and gid of everything in a container, in decimal.
const user = "1000"

// shmSize is what engines write down by default; no container has a /dev/shm at all. Chromium's processes
// share memory by memfd, which counts as memory of the container, and each piece as a file.
const shmSize = 64 << 20

// Most open files of a process. A page's pieces of shared memory are some.
const (
	nofile    = 1024
	webNofile = 4096
)

// Task is the whole world of one executor: verified, clipped, and nothing beyond it. Its zero
// limits make a spec that [Sandbox.Run] refuses, because engines read zero as "no limit".
type Task struct {
	ID      string // the token's id, 32 hex digits; names the container
	Call    string // the call, for the label and for the answer
	Kind    string // shell, file, web: chooses the system call filter
	Image   string // configured name; what runs is the id it stands for
	Runtime string // empty: the engine's default

	Memory   int64 // bytes; no swap beyond it
	NanoCPUs int64 // 1e9 is one processor
	Pids     int64 // most processes and threads
	Tmp      int64 // bytes of /tmp
	FileSize int64 // most bytes of one written file
	Mounts   []Mount
	// Shown is an absolute path inside that the call names itself and that the policy judged: it is
	// not covered, and nothing below it. Empty: none.
	Shown string

	Timeout   time.Duration // from the start of the container to its SIGKILL
	VerifyKey string        // base64, see [VerifyKeyEnv]
	Envelope  []byte        // one run.Envelope as JSON, without newline
	Nonce     string        // of the envelope: an answer without it is none

	// Out serves the connections that the executor of a web task opens, within Tunnel's limits: see
	// [tunnel.Accept]. Each has returned before [Sandbox.Run] does. Nil, and for other kinds: no way out.
	Out    func(ctx context.Context, conn net.Conn) `json:"-"`
	Tunnel tunnel.Limits                            `json:"-"`
	// Refused is told once, before Run returns, how many connections were refused because too many were
	// open. It is not called when none were.
	Refused func(connections int64) `json:"-"`
}

// kindWeb is the kind whose stdin and stdout are a tunnel.
const kindWeb = "web"

// Mount is one folder of the host that the container sees. The zero Mode of access is reading.
type Mount struct {
	Source   string // existing directory on the host, links resolved
	Target   string // absolute path inside
	Writable bool
	// Hide are valid doublestar globs, relative to the folder: what they match when the container
	// is made is covered in it. Not of a mount that is Writable.
	Hide []string
}

// place is what a spec needs beyond its task.
type place struct {
	imageID    string // sha256:…
	entrypoint []string
	instance   string
	boot       string
	deadline   time.Time
	covers
}

// spec builds the engine's create request. It is a pure function, so that a test can hold every
// request it can make against the task it was made from.
//
// Why each line is there: SECURITY.md. What is not there matters as much: no Init, because
// docker-init would be a dumpable pid 1 that holds the result channel (the executor is pid 1
// itself and reaps); no Binds, whose engine creates missing host folders as root; no AutoRemove,
// which would take the reason of a death with it; nothing of the task in Env, Cmd or labels.
func spec(t Task, p place) (*container.Config, *container.HostConfig) {
	zero := 0
	no := false
	pids := t.Pids
	config := &container.Config{
		Hostname:     "sandbox",
		User:         user + ":" + user,
		AttachStdin:  true,
		AttachStdout: true,
		AttachStderr: true,
		OpenStdin:    true,
		StdinOnce:    true,
		Env: []string{
			VerifyKeyEnv + "=" + t.VerifyKey,
			"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
			"HOME=/tmp",
			"LANG=C.UTF-8",
		},
		Image: p.imageID,
		// Named here, so that the image's Cmd is not appended to it.
		Entrypoint: p.entrypoint,
		// Not /tmp: an engine that creates it makes it root's.
		WorkingDir:  "/",
		Healthcheck: &container.HealthConfig{Test: []string{"NONE"}},
		StopSignal:  "SIGKILL",
		StopTimeout: &zero,
		// The container's own empty network namespace is made all the same. What the engine leaves out is its
		// own bookkeeping of it, for which it starts itself once more: half the time of a start. NetworkMode
		// stays, for an engine that does not know this field.
		NetworkDisabled: true,
		Labels: map[string]string{
			labelInstance: p.instance,
			labelBoot:     p.boot,
			labelCall:     t.Call,
			labelDeadline: p.deadline.UTC().Format(time.RFC3339),
		},
	}
	host := &container.HostConfig{
		NetworkMode:    "none",
		IpcMode:        "none",
		CgroupnsMode:   "private",
		LogConfig:      container.LogConfig{Type: "none"},
		RestartPolicy:  container.RestartPolicy{Name: "no"},
		CapDrop:        []string{"ALL"},
		SecurityOpt:    []string{"no-new-privileges", "seccomp=" + profile(t.Kind)},
		ReadonlyRootfs: true,
		Tmpfs: map[string]string{
			// The owner, not mode 1777: with runc 1.1 a tmpfs takes the mode of the folder below it.
			"/tmp": fmt.Sprintf("rw,noexec,nosuid,nodev,size=%d,uid=%s,gid=%s,mode=700", t.Tmp, user, user),
			// Engines mount the message queues here, where everybody may make files.
			"/dev/mqueue": "ro,noexec,nosuid,nodev,size=4096,mode=555",
		},
		ShmSize: shmSize,
		Runtime: t.Runtime,
		Init:    &no,
		Resources: container.Resources{
			Memory:     t.Memory,
			MemorySwap: t.Memory,
			NanoCPUs:   t.NanoCPUs,
			PidsLimit:  &pids,
			Ulimits: []*container.Ulimit{
				limit("nofile", nofile),
				limit("fsize", t.FileSize),
				limit("core", 0),
			},
		},
		// The engines' defaults, written down, so that an engine with shorter lists is refused.
		MaskedPaths: []string{
			"/proc/acpi", "/proc/asound", "/proc/interrupts", "/proc/kcore", "/proc/keys", "/proc/latency_stats",
			"/proc/sched_debug", "/proc/scsi", "/proc/timer_list", "/proc/timer_stats",
			"/sys/devices/virtual/powercap", "/sys/firmware",
		},
		ReadonlyPaths: []string{"/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"},
	}
	if t.Kind == kindWeb {
		host.Ulimits[0] = limit("nofile", webNofile)
	}
	for i, m := range t.Mounts {
		host.Mounts = append(host.Mounts, bind(m.Source, m.Target, m.Writable))
		if m.Writable || i >= len(p.hidden) {
			continue
		}
		for _, h := range p.hidden[i] {
			source := p.veil.file
			if h.dir {
				source = p.veil.dir
			}
			host.Mounts = append(host.Mounts, bind(source, m.Target+"/"+h.rel, false))
		}
	}
	return config, host
}

func bind(source, target string, writable bool) mount.Mount {
	return mount.Mount{
		Type:     mount.TypeBind,
		Source:   source,
		Target:   target,
		ReadOnly: !writable,
		BindOptions: &mount.BindOptions{
			Propagation: mount.PropagationRPrivate,
			// A recursive bind would bring file systems below the folder along, and
			// before API 1.44 they stay writable in a read-only mount.
			NonRecursive: true,
		},
	}
}

func limit(name string, n int64) *container.Ulimit {
	return &container.Ulimit{Name: name, Soft: n, Hard: n}
}
