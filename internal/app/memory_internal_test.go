package app

import (
	"log/slog"
	"math"
	"runtime/debug"
	"testing"
	"testing/fstest"
)

func TestCgroupLimit(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		files map[string]string
		want  int64 // 0 for none
	}{
		"no cgroups": {map[string]string{}, 0},
		"version 2, in a container": {map[string]string{
			"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/memory.max": "536870912\n"}, 536870912},
		"version 2, no limit": {map[string]string{
			"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/memory.max": "max\n"}, 0},
		"version 2, a service in a slice with a lower limit": {map[string]string{
			"proc/self/cgroup":                           "0::/a.slice/b.service\n",
			"sys/fs/cgroup/a.slice/memory.max":           "1000000\n",
			"sys/fs/cgroup/a.slice/b.service/memory.max": "2000000\n",
		}, 1000000},
		"version 1": {map[string]string{
			"proc/self/cgroup": "5:cpu,cpuacct:/x\n4:memory:/docker/f00\n1:name=systemd:/x\n0::/\n",
			"sys/fs/cgroup/memory/docker/f00/memory.limit_in_bytes": "268435456\n",
			"sys/fs/cgroup/memory/memory.limit_in_bytes":            "9223372036854771712\n",
		}, 268435456},
		"version 1, in a container that sees the host's path": {map[string]string{
			"proc/self/cgroup":                           "4:memory:/docker/f00\n",
			"sys/fs/cgroup/memory/memory.limit_in_bytes": "268435456\n",
		}, 268435456},
		"version 1, no limit": {map[string]string{
			"proc/self/cgroup":                           "4:memory:/\n",
			"sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712\n",
		}, 0},
		"invalid": {map[string]string{"proc/self/cgroup": "x\n\n0::\n:memory:/../..\n", "sys/fs/cgroup/memory.max": "-5\n"}, 0},
	} {
		root := fstest.MapFS{}
		for file, text := range test.files {
			root[file] = &fstest.MapFile{Data: []byte(text)}
		}
		if got, ok := cgroupLimit(root); ok != (test.want > 0) || ok && got != test.want {
			t.Errorf("%s: %d, %v, want %d", name, got, ok, test.want)
		}
	}
}

// The test is not parallel, because the limit belongs to the process.
func TestLimitMemoryKeepsGOMEMLIMIT(t *testing.T) {
	before := debug.SetMemoryLimit(-1)
	defer debug.SetMemoryLimit(before)
	debug.SetMemoryLimit(math.MaxInt64 - 7)
	LimitMemory([]string{"GOMEMLIMIT=1GiB"}, slog.New(slog.DiscardHandler))
	if got := debug.SetMemoryLimit(-1); got != math.MaxInt64-7 {
		t.Errorf("the limit is %d, want it unchanged", got)
	}
}
