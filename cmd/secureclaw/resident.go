package main

import (
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// resident is the memory of a process that is in RAM, in MB (VmRSS of proc(5)); 0 when it is gone.
func resident(pid int) float64 {
	data, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "status"))
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(data)) {
		if rest, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			kb, _ := strconv.ParseFloat(strings.Fields(rest)[0], 64)
			return kb / 1024
		}
	}
	return 0
}

// childNamed is the process id of our own child that runs the given role on a home, 0 when there is none.
func childNamed(role, home string) int {
	lists, _ := filepath.Glob("/proc/self/task/*/children")
	for _, list := range lists {
		data, _ := os.ReadFile(list)
		for _, field := range strings.Fields(string(data)) {
			line, _ := os.ReadFile(filepath.Join("/proc", field, "cmdline"))
			if args := strings.Split(string(line), "\x00"); len(args) > 1 && args[1] == role && slices.Contains(args, home) {
				pid, _ := strconv.Atoi(field)
				return pid
			}
		}
	}
	return 0
}
