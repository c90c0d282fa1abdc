package app

import (
	"context"
	"fmt"
	"log/slog"

	"github.com/seed-7a112592/gristmill/internal/backend/postgres"
)

// Migrate brings the database's tables up to date, as their owner, and makes
// the roles that GRISTMILL_DATABASE_URL and GRISTMILL_INDEX_DATABASE_URL name.
// Running it again, or twice at once, does no harm.
func Migrate(ctx context.Context, config Config, log *slog.Logger) error {
	err := postgres.Migrate(ctx, postgres.MigrateConfig{
		OwnerURL: config.MigrateDatabaseURL,
		AppURL:   config.DatabaseURL,
		IndexURL: config.IndexDatabaseURL,
		Log:      log,
	})
	if err != nil {
		return fmt.Errorf("migrate: %w", err)
	}
	return nil
}
