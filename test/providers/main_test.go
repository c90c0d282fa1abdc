// Package providers_test runs the real programs on real servers with a provider that misbehaves in
// every way listed in docs/providers.md.
package providers_test

import (
	"flag"
	"os"
	"testing"

	"github.com/seed-7a112592/gristmill/internal/test/program"
)

func TestMain(m *testing.M) {
	flag.Parse()
	// Tests run in parallel, because most of their time is spent waiting for the programs.
	_ = flag.Set("test.parallel", "6")
	status := m.Run()
	program.RemoveBinaries()
	os.Exit(status)
}
