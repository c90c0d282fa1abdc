// Package e2e_test tests the real programs as users run them: built, started as processes, and
// called over HTTP.
package e2e_test

import (
	"context"
	"flag"
	"os"
	"testing"
	"time"

	"github.com/seed-7a112592/gristmill/internal/test/program"
)

// waitTimeout limits every wait. A test that reaches it fails.
const waitTimeout = 4 * time.Minute

func TestMain(m *testing.M) {
	_ = flag.Set("test.parallel", "6") // tests spend most of their time waiting
	status := m.Run()
	program.RemoveBinaries()
	os.Exit(status)
}

// timeoutContext returns a context that ends after waitTimeout.
func timeoutContext(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), waitTimeout)
	t.Cleanup(cancel)
	return ctx
}
