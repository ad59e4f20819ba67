//go:build failpoint

package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// passes runs this test's program again, which passes steps in a row, and reports which it reached and whether it lived.
func passes(t *testing.T, folder, points string, steps ...string) (reached string, lived bool) {
	t.Helper()
	log := filepath.Join(t.TempDir(), "log")
	cmd := exec.Command(os.Args[0], "-test.run=^TestPassSteps$")
	cmd.Env = append(os.Environ(), "PASS="+strings.Join(steps, " "), failpointNames+"="+points, failpointFolder+"="+folder, failpointLog+"="+log)
	err := cmd.Run()
	data, readErr := os.ReadFile(log)
	if readErr != nil {
		t.Fatal(readErr)
	}
	var names []string
	for line := range strings.Lines(string(data)) {
		name, _, _ := strings.Cut(line, " ")
		names = append(names, name)
	}
	return strings.Join(names, " "), err == nil
}

// TestPassSteps is the process that dies; without its variable there is nothing to pass.
func TestPassSteps(t *testing.T) {
	step := stepHook()
	for _, name := range strings.Fields(os.Getenv("PASS")) {
		step(name)
	}
}

func TestFailpoint(t *testing.T) {
	for name, tc := range map[string]struct {
		points, marks, steps, reached string
		lived                         bool
	}{
		"none":                 {"", "", "a b", "a b", true},
		"the first time":       {"b", "", "a b c", "a b", false},
		"the third time":       {"b:3", "", "b b a b b", "b b a b", false},
		"one of a list":        {"x, b:2", "", "b b", "b b", false},
		"not a second life":    {"b", "fired.b", "a b c", "a b c", true},
		"armed meanwhile":      {"", "arm.c", "a b c d", "a b c", false},
		"armed and fired once": {"", "fired.c.77", "c d", "c d", true},
	} {
		t.Run(name, func(t *testing.T) {
			folder := t.TempDir()
			if tc.marks != "" {
				if err := os.WriteFile(filepath.Join(folder, tc.marks), nil, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			reached, lived := passes(t, folder, tc.points, strings.Fields(tc.steps)...)
			if reached != tc.reached || lived != tc.lived {
				t.Errorf("FAILPOINT=%s: reached %q, lived %t, want %q, %t", tc.points, reached, lived, tc.reached, tc.lived)
			}
			left, _ := filepath.Glob(filepath.Join(folder, "fired.*"))
			if armed, _ := filepath.Glob(filepath.Join(folder, "arm.*")); !lived && (len(left) != 1 || len(armed) != 0) {
				t.Errorf("left behind: %v, %v", left, armed)
			}
		})
	}
}
