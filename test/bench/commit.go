package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"

	"github.com/seed-7a112592/gristmill/test/fakeprovider"
	"github.com/seed-7a112592/gristmill/test/repository"
)

// beforeScale is the commit that ingestion was made cheaper after.
const beforeScale = "69ab83c"

// cpuOfIngestion is how much CPU time the worker and PostgreSQL take together
// for what throughput measures, as a part of what they take with the programs
// of another commit. The two are measured in turn: what else the machine does
// is the same for both.
func cpuOfIngestion(b *bench) {
	bin := buildCommit(b, b.base)
	var before, after, ratios []float64
	for range b.runs {
		for _, side := range []struct {
			name, bin string
			costs     *[]float64
		}{{b.base, bin, &before}, {"now", "", &after}} {
			b.must(func(b *bench) {
				did := ingestCorpus(b, side.bin, fakeprovider.Options{})
				*side.costs = append(*side.costs, did.cost("worker", "postgres"))
				b.note("%s: worker %.3f and PostgreSQL %.3f CPU seconds for 1,000 passages; %s", side.name, did.cost("worker"), did.cost("postgres"), did)
			})
		}
		ratios = append(ratios, after[len(after)-1]/before[len(before)-1])
	}
	b.report(result{name: "CPU of worker and PostgreSQL, " + b.base + " (median)", value: median(before), unit: "s/1,000 passages"})
	b.report(result{name: "CPU of worker and PostgreSQL, now (median)", value: median(after), unit: "s/1,000 passages"})
	b.report(result{"now over " + b.base + " (median of pairs)", median(ratios), "", atMost, 0.6})
}

// buildCommit builds the programs of a commit and returns their directory.
func buildCommit(b *bench, commit string) (bin string) {
	root, err := repository.Root()
	if err != nil {
		b.Fatal(err)
	}
	dir, err := os.MkdirTemp("", "gristmill-commit-")
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { os.RemoveAll(dir) })
	archive := exec.CommandContext(b.ctx, "git", "archive", commit, "cmd", "pkg", "migrations", "go.mod", "go.sum")
	archive.Dir = root
	files, err := archive.Output()
	if err != nil {
		b.Fatalf("commit %s, which -base names, is not in the repository: %v", commit, err)
	}
	unpack := exec.CommandContext(b.ctx, "tar", "-x")
	unpack.Dir, unpack.Stdin = dir, bytes.NewReader(files)
	if out, err := unpack.CombinedOutput(); err != nil {
		b.Fatalf("unpack commit %s: %v\n%s", commit, err, out)
	}
	bin = filepath.Join(dir, "bin") + string(filepath.Separator)
	build := exec.CommandContext(b.ctx, "go", "build", "-o", bin, "./cmd/api", "./cmd/worker-knowledge", "./cmd/gristmill")
	build.Dir = dir
	if out, err := build.CombinedOutput(); err != nil {
		b.Fatal(fmt.Errorf("build commit %s: %w\n%s", commit, err, out))
	}
	return bin
}
