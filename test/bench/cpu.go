package main

import (
	"fmt"
	"net/url"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/seed-7a112592/gristmill/internal/test/program"
)

// The environment variables with the servers' addresses.
const (
	postgresEnv = "GRISTMILL_TEST_POSTGRES_URL"
	redisEnv    = "GRISTMILL_TEST_REDIS_URL"
	s3Env       = "GRISTMILL_TEST_S3_ENDPOINT"
)

// cpuMeter measures the CPU time of processes since they were added.
type cpuMeter struct {
	names      []string
	pids       []int
	startTimes []time.Duration
}

// watchCPU starts to measure the provider, the API server, and the servers that run on this
// machine.
func (s *installation) watchCPU() *cpuMeter {
	u := &cpuMeter{}
	u.add("provider", s.provider)
	u.add("api", s.api)
	for _, server := range []struct{ name, env string }{{"postgres", postgresEnv}, {"redis", redisEnv}, {"minio", s3Env}} {
		if pid, err := serverPID(server.env); err == nil {
			u.addPID(server.name, pid)
		}
	}
	return u
}

// add starts to measure a program.
func (u *cpuMeter) add(name string, p *program.Program) { u.addPID(name, p.PID()) }

func (u *cpuMeter) addPID(name string, pid int) {
	u.names, u.pids = append(u.names, name), append(u.pids, pid)
	u.startTimes = append(u.startTimes, cpuTime(pid))
}

// usage returns the CPU time of each process since it was added.
func (u *cpuMeter) usage() cpuUsage {
	used := make(cpuUsage, len(u.names))
	for i, name := range u.names {
		used[i] = processUse{name, cpuTime(u.pids[i]) - u.startTimes[i]}
	}
	return used
}

// cpuUsage is the CPU time of several processes.
type cpuUsage []processUse

type processUse struct {
	name string
	time time.Duration
}

// seconds returns the sum for the named processes, in seconds.
func (u cpuUsage) seconds(names ...string) (seconds float64) {
	for _, p := range u {
		if slices.Contains(names, p.name) {
			seconds += p.time.Seconds()
		}
	}
	return seconds
}

func (u cpuUsage) String() string {
	var total time.Duration
	parts := make([]string, len(u))
	for i, p := range u {
		total += p.time
		parts[i] = fmt.Sprintf("%s %.1f", p.name, p.time.Seconds())
	}
	return fmt.Sprintf("%s; total %.1f", strings.Join(parts, ", "), total.Seconds())
}

func serverPID(env string) (int, error) {
	address, err := url.Parse(os.Getenv(env))
	if err != nil {
		return 0, err
	}
	return listenerPID(address.Host)
}
