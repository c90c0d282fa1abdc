package postgres

import (
	"context"
	"database/sql"
	"fmt"
	"log/slog"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/lock"

	"github.com/seed-7a112592/gristmill/migrations"
)

// MigrateConfig says what to migrate, and for whom.
type MigrateConfig struct {
	OwnerURL string // of the role that owns the tables and may make roles
	AppURL   string // of the role that the programs use, made if missing; another one
	Log      *slog.Logger
}

// Migrate brings the tables up to date and sees to it that the application's
// role exists, has its URL's password, may use the tables, and is bound by
// row-level security. It may run any number of times, at the same time too.
func Migrate(ctx context.Context, cfg MigrateConfig) (err error) {
	defer describe(&err, "migrate database")
	owner, err := pgx.ParseConfig(cfg.OwnerURL)
	if err != nil {
		return fmt.Errorf("owner: %w", errBadURL)
	}
	app, err := pgx.ParseConfig(cfg.AppURL)
	if err != nil {
		return fmt.Errorf("application: %w", errBadURL)
	}
	if owner.User == app.User {
		return fmt.Errorf("owner and application are both the role %q, and row-level security does not bind an owner: "+
			"give GRISTMILL_DATABASE_URL another user name; the role is made by this command", owner.User)
	}
	db := stdlib.OpenDB(*owner)
	defer db.Close()
	if err := checkVector(ctx, db); err != nil {
		return err
	}
	if err := migrateTables(ctx, db, cfg.Log); err != nil {
		return err
	}
	return ensureRole(ctx, db, app.User, app.Password, cfg.Log)
}

// migrateTables applies what migrations are missing, one process at a time.
func migrateTables(ctx context.Context, db *sql.DB, log *slog.Logger) error {
	const everySecond, forMinutes = 1, 5 * 60
	locker, err := lock.NewPostgresSessionLocker(lock.WithLockTimeout(everySecond, forMinutes))
	if err != nil {
		return err
	}
	provider, err := goose.NewProvider(goose.DialectPostgres, db, migrations.Postgres(),
		goose.WithSessionLocker(locker), goose.WithDisableGlobalRegistry(true))
	if err != nil {
		return fmt.Errorf("read migrations: %w", err)
	}
	applied, err := provider.Up(ctx)
	if err != nil {
		return err
	}
	for _, result := range applied {
		log.InfoContext(ctx, "migration applied", "version", result.Source.Version, "file", result.Source.Path, "duration", result.Duration)
	}
	return nil
}

// checkVector refuses a server without the pgvector that the tables need, in
// words that say more than the failing statement would.
func checkVector(ctx context.Context, db *sql.DB) error {
	var version sql.NullString
	var usable bool
	if err := db.QueryRowContext(ctx, `
		SELECT v, coalesce(string_to_array(substring(v FROM '^[0-9]+\.[0-9]+'), '.')::int[] >= '{0,8}', false)
		FROM (SELECT max(coalesce(installed_version, default_version))
		      FROM pg_available_extensions WHERE name = 'vector') AS available (v)`).Scan(&version, &usable); err != nil {
		return err
	}
	switch {
	case !version.Valid:
		return fmt.Errorf("the database server does not have pgvector: install version 0.8 or newer there")
	case !usable:
		return fmt.Errorf("the database has pgvector %s, and 0.8 or newer is needed: install it on the server, then run ALTER EXTENSION vector UPDATE", version.String)
	}
	return nil
}
