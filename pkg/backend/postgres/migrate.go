package postgres

import (
	"context"
	"database/sql"
	"fmt"
	"log/slog"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/lock"

	"github.com/seed-7a112592/gristmill/migrations"
)

// MigrateConfig says what to migrate, and for whom. Each URL names a role of
// its own.
type MigrateConfig struct {
	OwnerURL string // of the role that owns the tables and may make roles
	AppURL   string // of the role that the programs use, made if missing
	IndexURL string // of the role that builds vector indexes, made if missing; "" for none
	Log      *slog.Logger
}

// Migrate brings the tables up to date and sees to it that the login roles
// exist, have their URLs' passwords, may do what they are for, and no more. It
// may run any number of times, at the same time too.
func Migrate(ctx context.Context, cfg MigrateConfig) (err error) {
	defer describe(&err, "migrate database")
	owner, err := parseAsOwner(cfg.OwnerURL)
	if err != nil {
		return fmt.Errorf("GRISTMILL_MIGRATE_DATABASE_URL: %w", err)
	}
	logins, err := parseLogins(cfg, owner.User)
	if err != nil {
		return err
	}
	conn, err := pgx.ConnectConfig(ctx, owner)
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	if err := checkDirect(ctx, conn, "GRISTMILL_MIGRATE_DATABASE_URL"); err != nil {
		return err
	}
	if err := checkVector(ctx, conn); err != nil {
		return err
	}
	if err := migrateTables(ctx, owner, cfg.Log); err != nil {
		return err
	}
	for _, l := range logins {
		if err := ensureRole(ctx, conn, l, cfg.Log); err != nil {
			return err
		}
	}
	return nil
}

// parseAsOwner returns how to connect as a role that owns something. Its search
// path has nothing on it that another role could make, whatever the role, the
// database or the URL say: what the application can make is not to be taken for
// PostgreSQL's own. (Of pg_temp only tables and types are found, and only last.)
func parseAsOwner(url string) (*pgx.ConnConfig, error) {
	config, err := pgx.ParseConfig(url)
	if err != nil {
		return nil, errBadURL
	}
	config.AfterConnect = func(ctx context.Context, conn *pgconn.PgConn) error {
		return conn.Exec(ctx, "SET search_path = pg_catalog, pg_temp").Close()
	}
	return config, nil
}

// migrateTables applies what migrations are missing, one process at a time.
func migrateTables(ctx context.Context, owner *pgx.ConnConfig, log *slog.Logger) error {
	db := stdlib.OpenDB(*owner)
	defer db.Close()
	const everySecond, forMinutes = 1, 5 * 60
	locker, err := lock.NewPostgresSessionLocker(lock.WithLockTimeout(everySecond, forMinutes))
	if err != nil {
		return err
	}
	provider, err := newProvider(db, goose.WithSessionLocker(locker))
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

// newProvider returns goose on our migrations. Its own table is where it was
// from the beginning, now by name.
func newProvider(db *sql.DB, options ...goose.ProviderOption) (*goose.Provider, error) {
	return goose.NewProvider(goose.DialectPostgres, db, migrations.Postgres(),
		append(options, goose.WithTableName("public.goose_db_version"), goose.WithDisableGlobalRegistry(true))...)
}

// checkVector refuses a server without the pgvector that the tables need, in
// words that say more than the failing statement would.
func checkVector(ctx context.Context, conn *pgx.Conn) error {
	var version, schema *string
	var usable bool
	if err := conn.QueryRow(ctx, `
		SELECT v, coalesce(string_to_array(substring(v FROM '^[0-9]+\.[0-9]+'), '.')::int[] >= '{0,8}', false),
		       (SELECT extnamespace::regnamespace::text FROM pg_extension WHERE extname = 'vector')
		FROM (SELECT max(coalesce(installed_version, default_version))
		      FROM pg_available_extensions WHERE name = 'vector') AS available (v)`).Scan(&version, &usable, &schema); err != nil {
		return err
	}
	switch {
	case version == nil:
		return fmt.Errorf("the database server does not have pgvector: install version 0.8 or newer there")
	case !usable:
		return fmt.Errorf("the database has pgvector %s, and 0.8 or newer is needed: install it on the server, then run ALTER EXTENSION vector UPDATE", *version)
	case schema != nil && *schema != "public":
		return fmt.Errorf("the database has the extension vector in the schema %s: run ALTER EXTENSION vector SET SCHEMA public", *schema)
	}
	return nil
}
