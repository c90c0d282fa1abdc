// Package e2e_test drives the real programs as their users do: built, started
// as processes, and talked to over HTTP.
package e2e_test

import (
	"context"
	"flag"
	"os"
	"testing"
	"time"

	"github.com/seed-7a112592/gristmill/test/program"
)

// patience bounds every wait. Reaching it is a failure, never a step.
const patience = 4 * time.Minute

func TestMain(m *testing.M) {
	_ = flag.Set("test.parallel", "6") // most of the time they wait
	status := m.Run()
	program.Remove()
	os.Exit(status)
}

// within returns a context that ends when patience does.
func within(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	return ctx
}
