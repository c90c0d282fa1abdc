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

// checkModels returns an error if a model is held because its configuration is wrong or its provider
// is down. A model that is only rate limited is no error. If no model is held, checkModels returns
// the result of the last probe of the configured model, whose vectors may not fit the configuration.
func (b *Backends) checkModels(ctx context.Context) error {
	// Without Redis, a process knows only its own holds. Another check reports Redis.
	holds, _ := b.RateLimiter.Holds(ctx)
	var reasons []error
	for _, hold := range holds {
		if hold.Kind != fault.RateLimited {
			reasons = append(reasons, fmt.Errorf("model %s: %s; next try in %s", hold.Model, hold.Reason, hold.Remaining.Round(time.Second)))
		}
	}
	if len(reasons) == 0 {
		return b.ConfiguredModel.Check(ctx)
	}
	return errors.Join(reasons...)
}

// RequireRedis returns an error if the setting is missing that is needed to read the held models.
func RequireRedis(c Config) []error { return checkSet(c, "REDIS_URL") }

// PrintModels prints the held models, and why they are held. If lift is true, it ends the holds, so
// that the next request tries each model again.
func PrintModels(ctx context.Context, config Config, log *slog.Logger, lift bool, out io.Writer) error {
	store, err := progress.NewStore(progress.Config{RedisURL: config.RedisURL, Log: log})
	if err != nil {
		return err
	}
	defer store.Close()
	limiter := progress.NewRateLimiter(store)
	holds, err := limiter.Holds(ctx)
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
			if _, err := limiter.RetryHeldModel(ctx, hold.Model); err != nil {
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
