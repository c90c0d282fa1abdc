package main

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/seed-7a112592/gristmill/internal/test/program"
	"github.com/seed-7a112592/gristmill/pkg/client"
	"github.com/seed-7a112592/gristmill/pkg/document"
)

const maxMemoryRatio = 1.2

// measureMemory measures the peak resident set of the programs, and the largest private memory of a
// database connection of theirs, after the same requests at every size.
func measureMemory(r *report, of []*database) {
	names := []string{"api", "worker-knowledge", "worker-summary"}
	resident := map[string][]float64{}
	var connection []float64
	for _, d := range of {
		programs := map[string]*program.Program{}
		for _, name := range names {
			programs[name] = d.installation.Start(name)
		}
		d.exerciseAPI(programs["api"].Client(program.APIKey))
		for _, name := range names {
			resident[name] = append(resident[name], d.procStatusMiB(programs[name].PID(), "VmHWM"))
		}
		connection = append(connection, d.connectionMemory())
		for _, name := range names {
			programs[name].Kill()
		}
	}
	for _, name := range names {
		r.printRatio(name+", peak RSS", "MiB", resident[name], maxMemoryRatio)
	}
	r.printRatio("a database connection, the largest", "MiB", connection, maxMemoryRatio)
}

// exerciseAPI makes the programs do all kinds of work. If jobs are waiting, it waits until the
// workers have processed some; otherwise it uploads documents.
func (d *database) exerciseAPI(c *client.Client) {
	const uploads, searches, polls = 32, 200, 200
	ctx := d.Context()
	var job document.Job
	if d.fixture.jobsWait {
		d.awaitEndedJobs(min(300, d.smallest/2))
	} else {
		for i := range uploads {
			text := fmt.Sprintf("# Yield\n\nLot %s gave %d sacks.\n", uuid.NewString(), i)
			accepted, err := c.Upload(ctx, document.UploadRequest{
				Collection: d.fixture.collection(), Key: uuid.NewString(), MediaType: "text/markdown",
			}, strings.NewReader(text))
			d.must(err)
			job = accepted.Job
		}
		ended, err := c.AwaitJob(ctx, job.ID, 50*time.Millisecond, func(document.Job) {})
		d.must(err)
		if ended.State != document.JobSucceeded {
			d.Fatalf("%s: the job of an upload is %s: %s", formatCount(d.size), ended.State, ended.Error)
		}
		for range polls {
			_, err := c.Job(ctx, job.ID, 0)
			d.must(err)
		}
	}
	for i := range searches {
		_, err := c.Search(ctx, document.SearchRequest{Collection: d.fixture.collection(), Query: fmt.Sprintf("How many sacks did lot %d give?", i)})
		d.must(err)
	}
	for range 10 {
		_, err := c.Documents(ctx, document.DocumentFilter{}, document.Page{Limit: 100})
		d.must(err)
		_, err = c.Jobs(ctx, document.JobFilter{}, document.Page{Limit: 100})
		d.must(err)
	}
}

// awaitEndedJobs waits until n jobs have failed, which is how the waiting jobs end.
func (d *database) awaitEndedJobs(n int) {
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	limit := time.After(5 * time.Minute)
	for {
		var ended int
		d.must(d.owner.QueryRow(d.ctx, `SELECT count(*) FROM (SELECT FROM public.jobs WHERE state = 'failed' LIMIT $1) AS ended`, n).Scan(&ended))
		if ended >= n {
			return
		}
		select {
		case <-tick.C:
		case <-limit:
			d.Fatalf("%s: the workers ended %d jobs, want %d", formatCount(d.size), ended, n)
		case <-d.ctx.Done():
			d.Fatal(d.ctx.Err())
		}
	}
}

// connectionMemory returns the private memory of the programs' largest database connection, in MiB.
// The server must run on this machine.
func (d *database) connectionMemory() (largest float64) {
	for _, pid := range d.queryTexts(`
		SELECT pid::text FROM pg_stat_activity WHERE datname = current_database() AND usename = $1`, roleOf(d, d.installation.AppURL)) {
		id, err := strconv.Atoi(pid)
		d.must(err)
		command, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", id))
		if err != nil || !bytes.Contains(command, []byte("postgres")) {
			continue // it has ended, or the server is on another machine
		}
		largest = max(largest, d.procStatusMiB(id, "RssAnon"))
	}
	if largest == 0 {
		d.Fatalf("no database connection of the programs is a process on this machine")
	}
	return largest
}

// procStatusMiB returns a field of /proc/PID/status in MiB.
func (d *database) procStatusMiB(pid int, field string) float64 {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	d.must(err)
	for line := range strings.Lines(string(text)) {
		if rest, ok := strings.CutPrefix(line, field+":"); ok {
			kib, err := strconv.ParseFloat(strings.TrimSuffix(strings.TrimSpace(rest), " kB"), 64)
			d.must(err)
			return kib / 1024
		}
	}
	d.Fatalf("process %d has ended", pid)
	return 0
}
