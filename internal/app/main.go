package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"

	"github.com/seed-7a112592/gristmill/internal/goroutine"
	"github.com/seed-7a112592/gristmill/internal/server/httpapi"
	"github.com/seed-7a112592/gristmill/internal/telemetry"
)

// Exit statuses of a process.
const (
	exitDone   = 0
	exitFailed = 1
	exitUsage  = 2 // the configuration is invalid
)

// Main reads and checks the configuration, sets up the log, and runs a program on real servers until
// ctx ends. It returns the exit status of the process.
func Main(ctx context.Context, environ []string, stderr io.Writer, run func(context.Context, Config, *slog.Logger) error, checks ...Check) int {
	config, err := Load(environ, append(checks, RequireServers)...)
	if err != nil {
		fmt.Fprintln(stderr, err)
		return exitUsage
	}
	log, err := telemetry.NewLogger(stderr, config.LogFormat, config.LogLevel)
	if err != nil {
		fmt.Fprintln(stderr, err)
		return exitUsage
	}
	LimitMemory(environ, log)
	if err := run(ctx, config, log); err != nil && !errors.Is(err, context.Canceled) {
		log.ErrorContext(ctx, "stopped", "error", err)
		return exitFailed
	}
	log.InfoContext(ctx, "stopped")
	return exitDone
}

// run opens the backends on real servers, serves the handler on the configured address, and runs the
// work functions at the same time, until ctx ends or one of them fails.
func run(ctx context.Context, config Config, log *slog.Logger,
	newHandler func(context.Context, Config, *Backends) (http.Handler, error),
	work ...func(context.Context, Config, *Backends) error,
) error {
	backends, err := connect(ctx, config, log)
	if err != nil {
		return err
	}
	group, ctx := goroutine.WithContext(ctx)
	handler, err := newHandler(ctx, config, backends)
	if err != nil {
		backends.Close()
		return err
	}
	listener, err := listen(config.Addr)
	if err != nil {
		backends.Close()
		return err
	}
	group.Go(func() error { return Serve(ctx, listener, handler, config, log) })
	group.Go(func() error { WarnOfModelMismatches(ctx, config, backends); return nil })
	for _, f := range work {
		group.Go(func() error { return f(ctx, config, backends) })
	}
	return awaitWithinShutdown(ctx, config, log, func() error {
		defer backends.Close()
		return group.Wait()
	})
}

// workerHealth returns the handler of a worker, which serves only health and metrics.
func workerHealth(_ context.Context, config Config, b *Backends) (http.Handler, error) {
	return telemetry.NewHealthHandler(telemetry.HealthConfig{Metrics: b.Metrics, Checks: b.readinessChecks(), Trusted: config.isTrusted})
}

// isTrusted reports whether a request may read which servers a process uses and why they fail: it
// has the key, or no key is configured and only this machine can reach the process.
func (c *Config) isTrusted(r *http.Request) bool {
	if c.APIKey == "" {
		return isLoopback(c.Addr) && httpapi.IsLocal(r)
	}
	return httpapi.HasKey(r, c.APIKey)
}
