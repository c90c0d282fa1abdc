package fault_test

import (
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/seed-7a112592/gristmill/internal/test/program"
)

// cgroup is a memory cgroup for one program.
type cgroup struct {
	t    *testing.T
	dir  string
	peak string // file with the peak memory usage
}

// cgroupVersion describes a cgroup version: where its hierarchy is mounted, which line of
// /proc/self/cgroup is about memory, and the names of the files of a group.
type cgroupVersion struct {
	mount       string
	controllers string // second field of the line; empty in version 2
	limit       string
	swap        string // limit of swap; in version 1 it includes memory
	peak        string
}

var cgroupVersions = []cgroupVersion{
	{"/sys/fs/cgroup", "", "memory.max", "memory.swap.max", "memory.peak"},
	{"/sys/fs/cgroup/memory", "memory", "memory.limit_in_bytes", "memory.memsw.limit_in_bytes", "memory.max_usage_in_bytes"},
}

// newCgroup creates a cgroup with limit bytes of memory and no swap, below that of this process or
// below one of its ancestors. It returns an error if none of them allows that.
func newCgroup(t *testing.T, limit int) (*cgroup, error) {
	t.Helper()
	own, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		return nil, err
	}
	err = errors.New("found no cgroup hierarchy with a memory controller")
	for _, version := range cgroupVersions {
		for line := range strings.Lines(string(own)) {
			parts := strings.SplitN(strings.TrimSpace(line), ":", 3)
			if len(parts) < 3 || parts[1] != version.controllers {
				continue
			}
			for parent := path.Clean("/" + parts[2]); ; parent = path.Dir(parent) {
				g, failed := version.make(t, filepath.Join(version.mount, parent), limit)
				if failed == nil {
					return g, nil
				}
				err = failed
				if parent == "/" {
					break
				}
			}
		}
	}
	return nil, err
}

// make creates a cgroup below parent.
func (v cgroupVersion) make(t *testing.T, parent string, limit int) (*cgroup, error) {
	dir, err := os.MkdirTemp(parent, "gristmill-test-")
	if err != nil {
		return nil, err
	}
	g := &cgroup{t, dir, filepath.Join(dir, v.peak)}
	err = writeExisting(filepath.Join(dir, v.limit), strconv.Itoa(limit))
	if err == nil {
		err = writeExisting(filepath.Join(dir, v.swap), v.noSwap(limit))
	}
	if err != nil {
		_ = os.Remove(dir)
		return nil, err
	}
	t.Cleanup(func() {
		if err := os.Remove(dir); err != nil {
			t.Errorf("remove the cgroup: %v", err)
		}
	})
	return g, nil
}

// noSwap returns the value of the swap limit that allows no swap.
func (v cgroupVersion) noSwap(limit int) string {
	if v.controllers == "" {
		return "0"
	}
	return strconv.Itoa(limit) // limit of memory plus swap
}

// writeExisting writes to a file that the kernel has created. It ignores a missing file of swap,
// because the kernel may not count swap.
func writeExisting(name, text string) error {
	file, err := os.OpenFile(name, os.O_WRONLY, 0)
	if errors.Is(err, os.ErrNotExist) && strings.Contains(filepath.Base(name), "sw") {
		return nil
	}
	if err != nil {
		return err
	}
	_, err = file.WriteString(text)
	return errors.Join(err, file.Close())
}

// command returns the command that starts a program in the group: a shell joins the group, then
// becomes the program.
func (g *cgroup) command(t *testing.T, name string) (shell string, args []string) {
	return "/bin/sh", []string{"-c", `echo $$ >"$0/cgroup.procs" && exec "$1"`, g.dir, program.Path(t, name)}
}

// String returns the directory and the peak memory usage.
func (g *cgroup) String() string {
	text, err := os.ReadFile(g.peak)
	bytes, parsed := strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64)
	if err != nil || parsed != nil {
		return g.dir + ", peak unknown"
	}
	return fmt.Sprintf("%s, peak %d MiB", g.dir, bytes>>20)
}
