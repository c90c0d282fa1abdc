// Package providers_test has a provider misbehave in every way that
// docs/providers.md lists, under the real programs on real servers.
package providers_test

import (
	"flag"
	"os"
	"testing"

	"github.com/seed-7a112592/gristmill/internal/test/program"
)

func TestMain(m *testing.M) {
	flag.Parse()
	// Most of what these tests do is wait for the programs.
	_ = flag.Set("test.parallel", "6")
	status := m.Run()
	program.RemoveBinaries()
	os.Exit(status)
}
