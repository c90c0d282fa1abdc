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

// cgroup is a memory cgroup of one program.
type cgroup struct {
	t    *testing.T
	dir  string
	peak string // the file that says how much was used at most
}

// cgroupVersion says where the hierarchies of a version are mounted, which of
// the lines of /proc/self/cgroup is that of memory, and the files of a group.
type cgroupVersion struct {
	mount       string
	controllers string // of the line; empty in version 2
	limit       string
	swap        string // its limit: with memory in version 1, without in version 2
	peak        string
}

var cgroupVersions = []cgroupVersion{
	{"/sys/fs/cgroup", "", "memory.max", "memory.swap.max", "memory.peak"},
	{"/sys/fs/cgroup/memory", "memory", "memory.limit_in_bytes", "memory.memsw.limit_in_bytes", "memory.max_usage_in_bytes"},
}

// newCgroup makes a cgroup with limit bytes of memory and no swap, in that of
// this process or one above it. It returns an error where none can be made.
func newCgroup(t *testing.T, limit int) (*cgroup, error) {
	t.Helper()
	own, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		return nil, err
	}
	err = errors.New("there is no hierarchy with memory")
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

// make makes a cgroup below another.
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

// noSwap is the limit of swap under which there is none.
func (v cgroupVersion) noSwap(limit int) string {
	if v.controllers == "" {
		return "0"
	}
	return strconv.Itoa(limit) // of memory and swap together
}

// writeExisting writes a file of the kernel, which alone makes such files. There
// is none for swap where the kernel does not count it.
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

// command is how to start a program in the group: a shell joins it and becomes
// the program.
func (g *cgroup) command(t *testing.T, name string) (shell string, args []string) {
	return "/bin/sh", []string{"-c", `echo $$ >"$0/cgroup.procs" && exec "$1"`, g.dir, program.Path(t, name)}
}

// String says how much was used at most.
func (g *cgroup) String() string {
	text, err := os.ReadFile(g.peak)
	bytes, parsed := strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64)
	if err != nil || parsed != nil {
		return g.dir + ", whose peak is not known"
	}
	return fmt.Sprintf("%s, which had %d MiB at most", g.dir, bytes>>20)
}
