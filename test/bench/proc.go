package main

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// This file reads Linux's /proc.

// clockTick is the unit of CPU times in /proc, on every architecture.
const clockTick = 10 * time.Millisecond

// loadAverage returns the load averages of the last 1, 5 and 15 minutes.
func loadAverage() string {
	text, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return "unknown"
	}
	return strings.Join(strings.Fields(string(text))[:3], " ")
}

// peakRSS returns the peak resident set of a process, in bytes.
func peakRSS(pid int) (int64, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(text)) {
		if rest, ok := strings.CutPrefix(line, "VmHWM:"); ok {
			kib, err := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(rest), " kB"), 10, 64)
			return kib << 10, err
		}
	}
	return 0, fmt.Errorf("process %d has ended", pid)
}

// cpuTime returns the CPU time of a process and all its children, running or ended.
func cpuTime(pid int) time.Duration {
	own, ended, _ := readStat(pid)
	total := own + ended
	for _, child := range processIDs() {
		if own, ended, parent := readStat(child); parent == pid {
			total += own + ended
		}
	}
	return total
}

// readStat returns the CPU time of a process, that of its ended children, and the id of its parent.
// It returns zeros if the process has ended.
func readStat(pid int) (own, ended time.Duration, parent int) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, 0, 0
	}
	// The second field is the name, which may contain any character.
	fields := strings.Fields(string(text[bytes.LastIndexByte(text, ')')+1:]))
	field := func(n int) int { // numbered as in proc_pid_stat(5)
		v, _ := strconv.Atoi(fields[n-3])
		return v
	}
	return time.Duration(field(14)+field(15)) * clockTick, time.Duration(field(16)+field(17)) * clockTick, field(4)
}

func processIDs() []int {
	entries, _ := filepath.Glob("/proc/[0-9]*")
	var pids []int
	for _, entry := range entries {
		if pid, err := strconv.Atoi(filepath.Base(entry)); err == nil {
			pids = append(pids, pid)
		}
	}
	return pids
}

// listenerPID returns the id of the process on this machine that listens on the port of the address
// host:port.
func listenerPID(addr string) (pid int, err error) {
	_, port, err := net.SplitHostPort(addr)
	if err != nil {
		return 0, err
	}
	number, err := strconv.Atoi(port)
	if err != nil {
		return 0, err
	}
	sockets, err := os.ReadFile("/proc/net/tcp")
	if err != nil {
		return 0, err
	}
	const listening = "0A"
	for line := range strings.Lines(string(sockets)) {
		f := strings.Fields(line)
		if len(f) < 10 || f[3] != listening || !strings.HasSuffix(f[1], fmt.Sprintf(":%04X", number)) {
			continue
		}
		for _, pid := range processIDs() {
			if hasFileOpen(pid, "socket:["+f[9]+"]") {
				return pid, nil
			}
		}
	}
	return 0, errors.New("no process listens on " + addr)
}

// hasFileOpen reports whether a process has a file open.
func hasFileOpen(pid int, file string) bool {
	descriptors, _ := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", pid))
	for _, d := range descriptors {
		if target, err := os.Readlink(d); err == nil && target == file {
			return true
		}
	}
	return false
}
