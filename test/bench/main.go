// Command bench measures the figures in docs/performance.md: it runs the real programs as separate
// processes on real servers, and compares the results with bounds. It needs the servers of
// `scripts/services up`, which `make bench` starts, and Linux, because it reads /proc. It exits
// with status 1 if a bound is missed or a figure cannot be measured.
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

// figure is something to measure. measure reports its results to b.
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
	runs := flags.Int("runs", 3, "the `number` of measurements of each figure that is measured repeatedly")
	base := flags.String("base", baselineCommit, "the `commit` with which the figure cpu compares")
	if err := flags.Parse(args); err != nil {
		return 2
	}
	wanted, err := regexp.Compile(*pattern)
	if err != nil || *runs < 1 || flags.NArg() > 0 {
		fmt.Fprintln(os.Stderr, "bench: -run needs a regular expression, -runs a number above 0; other arguments are not allowed")
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
