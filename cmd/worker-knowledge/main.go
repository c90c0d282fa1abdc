// Command worker-knowledge makes documents searchable.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"github.com/seed-7a112592/gristmill/internal/app"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	status := app.Main(ctx, os.Environ(), os.Stderr, app.RunWorkerKnowledge)
	stop()
	os.Exit(status)
}
