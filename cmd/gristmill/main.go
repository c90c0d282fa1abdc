// Command gristmill is the command line. It runs everything in one process (dev), is a client of a
// server (upload, jobs, search, reindex), and administers servers (migrate, doctor, models, verify).
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"github.com/seed-7a112592/gristmill/internal/devmode"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	status := devmode.Command(ctx, os.Args[1:], os.Environ(), os.Stdout, os.Stderr)
	stop()
	os.Exit(status)
}
