package app

import (
	"context"
	"log/slog"
	"time"

	"github.com/seed-7a112592/gristmill/internal/goroutine"
)

// shutdownPhases is what becomes of the time that a process has to stop in. First
// what is under way may finish; nothing new is begun. Then contexts end, and
// what is still under way is handed back: half of that time is for steps to
// heed it, the rest for writing that their tasks wait. Then connections are closed.
type shutdownPhases struct {
	finish time.Duration
	drain  time.Duration
	close  time.Duration
}

// maxDrainAndClose is more than handing back and closing should take, however much
// time there is.
const maxDrainAndClose = 8 * time.Second

// shutdownPhases divides the shutdown timeout: the last third of it is for handing
// back and closing.
func (c *Config) shutdownPhases() shutdownPhases {
	end := min(c.ShutdownTimeout/3, maxDrainAndClose)
	return shutdownPhases{finish: c.ShutdownTimeout - end, drain: end / 2, close: end / 2}
}

// awaitWithinShutdown runs do, which is to return soon once ctx has ended, and waits
// for it no longer than the shutdown timeout after that: whatever hangs then is
// left to the end of the process.
func awaitWithinShutdown(ctx context.Context, config Config, log *slog.Logger, do func() error) error {
	done := goroutine.Start(do)
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
		log.WarnContext(ctx, "leaving what does not end", "waited", config.ShutdownTimeout)
		return context.Cause(ctx)
	}
}
