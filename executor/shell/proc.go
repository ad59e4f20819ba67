package shell

import (
	"bytes"
	"os"
	"strconv"
	"strings"
)

// descendants returns the processes below pid, as /proc shows them at this moment.
func descendants(pid int) []int {
	dir, err := os.Open("/proc")
	if err != nil {
		return nil
	}
	defer dir.Close()
	names, err := dir.Readdirnames(-1)
	if err != nil {
		return nil
	}
	children := make(map[int][]int)
	for _, name := range names {
		child, err := strconv.Atoi(name)
		if err != nil {
			continue
		}
		if parent, ok := parentOf(child); ok {
			children[parent] = append(children[parent], child)
		}
	}
	var found []int
	for next := []int{pid}; len(next) > 0; {
		below := children[next[0]]
		next = append(next[1:], below...)
		found = append(found, below...)
	}
	return found
}

// parentOf reads the fourth field of /proc/PID/stat; the second one may hold spaces and brackets.
func parentOf(pid int) (int, bool) {
	stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return 0, false
	}
	fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
	if len(fields) < 2 {
		return 0, false
	}
	parent, err := strconv.Atoi(fields[1])
	return parent, err == nil
}

// pressure counts how often the container's limits were felt.
type pressure struct {
	outOfMemory  int64 // processes killed
	processLimit int64 // forks refused
}

// readPressure reads the counters of cgroup v2 or, where it is not there, v1. A counter that cannot
// be read stays zero: it only adds a note.
func readPressure() pressure {
	return pressure{
		outOfMemory:  counter("oom_kill", "/sys/fs/cgroup/memory.events", "/sys/fs/cgroup/memory/memory.oom_control"),
		processLimit: counter("max", "/sys/fs/cgroup/pids.events", "/sys/fs/cgroup/pids/pids.events"),
	}
}

func counter(key string, files ...string) int64 {
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			continue
		}
		for line := range strings.Lines(string(data)) {
			fields := strings.Fields(line)
			if len(fields) == 2 && fields[0] == key {
				n, _ := strconv.ParseInt(fields[1], 10, 64)
				return n
			}
		}
	}
	return 0
}
