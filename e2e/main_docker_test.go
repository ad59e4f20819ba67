//go:build docker

// Package e2e tells stories about the product as it is: the built program, its processes, their
// sockets, a real container engine, and a model behind a real HTTP server that does what the story says.
//
// It promises that each story can fail, that it leaves neither a process nor a container behind
// ([world.end] checks both), and that no secret of its installation stands in anything it wrote. The
// stories that read best as a dialogue are scripts in testdata, one promise each; see [TestScripts].
package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// binDir holds the two builds of the program that the stories run. TestMain alone writes it.
var binDir string

func TestMain(m *testing.M) {
	os.Exit(withProgram(m.Run))
}

// withProgram builds the program once in each way. A story that cannot run must fail, so a missing image is an error here.
func withProgram(stories func() int) int {
	dir, err := os.MkdirTemp("", "claw-bin")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	binDir = dir
	for name, flags := range map[string][]string{program(): nil, dyingProgram(): dyingBuild()} {
		args := append([]string{"build", "-buildvcs=false", "-o", name}, flags...)
		if out, err := exec.Command("go", append(args, "../cmd/secureclaw")...).CombinedOutput(); err != nil {
			fmt.Fprintf(os.Stderr, "build: %v\n%s", err, out)
			return 1
		}
	}
	for _, image := range []string{"secureclaw/executor-shell:latest", "secureclaw/executor-file:latest", "secureclaw/executor-web:latest"} {
		if out, err := exec.Command("docker", "image", "inspect", "--format", "{{.Id}}", image).CombinedOutput(); err != nil {
			fmt.Fprintf(os.Stderr, "image %s: %v: %s  fix  images/build.sh\n", image, err, out)
			return 1
		}
	}
	return stories()
}

func program() string { return filepath.Join(binDir, "secureclaw") }

// dyingProgram is the build that ends itself at a named step, see cmd/secureclaw/failpoint_on.go.
func dyingProgram() string { return filepath.Join(binDir, "dying", "secureclaw") }

// dyingBuild is how it is built. CHAOS_RACE=1 makes its processes look for data races, which takes more time.
func dyingBuild() []string {
	flags := []string{"-tags", "failpoint"}
	if os.Getenv("CHAOS_RACE") == "1" {
		flags = append(flags, "-race")
	}
	return flags
}
