package sandbox

import (
	"errors"
	"io/fs"
	"strings"
	"syscall"
	"testing"

	"github.com/secureclaw/secureclaw/internal/run"
)

// Every way an engine can be away has its own reason and its own way out.
func TestDiagnose(t *testing.T) {
	const host = "unix:///var/run/docker.sock"
	for name, tc := range map[string]struct {
		err      error
		why, fix string
	}{
		"no socket":     {fs.ErrNotExist, "no socket", "systemctl start docker"},
		"not our group": {syscall.EACCES, "may not open", "usermod -aG docker"},
		"stopped":       {syscall.ECONNREFUSED, "is stopped", "needs no restart"},
		"another kind":  {errNotUnix, "cannot be used", "docker.host"},
		"no seccomp":    {errNoSeccomp, "seccomp", "docker info"},
		"anything else": {errors.New("boom"), "boom", "docker info"},
	} {
		t.Run(name, func(t *testing.T) {
			got := diagnose(host, tc.err)
			if got.Code != CodeEngine || got.What == "" || !strings.Contains(got.Why, tc.why) || !strings.Contains(got.Fix, tc.fix) {
				t.Errorf("diagnose(%v) = %+v, want why %q, fix %q", tc.err, got, tc.why, tc.fix)
			}
		})
	}
}

// A sandbox that nobody told where to look runs nothing.
func TestNoEngine(t *testing.T) {
	s := New(Options{})
	_, refusal := s.Run(t.Context(), exampleTask(), func(run.Started) error {
		t.Error("started")
		return nil
	})
	if refusal == nil || refusal.Code != CodeEngine {
		t.Errorf("Run = %+v, want refusal %s", refusal, CodeEngine)
	}
	s.Close()
}
