package app

import (
	"context"
	"fmt"
	"io"
	"log/slog"

	"github.com/seed-7a112592/gristmill/pkg/backend/postgres"
)

// Migrate brings the database's tables up to date, as their owner, and makes
// the application role that GRISTMILL_DATABASE_URL names. Running it again, or
// twice at once, does no harm.
func Migrate(ctx context.Context, config Config, log *slog.Logger) error {
	err := postgres.Migrate(ctx, postgres.MigrateConfig{
		OwnerURL: config.MigrateDatabaseURL,
		AppURL:   config.DatabaseURL,
		Log:      log,
	})
	if err != nil {
		return fmt.Errorf("migrate: %w", err)
	}
	return nil
}

// Doctor looks at everything that a process stands on, prints the state of
// each part, and reports whether all is well.
func Doctor(ctx context.Context, config Config, log *slog.Logger, out io.Writer) (bool, error) {
	backends, err := connect(ctx, config, log)
	if err != nil {
		return false, err
	}
	defer backends.Close()
	well := true
	report := func(part string, err error) {
		if err != nil {
			well = false
			fmt.Fprintf(out, "✗ %-10s %v\n", part, err)
			return
		}
		fmt.Fprintf(out, "✓ %-10s ok\n", part)
	}
	report("database", backends.Store.Ping(ctx))
	report("objects", backends.Objects.Ping(ctx))
	report("redis", backends.Queue.Ping(ctx))
	_, err = backends.Models.Embed(ctx, config.model(), []string{"gristmill doctor"})
	report("embeddings", err)
	return well, nil
}
