package app

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/seed-7a112592/gristmill/internal/goroutine"
)

// listen opens the address of a process before its work begins, so that a port that is in use stops
// the start.
func listen(addr string) (net.Listener, error) {
	listener, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("listen on %s: %w; is another process using the port? set GRISTMILL_ADDR to another address", addr, err)
	}
	return listener, nil
}

// Serve answers requests until ctx ends. Then it accepts no new requests, waits for the running ones
// as long as the shutdown time-out allows, and closes the rest.
func Serve(ctx context.Context, listener net.Listener, handler http.Handler, config Config, log *slog.Logger) error {
	server := &http.Server{
		Handler: handler,
		// A body may take any time while it makes progress; package httpapi checks its progress.
		ReadHeaderTimeout: 10 * time.Second,
		IdleTimeout:       2 * time.Minute,
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}
	log.InfoContext(ctx, "listening", "addr", listener.Addr().String())
	stopped := goroutine.Start(func() error { return server.Serve(listener) })
	select {
	case err := <-stopped:
		return fmt.Errorf("serve %s: %w", listener.Addr(), err)
	case <-ctx.Done():
	}
	bound, cancel := context.WithTimeout(context.WithoutCancel(ctx), config.ShutdownTimeout-config.shutdownPhases().close)
	defer cancel()
	if err := server.Shutdown(bound); err != nil {
		log.WarnContext(ctx, "running requests were cut off", "error", err)
		return server.Close()
	}
	return nil
}
