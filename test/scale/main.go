// Command scale measures how cost grows with the amount of stored data. It measures each figure at
// N, 10 N and 100 N and compares the ratios with the bounds in docs/scale.md. The product stores
// documents, SQL clones them, and a check compares the clones with what the product stored. It
// needs the servers of `scripts/services up`, which `make scale` starts, and Linux, because it
// reads /proc. It exits with status 1 if a bound is exceeded or a figure cannot be measured.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"regexp"
	"slices"
	"strings"
	"syscall"

	"github.com/seed-7a112592/gristmill/internal/test/program"
	"github.com/seed-7a112592/gristmill/internal/test/standalone"
)

// options define what is measured.
type options struct {
	n       int            // smallest number of documents
	vectors int            // largest number of passages of the vector search
	rounds  int            // number of measurements of each call at each size
	only    *regexp.Regexp // names of the figures that are measured
	keep    bool           // keep the databases
	base    string         // commit whose tables are upgraded
}

// series is a set of databases that differ in the number of one kind of object, and the figures
// measured on them.
type series struct {
	name    string
	sizes   func(o options) []int
	old     bool // the tables are those of the commit -base, and there is no store
	fill    func(d *database)
	figures []figure
}

// figure is measured on the databases of a series, which are passed in order of size, smallest
// first.
type figure struct {
	name    string
	measure func(r *report, of []*database)
}

func allSeries() []series {
	return []series{collectionSeries, documentSeries, queueSeries, vectorSeries, upgradeSeries}
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	status := run(ctx, os.Args[1:])
	stop()
	os.Exit(status)
}

func run(ctx context.Context, args []string) int {
	o := options{}
	flags := flag.NewFlagSet("scale", flag.ContinueOnError)
	flags.IntVar(&o.n, "n", 10_000, "the smallest `number` of documents; the largest is 100 times that, with 10 passages each")
	flags.IntVar(&o.vectors, "vectors", 100_000, "the largest `number` of passages of 384 dimensions; indexing 1,000,000 takes two cores an hour or more")
	flags.IntVar(&o.rounds, "rounds", 40, "the `number` of measurements of each call at each size")
	only := flags.String("only", "", "measure only figures whose names, such as documents/sweep, match this `regexp`")
	flags.StringVar(&o.base, "base", baselineCommit, "the `commit` from whose tables upgrade/migrate migrates")
	flags.BoolVar(&o.keep, "keep", false, "keep the databases and print their URLs")
	if err := flags.Parse(args); err != nil {
		return 2
	}
	var err error
	if o.only, err = regexp.Compile(*only); err != nil || o.n < 1000 || o.vectors < 10_000 || o.rounds < 1 || flags.NArg() > 0 {
		fmt.Fprintln(os.Stderr, "scale: -only needs a regular expression, -n a number of at least 1000, -vectors of at least 10000, -rounds of at least 1; other arguments are not allowed")
		return 2
	}
	defer program.RemoveBinaries()
	status := 0
	for _, s := range allSeries() {
		exceeded, err := s.run(ctx, o)
		if err != nil {
			fmt.Fprintf(os.Stderr, "scale: %s: %v\n", s.name, err)
		}
		if ctx.Err() != nil {
			fmt.Fprintln(os.Stderr, "scale: interrupted")
			return 1
		}
		if exceeded || err != nil {
			status = 1
		}
	}
	return status
}

// run creates the databases of the series, if one of its figures is selected, and measures the
// selected figures. If one figure cannot be measured, the others are measured nevertheless.
func (s series) run(ctx context.Context, o options) (exceeded bool, err error) {
	wanted := slices.DeleteFunc(slices.Clone(s.figures), func(f figure) bool { return !o.only.MatchString(s.name + "/" + f.name) })
	if len(wanted) == 0 {
		return false, nil
	}
	r := &report{rounds: o.rounds}
	var errs []error
	err = standalone.Run(ctx, "scale_"+s.name, func(p *standalone.TB) {
		sizes := s.sizes(o)
		fmt.Printf("\n%s: %s (load %s)\n", s.name, strings.Join(formatCounts(sizes), ", "), loadAverage())
		var all []*database
		bin := ""
		if s.old {
			bin = program.BuildCommit(p, o.base)
		}
		for _, size := range sizes {
			all = append(all, newDatabase(p, bin, size, sizes[0], s.fill))
		}
		r.heading(sizes)
		for _, f := range wanted {
			if err := standalone.Run(ctx, f.name, func(p *standalone.TB) { f.measure(r.forFigure(p, f.name), all) }); err != nil {
				errs = append(errs, fmt.Errorf("%s: %w", f.name, err))
			}
		}
		if o.keep {
			for _, d := range all {
				fmt.Printf("    kept: %s\n", d.installation.OwnerURL)
			}
			p.DiscardCleanups()
		}
	})
	return r.exceeded, errors.Join(append(errs, err)...)
}
