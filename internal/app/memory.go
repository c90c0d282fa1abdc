package app

import (
	"io/fs"
	"log/slog"
	"math"
	"os"
	"path"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
)

// memoryShare is the share of the cgroup's limit that the Go runtime may use. The rest is for memory
// that the runtime does not count: thread stacks, buffers of the kernel.
const memoryShare = 0.9

// LimitMemory sets the memory limit of the Go runtime below the limit of the process's cgroup, so
// that the runtime collects garbage more often before the kernel kills the process. If GOMEMLIMIT is
// set, LimitMemory does nothing.
func LimitMemory(environ []string, log *slog.Logger) {
	if slices.ContainsFunc(environ, func(entry string) bool { return strings.HasPrefix(entry, "GOMEMLIMIT=") }) {
		return
	}
	limit, ok := cgroupLimit(os.DirFS("/"))
	if !ok {
		return
	}
	soft := int64(float64(limit) * memoryShare)
	debug.SetMemoryLimit(soft)
	log.Debug("memory is limited by the cgroup", "limit", limit, "gomemlimit", soft)
}

// cgroupLimit returns the lowest memory limit of the process's cgroup and its ancestors, in bytes. In
// a container the path of the cgroup may be the host's, of which only the root is mounted.
func cgroupLimit(root fs.FS) (limit int64, ok bool) {
	own, err := fs.ReadFile(root, "proc/self/cgroup")
	if err != nil {
		return 0, false // not Linux
	}
	limit = math.MaxInt64
	for line := range strings.Lines(string(own)) {
		// hierarchy:controllers:/path
		_, rest, _ := strings.Cut(strings.TrimSpace(line), ":")
		controllers, dir, found := strings.Cut(rest, ":")
		mount, file := "sys/fs/cgroup", "memory.max"
		switch {
		case !found:
			continue
		case controllers == "": // version 2
		case slices.Contains(strings.Split(controllers, ","), "memory"): // version 1
			mount, file = "sys/fs/cgroup/memory", "memory.limit_in_bytes"
		default:
			continue
		}
		for dir = path.Clean("/" + dir); ; dir = path.Dir(dir) {
			limit = min(limit, readLimit(root, path.Join(mount, dir, file)))
			if dir == "/" {
				break
			}
		}
	}
	// Version 1 shows no limit as a number slightly below MaxInt64.
	return limit, limit < math.MaxInt64>>1
}

// readLimit returns the limit in a file, or MaxInt64 if the file has none.
func readLimit(root fs.FS, name string) int64 {
	text, err := fs.ReadFile(root, name)
	if err != nil {
		return math.MaxInt64
	}
	limit, err := strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64)
	if err != nil || limit <= 0 {
		return math.MaxInt64 // "max"
	}
	return limit
}
