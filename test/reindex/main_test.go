// Package reindex_test re-indexes with the real programs on real servers, while documents are
// searched, uploaded, edited and deleted.
//
// With -short, as in `make check`, the tests do less of everything; `make reindex` runs all of it.
package reindex_test

import (
	"flag"
	"os"
	"testing"

	"github.com/seed-7a112592/gristmill/internal/test/program"
)

func TestMain(m *testing.M) {
	flag.Parse()
	// Most tests search fifty times a second and share the processors with their programs, so only
	// a few run in parallel.
	_ = flag.Set("test.parallel", ifShort("4", "2"))
	status := m.Run()
	program.RemoveBinaries()
	os.Exit(status)
}

// ifShort returns its first argument with -short, else the second.
func ifShort[T any](less, all T) T {
	if testing.Short() {
		return less
	}
	return all
}
