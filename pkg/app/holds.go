package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"text/tabwriter"
	"time"

	"github.com/seed-7a112592/gristmill/pkg/backend/live"
	"github.com/seed-7a112592/gristmill/pkg/fault"
)

// modelsAnswer returns why a model is not asked, if one is not: it is not
// configured right, or its provider is away. One that is busy is no failure.
// Where none is held, the model of collections that hold nothing may still have
// answered with vectors that do not fit the configuration.
func (b *Backends) modelsAnswer(ctx context.Context) error {
	// Without Redis a process knows of its own holds; that Redis is away is said
	// by another check.
	holds, _ := b.Pace.Holds(ctx)
	var reasons []error
	for _, hold := range holds {
		if hold.Kind != fault.RateLimited {
			reasons = append(reasons, fmt.Errorf("model %s: %s; it is tried again in %s", hold.Model, hold.Reason, hold.Left.Round(time.Second)))
		}
	}
	if len(reasons) == 0 {
		return b.Configured.Check(ctx)
	}
	return errors.Join(reasons...)
}

// Paced reports what is missing to see which models are held.
func Paced(c Config) []error { return missing(c, "REDIS_URL") }

// Models prints which models are not asked, and why; with lift the next
// request tries them.
func Models(ctx context.Context, config Config, log *slog.Logger, lift bool, out io.Writer) error {
	state, err := live.New(live.Config{RedisURL: config.RedisURL, Log: log})
	if err != nil {
		return err
	}
	defer state.Close()
	pace := live.NewPace(state)
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
		next := "in " + hold.Left.Round(time.Second).String()
		if lift {
			if _, err := pace.Hurry(ctx, hold.Model); err != nil {
				return err
			}
			hold.Left = 0
		}
		if hold.Left == 0 {
			next = "now"
		}
		fmt.Fprintf(table, "%s\t%s\t%d\t%s\t%s\n", hold.Model, hold.Kind, hold.Tries, next, hold.Reason)
	}
	return table.Flush()
}
