package main

import (
	"fmt"
	"os"
	"runtime"
	"strings"
)

// benchMachine is where a report was made.
type benchMachine struct {
	CPU       string `json:"cpu"`
	Cores     int    `json:"cores"`
	MemoryGiB int64  `json:"memory_gib"`
	Kernel    string `json:"kernel"`
	Load      string `json:"load_before"` // of the last minute
}

func (m benchMachine) String() string {
	return fmt.Sprintf("%s · %d cores · %d GiB · Linux %s · load %s before", m.CPU, m.Cores, m.MemoryGiB, m.Kernel, m.Load)
}

func thisMachine() benchMachine {
	m := benchMachine{CPU: procField("/proc/cpuinfo", "model name"), Cores: runtime.NumCPU()}
	if m.CPU == "" {
		m.CPU = runtime.GOARCH
	}
	var kb int64
	_, _ = fmt.Sscan(procField("/proc/meminfo", "MemTotal"), &kb)
	m.MemoryGiB = (kb + 1<<19) >> 20
	m.Kernel = firstWord("/proc/sys/kernel/osrelease")
	m.Load = firstWord("/proc/loadavg")
	return m
}

// procField is what stands behind a name and its colon in a file of proc(5), empty when it is not there.
func procField(path, name string) string {
	data, _ := os.ReadFile(path)
	for line := range strings.Lines(string(data)) {
		if key, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(key) == name {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

func firstWord(path string) string {
	data, _ := os.ReadFile(path)
	if words := strings.Fields(string(data)); len(words) > 0 {
		return words[0]
	}
	return ""
}
