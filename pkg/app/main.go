package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"

	"github.com/seed-7a112592/gristmill/pkg/telemetry"
)

// The exit statuses of a process.
const (
	exitDone   = 0
	exitFailed = 1
	exitUsage  = 2 // the configuration cannot be used
)

// Main reads the configuration, which must also pass the checks, sets up the
// log and runs a program on real servers until ctx ends. It returns the
// process's exit status.
func Main(ctx context.Context, environ []string, stderr io.Writer, run func(context.Context, Config, *slog.Logger) error, checks ...Check) int {
	config, err := Load(environ, append(checks, Servers)...)
	if err != nil {
		fmt.Fprintln(stderr, err)
		return exitUsage
	}
	log, err := telemetry.NewLogger(stderr, config.LogFormat, config.LogLevel)
	if err != nil {
		fmt.Fprintln(stderr, err)
		return exitUsage
	}
	if err := run(ctx, config, log); err != nil && !errors.Is(err, context.Canceled) {
		log.ErrorContext(ctx, "stopped", "error", err)
		return exitFailed
	}
	log.InfoContext(ctx, "stopped")
	return exitDone
}
