package postgres

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/lock"

	"github.com/seed-7a112592/gristmill/internal/required"
	"github.com/seed-7a112592/gristmill/migrations"
)

// MigrateConfig says what to migrate, and for whom. Each URL names a role of
// its own.
type MigrateConfig struct {
	OwnerURL string // of the role that owns the tables and may make roles
	AppURL   string // of the role that the programs use, made if missing
	IndexURL string `zero:"ok"` // of the role that builds vector indexes, made if missing; "" for none
	Log      *slog.Logger
}

// Migrate brings the tables up to date and sees to it that the login roles
// exist, have their URLs' passwords, may do what they are for, and no more. It
// may run any number of times, at the same time too.
func Migrate(ctx context.Context, cfg MigrateConfig) (err error) {
	if err := required.Fields(cfg); err != nil {
		return err
	}
	defer wrapError(&err, "migrate database")
	owner, err := parseOwnerConfig(cfg.OwnerURL)
	if err != nil {
		return fmt.Errorf("GRISTMILL_MIGRATE_DATABASE_URL: %w", err)
	}
	logins, err := parseLoginRoles(cfg, owner.User)
	if err != nil {
		return err
	}
	conn, err := pgx.ConnectConfig(ctx, owner)
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	if err := checkNoPooler(ctx, conn, "GRISTMILL_MIGRATE_DATABASE_URL"); err != nil {
		return err
	}
	if err := checkPgvector(ctx, conn); err != nil {
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

// parseOwnerConfig returns how to connect as a role that owns something. Its search
// path has nothing on it that another role could make, whatever the role, the
// database or the URL say: what the application can make is not to be taken for
// PostgreSQL's own. (Of pg_temp only tables and types are found, and only last.)
func parseOwnerConfig(url string) (*pgx.ConnConfig, error) {
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
//
// Programs may be at work. A statement that waits for a lock has all later ones on
// its table wait behind it. So a migration in one transaction waits at most
// migrationLockTimeout for each lock; then it is rolled back, those behind it go
// on, and it begins again. One that is no transaction has no such limit: building
// an index concurrently must outlast every other transaction, and blocks nobody.
func migrateTables(ctx context.Context, owner *pgx.ConnConfig, log *slog.Logger) error {
	db := stdlib.OpenDB(*owner)
	defer db.Close()
	limited := owner.Copy()
	limited.RuntimeParams["lock_timeout"] = strconv.FormatInt(migrationLockTimeout.Milliseconds(), 10)
	limitedDB := stdlib.OpenDB(*limited)
	defer limitedDB.Close()

	unlock, err := lockMigrations(ctx, db)
	if err != nil {
		return err
	}
	defer unlock()
	unlimitedProvider, err := newMigrationProvider(db)
	if err != nil {
		return fmt.Errorf("read migrations: %w", err)
	}
	limitedProvider, err := newMigrationProvider(limitedDB)
	if err != nil {
		return fmt.Errorf("read migrations: %w", err)
	}
	version, err := unlimitedProvider.GetDBVersion(ctx)
	if err != nil {
		return err
	}
	for _, source := range unlimitedProvider.ListSources() {
		if source.Version <= version {
			continue
		}
		text, err := fs.ReadFile(migrations.Postgres(), source.Path)
		if err != nil {
			return err
		}
		provider := limitedProvider
		if bytes.Contains(text, []byte("-- +goose NO TRANSACTION")) {
			provider = unlimitedProvider
		}
		if err := applyNextMigration(ctx, provider, source.Path, log); err != nil {
			return err
		}
	}
	return nil
}

// migrationLockTimeout is the longest that a migration in one transaction waits
// for a lock, and the pause before it tries again.
const migrationLockTimeout = 100 * time.Millisecond

// lockMigrations waits until no other process migrates the database, and keeps
// others from it until unlock is called.
func lockMigrations(ctx context.Context, db *sql.DB) (unlock func(), err error) {
	const everySecond, forMinutes = 1, 5 * 60
	locker, err := lock.NewPostgresSessionLocker(lock.WithLockTimeout(everySecond, forMinutes))
	if err != nil {
		return nil, err
	}
	conn, err := db.Conn(ctx)
	if err != nil {
		return nil, err
	}
	if err := locker.SessionLock(ctx, conn); err != nil {
		conn.Close()
		return nil, err
	}
	return func() {
		_ = locker.SessionUnlock(context.WithoutCancel(ctx), conn) // or the end of the session does
		conn.Close()
	}, nil
}

// applyNextMigration applies the next migration, which is in that file, again and again
// while it does not get its locks in time. Every ten seconds it logs that it waits.
func applyNextMigration(ctx context.Context, provider *goose.Provider, file string, log *slog.Logger) error {
	const attemptsPerLine = 50
	for attempt := 1; ; attempt++ {
		result, err := provider.UpByOne(ctx)
		if err == nil {
			log.InfoContext(ctx, "migration applied", "version", result.Source.Version, "file", file, "duration", result.Duration)
			return nil
		}
		var refused *pgconn.PgError
		if !errors.As(err, &refused) || refused.Code != lockNotAvailable {
			return err
		}
		if attempt%attemptsPerLine == 0 {
			log.WarnContext(ctx, "migration waits for the lock of a long transaction; other statements do not wait for the migration", "file", file, "error", err)
		}
		select {
		case <-time.After(migrationLockTimeout):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// newMigrationProvider returns goose on our migrations. Its own table is where it was
// from the beginning, now by name.
func newMigrationProvider(db *sql.DB) (*goose.Provider, error) {
	return goose.NewProvider(goose.DialectPostgres, db, migrations.Postgres(),
		goose.WithTableName("public.goose_db_version"), goose.WithDisableGlobalRegistry(true))
}

// checkPgvector refuses a server without the pgvector that the tables need, in
// words that say more than the failing statement would.
func checkPgvector(ctx context.Context, conn *pgx.Conn) error {
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
