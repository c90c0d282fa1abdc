// Package reindex_test re-indexes with the real programs on real servers, while
// documents are searched, uploaded, edited and deleted.
//
// With -short there is less of everything, for `make check`; `make reindex` does
// it all.
package reindex_test

import (
	"flag"
	"os"
	"testing"

	"github.com/seed-7a112592/gristmill/internal/test/program"
)

func TestMain(m *testing.M) {
	flag.Parse()
	// Most tests search fifty times a second, and their programs share the
	// processors with them.
	_ = flag.Set("test.parallel", ifShort("4", "2"))
	status := m.Run()
	program.RemoveBinaries()
	os.Exit(status)
}

// ifShort returns the first of two amounts with -short, else the second.
func ifShort[T any](less, all T) T {
	if testing.Short() {
		return less
	}
	return all
}
