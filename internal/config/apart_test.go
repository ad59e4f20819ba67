package config_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/secureclaw/secureclaw/internal/config"
)

// A tool that may write a folder could put a link in place of another mount inside of it.
func TestMountsLieApart(t *testing.T) {
	dirs := prepared(t)
	outside := t.TempDir()
	for _, err := range []error{
		os.MkdirAll(filepath.Join(dirs.Home, "workspace", "sub"), 0o700),
		os.MkdirAll(filepath.Join(dirs.Home, "other"), 0o700),
		os.Symlink(filepath.Join(dirs.Home, "workspace", "sub"), filepath.Join(outside, "in")),
		os.Symlink(outside, filepath.Join(dirs.Home, "workspace", "out")),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	for name, tc := range map[string]struct {
		first, second string // host and mode
		refused       bool
	}{
		"apart":                        {"./workspace, mode: rw", "./other, mode: rw", false},
		"names that begin alike":       {"./workspace, mode: rw", "./workspace2, mode: rw", false},
		"inside, both for reading":     {"./workspace, mode: ro", "./workspace/sub, mode: ro", false},
		"inside a writable one":        {"./workspace, mode: rw", "./workspace/sub, mode: ro", true},
		"around it":                    {"./workspace/sub, mode: ro", "./workspace, mode: rw", true},
		"inside, writable":             {"./workspace, mode: ro", "./workspace/sub, mode: rw", true},
		"the same":                     {"./workspace, mode: rw", "./workspace, mode: rw", true},
		"inside by a link":             {"./workspace, mode: rw", outside + "/in, mode: ro", true},
		"by a link that lies inside":   {"./workspace, mode: rw", "./workspace/out, mode: ro", true},
		"inside, and not there so far": {"./workspace, mode: rw", "./workspace/new/deep, mode: ro", true},
	} {
		t.Run(name, func(t *testing.T) {
			text := fmt.Sprintf("mounts: [{name: workspace, host: %s, container: /w}, {name: second, host: %s, container: /s}]\n", tc.first, tc.second)
			if err := os.WriteFile(dirs.Config, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			_, _, err := config.Load(dirs.Config, config.LoadOptions{Dirs: dirs})
			if refused := err != nil && strings.Contains(err.Error(), "lie in one another"); refused != tc.refused || err != nil != tc.refused {
				t.Errorf("Load(%s) = %v, want refused: %v", text, err, tc.refused)
			}
		})
	}
}
