package postgres

import (
	"context"
	"io/fs"

	"github.com/jackc/pgx/v5"
	"github.com/pressly/goose/v3"

	"github.com/seed-7a112592/gristmill/migrations"
	"github.com/seed-7a112592/gristmill/pkg/fault"
)

// Status is what decides whether the application's role may be used on a
// database.
type Status struct {
	Role    string // that connected
	Excess  error  // what the role may do and must not, or nil
	Member  bool   // of the group role that may use the tables
	Version int64  // of the schema; 0 before the first migration
	Wanted  int64  // version that this program needs at least
}

// ReadStatus connects to the database as a role and says what is to be known
// about both. It works where Open's connections are refused.
func ReadStatus(ctx context.Context, url string) (status Status, err error) {
	defer describe(&err, "read the status of the database")
	config, err := pgx.ParseConfig(url)
	if err != nil {
		return Status{}, errBadURL
	}
	conn, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		return Status{}, err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	status, err = readStatus(ctx, conn)
	return status, withLoss(conn, err)
}

func readStatus(ctx context.Context, conn *pgx.Conn) (s Status, err error) {
	rights, err := readRights(ctx, conn, "", application)
	if err != nil {
		return s, err
	}
	s.Role, s.Excess, s.Member = rights.role, rights.excess, rights.member
	if s.Wanted, err = newestMigration(); err != nil {
		return s, err
	}
	const undefinedTable, insufficientPrivilege = "42P01", "42501"
	err = conn.QueryRow(ctx, `SELECT coalesce(max(version_id), 0) FROM public.goose_db_version WHERE is_applied`).Scan(&s.Version)
	if code := sqlState(err); code == undefinedTable || code == insufficientPrivilege {
		return s, nil
	}
	return s, err
}

// Problem returns what keeps the role from being used on the database, and
// what to do about it, or nil. Migrating comes first: before, the role may do
// more than it may after.
func (s Status) Problem() error {
	switch {
	case !s.Member:
		return fault.New(fault.Unavailable, "database role %q may not use Gristmill's tables yet: run `gristmill migrate`", s.Role).After(retryAfter)
	case s.Version < s.Wanted:
		return fault.New(fault.Unavailable, "the database schema is at version %d and this program needs version %d: run `gristmill migrate`", s.Version, s.Wanted).After(retryAfter)
	default:
		return s.Excess
	}
}

func checkStatus(ctx context.Context, conn *pgx.Conn) error {
	status, err := readStatus(ctx, conn)
	if err != nil {
		return withLoss(conn, err)
	}
	return status.Problem()
}

// newestMigration returns the version of the schema that this program was
// written for.
func newestMigration() (newest int64, err error) {
	names, err := fs.Glob(migrations.Postgres(), "*.sql")
	if err != nil {
		return 0, err
	}
	for _, name := range names {
		version, err := goose.NumericComponent(name)
		if err != nil {
			return 0, err
		}
		newest = max(newest, version)
	}
	return newest, nil
}
