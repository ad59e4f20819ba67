//go:build docker

package snapshot

import (
	"os"
	"os/exec"
	"syscall"
	"testing"
)

// unprivileged lets root of a developer's machine start Chromium, whose sandbox refuses root.
func unprivileged(t *testing.T, c *exec.Cmd, dir string) {
	c.Dir = dir
	if os.Getuid() != 0 {
		return
	}
	if err := os.Chown(dir, 65534, 65534); err != nil {
		t.Error(err)
	}
	c.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
}
