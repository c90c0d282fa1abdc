package app

import (
	"context"
	"log/slog"
	"time"

	"github.com/seed-7a112592/gristmill/internal/goroutine"
)

// shutdownPhases are the parts of the shutdown time-out, in their order.
type shutdownPhases struct {
	finish time.Duration // no new work begins; running work may finish
	drain  time.Duration // contexts are cancelled; half is for steps to return, the rest to record that their tasks wait
	close  time.Duration // connections are closed
}

// maxDrainAndClose is longer than draining and closing should take.
const maxDrainAndClose = 8 * time.Second

// shutdownPhases divides the shutdown time-out: the last third, but at most maxDrainAndClose, is for
// draining and closing.
func (c *Config) shutdownPhases() shutdownPhases {
	end := min(c.ShutdownTimeout/3, maxDrainAndClose)
	return shutdownPhases{finish: c.ShutdownTimeout - end, drain: end / 2, close: end / 2}
}

// awaitWithinShutdown runs f, which should return soon after ctx has ended. After the end of ctx it
// waits no longer than the shutdown time-out; if f still runs, it ends with the process.
func awaitWithinShutdown(ctx context.Context, config Config, log *slog.Logger, f func() error) error {
	done := goroutine.Start(f)
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
	}
	timer := time.NewTimer(config.ShutdownTimeout)
	defer timer.Stop()
	select {
	case err := <-done:
		return err
	case <-timer.C:
		log.WarnContext(ctx, "stopping although some work has not ended", "waited", config.ShutdownTimeout)
		return context.Cause(ctx)
	}
}
