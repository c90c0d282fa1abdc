// Package e2e_test drives the real programs as their users do: built, started
// as processes, and talked to over HTTP.
package e2e_test

import (
	"context"
	"flag"
	"os"
	"testing"
	"time"

	"github.com/seed-7a112592/gristmill/internal/test/program"
)

// waitTimeout bounds every wait. Reaching it is a failure, never a step.
const waitTimeout = 4 * time.Minute

func TestMain(m *testing.M) {
	_ = flag.Set("test.parallel", "6") // most of the time they wait
	status := m.Run()
	program.RemoveBinaries()
	os.Exit(status)
}

// timeoutContext returns a context that ends when patience does.
func timeoutContext(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), waitTimeout)
	t.Cleanup(cancel)
	return ctx
}
