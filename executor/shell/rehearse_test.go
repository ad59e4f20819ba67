package shell_test

import (
	"os"
	"testing"

	"github.com/secureclaw/secureclaw/executor/shell"
)

// A rehearsal is a real command, and leaves nothing: no process, no file, and nothing on stdout.
func TestRehearse(t *testing.T) {
	back, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.Chdir(back) }) // as any command's, the working directory is the process's own
	if err := shell.Rehearse(); err != nil {
		t.Errorf("Rehearse: %v", err)
	}
}
