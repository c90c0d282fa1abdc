package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"text/tabwriter"
	"time"

	"github.com/seed-7a112592/gristmill/internal/backend/progress"
	"github.com/seed-7a112592/gristmill/internal/fault"
)

// checkModels returns why a model is not asked, if one is not: it is not
// configured right, or its provider is away. One that is busy is no failure.
// Where none is held, the model of collections that hold nothing may still have
// answered with vectors that do not fit the configuration.
func (b *Backends) checkModels(ctx context.Context) error {
	// Without Redis a process knows of its own holds; that Redis is away is said
	// by another check.
	holds, _ := b.RateLimiter.Holds(ctx)
	var reasons []error
	for _, hold := range holds {
		if hold.Kind != fault.RateLimited {
			reasons = append(reasons, fmt.Errorf("model %s: %s; it is tried again in %s", hold.Model, hold.Reason, hold.Remaining.Round(time.Second)))
		}
	}
	if len(reasons) == 0 {
		return b.ConfiguredModel.Check(ctx)
	}
	return errors.Join(reasons...)
}

// RequireRedis reports what is missing to see which models are held.
func RequireRedis(c Config) []error { return checkSet(c, "REDIS_URL") }

// PrintModels prints which models are not asked, and why; with lift the next
// request tries them.
func PrintModels(ctx context.Context, config Config, log *slog.Logger, lift bool, out io.Writer) error {
	state, err := progress.NewStore(progress.Config{RedisURL: config.RedisURL, Log: log})
	if err != nil {
		return err
	}
	defer state.Close()
	pace := progress.NewRateLimiter(state)
	holds, err := pace.Holds(ctx)
	if err != nil {
		return err
	}
	if len(holds) == 0 {
		fmt.Fprintln(out, "no model is held")
		return nil
	}
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "MODEL\tHELD\tTRIES\tNEXT TRY\tREASON")
	for _, hold := range holds {
		next := "in " + hold.Remaining.Round(time.Second).String()
		if lift {
			if _, err := pace.RetryHeldModel(ctx, hold.Model); err != nil {
				return err
			}
			hold.Remaining = 0
		}
		if hold.Remaining == 0 {
			next = "now"
		}
		fmt.Fprintf(table, "%s\t%s\t%d\t%s\t%s\n", hold.Model, hold.Kind, hold.Tries, next, hold.Reason)
	}
	return table.Flush()
}
