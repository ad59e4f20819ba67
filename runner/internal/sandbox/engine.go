package sandbox

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"strings"
	"sync"
	"syscall"
	"time"

	cerrdefs "github.com/containerd/errdefs"
	"github.com/moby/moby/api/types/system"
	"github.com/moby/moby/client"

	"github.com/secureclaw/secureclaw/internal/run"
)

// Every call to the engine has a deadline: an engine can hang while its socket still accepts.
const (
	dialTimeout   = 2 * time.Second
	queryTimeout  = 10 * time.Second // ping, info, inspect, list, attach
	changeTimeout = 30 * time.Second // create, start, kill, remove
)

// engine finds the container engine and keeps one connected client. It holds nothing about a
// failure: the next call tries again, so an engine that comes back is used without a restart, and
// one that was replaced meanwhile is asked for its API version anew.
type engine struct {
	hosts []string // unix:// addresses, the first that answers is used

	mu   sync.Mutex
	live *connection
}

// connection is one engine whose API version is agreed on.
type connection struct {
	*client.Client
	host string
	info system.Info
}

// connect returns the connection, made new if there is none.
func (e *engine) connect(ctx context.Context) (*connection, *run.Refusal) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.live != nil {
		return e.live, nil
	}
	var worst *run.Refusal
	for _, host := range e.hosts {
		c, err := dial(ctx, host)
		if err == nil {
			e.live = c
			return c, nil
		}
		// A socket that is there but does not let us in says more than one that is absent.
		if worst == nil || !errors.Is(err, fs.ErrNotExist) {
			worst = diagnose(host, err)
			if !errors.Is(err, fs.ErrNotExist) {
				break
			}
		}
	}
	if worst == nil {
		worst = &run.Refusal{Code: CodeEngine, What: "No container engine is configured.", Why: "There is no address to look at.", Fix: "Set docker.host in secureclaw.yaml."}
	}
	return nil, worst
}

// drop forgets a connection that failed.
func (e *engine) drop(c *connection) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.live == c {
		e.live = nil
		_ = c.Close()
	}
}

// close lets go of idle sockets.
func (e *engine) close() {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.live != nil {
		_ = e.live.Close()
		e.live = nil
	}
}

// dial connects to host and agrees on an API version. The socket is dialled by hand first, because
// the client's own errors hide why.
func dial(ctx context.Context, host string) (*connection, error) {
	path, ok := strings.CutPrefix(host, "unix://")
	if !ok {
		return nil, errNotUnix
	}
	ctx, cancel := context.WithTimeout(ctx, queryTimeout)
	defer cancel()
	d := net.Dialer{Timeout: dialTimeout}
	probe, err := d.DialContext(ctx, "unix", path)
	if err != nil {
		return nil, err
	}
	_ = probe.Close()
	c, err := client.New(client.WithHost(host))
	if err != nil {
		return nil, err
	}
	ping, err := c.Ping(ctx, client.PingOptions{NegotiateAPIVersion: true})
	if err == nil && ping.APIVersion == "" {
		// The client would stay with its newest version for ever.
		err = errors.New("the engine did not name its API version")
	}
	var info client.SystemInfoResult
	if err == nil {
		info, err = c.Info(ctx, client.InfoOptions{})
	}
	if err == nil && !hasSeccomp(info.Info) {
		err = errNoSeccomp
	}
	if err != nil {
		_ = c.Close()
		return nil, err
	}
	return &connection{Client: c, host: host, info: info.Info}, nil
}

var (
	errNotUnix   = errors.New("only unix:// addresses are used: over a network, who reaches the engine is root here")
	errNoSeccomp = errors.New("the engine was built without seccomp, so system calls cannot be filtered")
)

func hasSeccomp(info system.Info) bool {
	for _, option := range info.SecurityOptions {
		if strings.HasPrefix(option, "name=seccomp") || option == "seccomp" {
			return true
		}
	}
	return false
}

// diagnose says what keeps us from the engine, for a user.
func diagnose(host string, err error) *run.Refusal {
	r := &run.Refusal{Code: CodeEngine, What: "The container engine does not answer, so nothing can run."}
	switch {
	case errors.Is(err, fs.ErrNotExist):
		r.Why = fmt.Sprintf("There is no socket at %s.", host)
		r.Fix = "Install and start Docker (sudo systemctl start docker), or set docker.host in secureclaw.yaml."
	case errors.Is(err, fs.ErrPermission):
		r.Why = fmt.Sprintf("This user may not open %s.", host)
		r.Fix = "Add the user to the docker group (sudo usermod -aG docker \"$USER\"), log in again and start SecureClaw again."
	case errors.Is(err, syscall.ECONNREFUSED):
		r.Why = fmt.Sprintf("The socket %s is there, but nobody answers: the engine is stopped.", host)
		r.Fix = "Start it (sudo systemctl start docker). SecureClaw needs no restart."
	case errors.Is(err, errNotUnix):
		r.Why = fmt.Sprintf("The address %.80q cannot be used: %v.", host, err)
		r.Fix = "Set docker.host in secureclaw.yaml to the engine's socket, as in unix:///var/run/docker.sock."
	case errors.Is(err, errNoSeccomp):
		r.Why = fmt.Sprintf("At %s: %v.", host, err)
		r.Fix = "Use an engine with seccomp; docker info lists it under Security Options."
	default:
		r.Why = fmt.Sprintf("At %s: %.200v.", host, err)
		r.Fix = "Look at the engine's own log (journalctl -u docker) and at docker info."
	}
	return r
}

// failed turns an engine's error before the start into a refusal. The connection is dropped
// unless the engine itself said no: then it is alive and was understood.
func (s *Sandbox) failed(ctx context.Context, c *connection, doing string, err error) *run.Refusal {
	if ctx.Err() != nil {
		return cancelled()
	}
	said := cerrdefs.IsInvalidArgument(err) || cerrdefs.IsNotFound(err) || cerrdefs.IsConflict(err) || cerrdefs.IsPermissionDenied(err)
	if !said {
		s.engine.drop(c)
		s.dirty.Store(true)
		if _, refusal := s.engine.connect(ctx); refusal != nil {
			return refusal
		}
	}
	return &run.Refusal{
		Code: CodeEngine,
		What: "The container engine could not " + doing + ", so nothing ran.",
		Why:  fmt.Sprintf("%.300v.", err),
		Fix:  "Try again; if it stays, look at the engine's log (journalctl -u docker).",
	}
}

func cancelled() *run.Refusal {
	return &run.Refusal{Code: CodeCancelled, What: "The call was cancelled before its task was handed over, so nothing ran."}
}
