package main

import (
	"os"
	"runtime/debug"
	"strconv"
	"strings"
)

// gcPercent lets the heap grow by half of what is live before it is collected, not by all of it: most of it
// are caches, so that the doubled work of the collector is a few hundredths of a core.
const gcPercent = 50

// boundMemory trades a little CPU for memory, and makes the collector work harder before the kernel ends the
// process at the container's limit. The variables GOGC and GOMEMLIMIT take precedence.
func boundMemory(getenv func(string) string, limitFile string) {
	if getenv("GOGC") == "" {
		debug.SetGCPercent(gcPercent)
	}
	if limit := containerLimit(limitFile); limit > 0 && getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(limit / 10 * 9) // the rest is for what is no Go memory
	}
}

// containerLimit is the memory limit of the container in bytes, as cgroup v2 tells it; 0 is none.
func containerLimit(file string) int64 {
	raw, err := os.ReadFile(file)
	if err != nil {
		return 0
	}
	limit, err := strconv.ParseInt(strings.TrimSpace(string(raw)), 10, 64)
	if err != nil {
		return 0 // the word max
	}
	return limit
}
