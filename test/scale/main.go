// Command scale measures how cost grows with what is stored: each figure at N,
// 10 N and 100 N, as ratios of one run, against the bounds that docs/scale.md
// reports. Rows are made by the product and multiplied by SQL; what they are
// like then is compared with what the product made. It needs the servers of
// `scripts/services up`, which `make scale` starts, and Linux, for what /proc
// says of a process. Its exit status is 1 when a bound is exceeded or a figure
// cannot be measured.
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

// options are how much is measured.
type options struct {
	n       int            // smallest number of documents
	vectors int            // largest number of passages of the vector search
	rounds  int            // how often each call is measured at each size
	only    *regexp.Regexp // names of the figures that are measured
	keep    bool           // the databases
	base    string         // commit whose tables are upgraded
}

// series is a set of databases that differ in the number of one thing, and what
// is measured on them.
type series struct {
	name    string
	sizes   func(o options) []int
	old     bool // the tables are those of the commit -base, and there is no store
	fill    func(d *database)
	figures []figure
}

// figure is something that is measured on the databases of a series, the
// smallest first.
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
	flags.IntVar(&o.rounds, "rounds", 40, "how often each call is measured at each size")
	only := flags.String("only", "", "measure only figures whose names, such as documents/sweep, match this `regexp`")
	flags.StringVar(&o.base, "base", baselineCommit, "the `commit` whose tables upgrade/migrate brings up to date")
	flags.BoolVar(&o.keep, "keep", false, "leave the databases and say where they are")
	if err := flags.Parse(args); err != nil {
		return 2
	}
	var err error
	if o.only, err = regexp.Compile(*only); err != nil || o.n < 1000 || o.vectors < 10_000 || o.rounds < 1 || flags.NArg() > 0 {
		fmt.Fprintln(os.Stderr, "scale: -only takes a regular expression, -n a number from 1000, -vectors one from 10000, -rounds one from 1, and there are no other arguments")
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

// run makes the databases of the series, if one of its figures is wanted, and
// measures these. A figure that cannot be measured keeps no other.
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
				fmt.Printf("    kept: %s\n", d.site.OwnerURL)
			}
			p.DiscardCleanups()
		}
	})
	return r.exceeded, errors.Join(append(errs, err)...)
}
