package app

import (
	"context"
	"fmt"
	"log/slog"

	"github.com/seed-7a112592/gristmill/internal/backend/postgres"
)

// Migrate updates the tables of the database, with the role that owns them, and creates the roles
// that GRISTMILL_DATABASE_URL and GRISTMILL_INDEX_DATABASE_URL name. It may run any number of times,
// also at the same time.
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
