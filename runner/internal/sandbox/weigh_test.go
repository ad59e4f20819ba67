package sandbox

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// folderOf writes files below a folder of the test's own.
func folderOf(t *testing.T, files map[string]string) string {
	t.Helper()
	root := t.TempDir()
	for name, text := range files {
		path := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

func TestCgroupMemory(t *testing.T) {
	for name, tc := range map[string]struct {
		cgroup string
		files  map[string]string
		want   int64
	}{
		"version 2":           {"0::/system.slice/docker-a.scope\n", map[string]string{"system.slice/docker-a.scope/memory.current": "4096\n"}, 4096},
		"version 1":           {"5:cpu,cpuacct:/docker/a\n4:memory:/docker/a\n0::/\n", map[string]string{"memory/docker/a/memory.usage_in_bytes": "8192\n"}, 8192},
		"both":                {"4:memory:/docker/a\n0::/docker/a\n", map[string]string{"memory/docker/a/memory.usage_in_bytes": "8192\n", "docker/a/memory.current": "1\n"}, 8192},
		"not to be seen":      {"0::/docker/a\n", nil, 0},
		"the whole machine's": {"0::/\n", map[string]string{"memory.current": "99999\n"}, 0},
		"gone":                {"", nil, 0},
	} {
		t.Run(name, func(t *testing.T) {
			got := cgroupMemory(folderOf(t, map[string]string{"7/cgroup": tc.cgroup}), folderOf(t, tc.files), 7)
			if got != tc.want {
				t.Errorf("cgroupMemory(%q) = %d, want %d", tc.cgroup, got, tc.want)
			}
		})
	}
}

func TestFamily(t *testing.T) {
	proc := folderOf(t, map[string]string{
		"7/task/7/children": "8 9 ", "7/task/70/children": "10 ", "8/task/8/children": "11 ", "12/task/12/children": "13 ",
		"7/status": "Name:\ta\nPPid:\t3\n", "7/smaps_rollup": "00-ff ---p 00000000 00:00 0 [rollup]\nRss:    900 kB\nPss:    700 kB\nPss_Dirty: 1 kB\n",
	})
	got := family(proc, 7)
	slices.Sort(got)
	if !slices.Equal(got, []int{7, 8, 9, 10, 11}) {
		t.Errorf("family = %v, want its own children and theirs", got)
	}
	if got := parent(proc, 7); got != 3 {
		t.Errorf("parent = %d, want 3", got)
	}
	if got := pss(proc, 7); got != 700<<10 {
		t.Errorf("pss = %d, want %d", got, 700<<10)
	}
	if got := pss(proc, 8); got != 0 {
		t.Errorf("pss of a process that is gone = %d, want 0", got)
	}
}
