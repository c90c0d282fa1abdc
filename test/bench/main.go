// Command bench measures what docs/performance.md reports: the real programs,
// as separate processes on real servers, against stated bounds. It needs the
// servers of `scripts/services up`, which `make bench` starts, and Linux, for
// what /proc says of a process. Its exit status is 1 when a bound is missed or
// a figure cannot be measured.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"regexp"
	"syscall"
)

// figure is something to measure, by one function that reports to b what it
// finds.
type figure struct {
	name    string
	measure func(b *bench)
}

func figures() []figure {
	return []figure{
		{"throughput", measureThroughput},
		{"cpu", measureIngestCPU},
		{"capacity", measureCapacity},
		{"workers", measureWorkers},
		{"idle", measureIdleCPU},
		{"worker-memory", measureWorkerMemory},
		{"api-memory", measureAPIMemory},
		{"upload-memory", measureUploadMemory},
		{"splitter", measureSplitter},
		{"queue", measureQueueRate},
		{"reindex", measureReindexRate},
		{"reindex-search", measureReindexSearch},
		{"recall", measureRecall},
	}
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	status := run(ctx, os.Args[1:])
	stop()
	os.Exit(status)
}

func run(ctx context.Context, args []string) int {
	if len(args) > 0 && args[0] == "provider" {
		return runProvider(ctx, args[1:])
	}
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	pattern := flags.String("run", "", "measure only the figures whose names match this `regexp`")
	runs := flags.Int("runs", 3, "how often to measure what is measured more than once")
	base := flags.String("base", baselineCommit, "the `commit` that cpu compares with")
	if err := flags.Parse(args); err != nil {
		return 2
	}
	wanted, err := regexp.Compile(*pattern)
	if err != nil || *runs < 1 || flags.NArg() > 0 {
		fmt.Fprintln(os.Stderr, "bench: -run takes a regular expression, -runs a number above 0, and there are no other arguments")
		return 2
	}

	b := newBench(ctx, *runs, *base)
	defer b.RunCleanups()
	status := 0
	if err := b.run(describeMachine); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		return 1
	}
	for _, f := range figures() {
		if !wanted.MatchString(f.name) {
			continue
		}
		fmt.Printf("\n%s (load %s)\n", f.name, loadAverage())
		err := b.run(f.measure)
		if ctx.Err() != nil {
			fmt.Fprintln(os.Stderr, "bench: interrupted")
			return 1
		}
		if err != nil {
			fmt.Fprintf(os.Stderr, "bench: %s: %v\n", f.name, err)
			status = 1
		}
	}
	if *b.boundMissed {
		status = 1
	}
	return status
}
