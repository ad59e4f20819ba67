package sandbox

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/moby/moby/client"
)

// Weight is what one running container holds of the memory, in bytes; 0 is what
// this machine does not let us see.
type Weight struct {
	Image string // id
	// Cgroup is what the kernel counts against the container's limit.
	Cgroup int64
	// PSS is what its processes hold, each page that several share divided among them.
	PSS int64
	// Shim is the same of the engine's own process beside it.
	Shim int64
}

// Weigh looks at all containers of an installation.
func (s *Sandbox) Weigh(ctx context.Context, instance string) ([]Weight, error) {
	c, refusal := s.engine.connect(ctx)
	if refusal != nil {
		return nil, refused(refusal)
	}
	list, err := c.ContainerList(ctx, client.ContainerListOptions{Filters: make(client.Filters).Add("label", labelInstance+"="+instance)})
	if err != nil {
		return nil, err
	}
	var out []Weight
	for _, found := range list.Items {
		got, err := c.ContainerInspect(ctx, found.ID, client.ContainerInspectOptions{})
		if err != nil || got.Container.State == nil || !got.Container.State.Running {
			continue // it went meanwhile
		}
		pid := got.Container.State.Pid
		w := Weight{Image: found.ImageID, Cgroup: cgroupMemory("/proc", "/sys/fs/cgroup", pid), Shim: pss("/proc", parent("/proc", pid))}
		for _, p := range family("/proc", pid) {
			w.PSS += pss("/proc", p)
		}
		if w.Cgroup == 0 {
			w.Cgroup, _ = readUsage(ctx, c, found.ID) // 0 when the engine does not say either
		}
		out = append(out, w)
	}
	return out, nil
}

// ImageID is the id that a name stands for now, empty when there is none.
func (s *Sandbox) ImageID(ctx context.Context, name string) string {
	c, refusal := s.engine.connect(ctx)
	if refusal != nil {
		return ""
	}
	got, _ := s.image(ctx, c, name)
	return got.id
}

// cgroupMemory is the memory of a process's cgroup: version 2 has one hierarchy, version 1 one for memory.
func cgroupMemory(proc, sys string, pid int) int64 {
	data, _ := os.ReadFile(filepath.Join(proc, strconv.Itoa(pid), "cgroup"))
	for line := range strings.Lines(string(data)) {
		part := strings.SplitN(strings.TrimSpace(line), ":", 3)
		switch {
		case len(part) != 3:
		case slices.Contains(strings.Split(part[1], ","), "memory"):
			return number(filepath.Join(sys, "memory", part[2], "memory.usage_in_bytes"))
		case part[0] == "0" && part[2] != "/":
			if n := number(filepath.Join(sys, part[2], "memory.current")); n > 0 {
				return n
			}
		}
	}
	return 0
}

func number(path string) int64 {
	data, _ := os.ReadFile(path)
	n, _ := strconv.ParseInt(strings.TrimSpace(string(data)), 10, 64)
	return n
}

// pss is the proportional set size of a process, 0 when we may not see it.
func pss(proc string, pid int) int64 {
	data, _ := os.ReadFile(filepath.Join(proc, strconv.Itoa(pid), "smaps_rollup"))
	for line := range strings.Lines(string(data)) {
		if rest, ok := strings.CutPrefix(line, "Pss:"); ok {
			kb, _ := strconv.ParseInt(strings.Fields(rest)[0], 10, 64)
			return kb << 10
		}
	}
	return 0
}

// parent is the process that started pid, 0 when it is gone.
func parent(proc string, pid int) int {
	data, _ := os.ReadFile(filepath.Join(proc, strconv.Itoa(pid), "status"))
	for line := range strings.Lines(string(data)) {
		if rest, ok := strings.CutPrefix(line, "PPid:"); ok {
			n, _ := strconv.Atoi(strings.TrimSpace(rest))
			return n
		}
	}
	return 0
}

// family is a process and all that it started and they started.
func family(proc string, pid int) []int {
	all := []int{pid}
	lists, _ := filepath.Glob(filepath.Join(proc, strconv.Itoa(pid), "task", "*", "children"))
	for _, list := range lists {
		data, _ := os.ReadFile(list)
		for _, field := range strings.Fields(string(data)) {
			if child, err := strconv.Atoi(field); err == nil {
				all = append(all, family(proc, child)...)
			}
		}
	}
	return all
}
