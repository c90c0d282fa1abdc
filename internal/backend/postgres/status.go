package postgres

import (
	"context"
	"fmt"
	"io/fs"

	"github.com/jackc/pgx/v5"
	"github.com/pressly/goose/v3"

	"github.com/seed-7a112592/gristmill/internal/fault"
	"github.com/seed-7a112592/gristmill/migrations"
)

// minSafePgvector is the first pgvector that vacuums its indexes without harm.
const minSafePgvector = "0.8.4"

// Status is what decides whether the application's role may be used on a
// database.
type Status struct {
	Role            string // that connected
	ExcessPrivilege error  // what the role may do and must not, or nil
	GroupMember     bool   // of the group role that may use the tables
	SchemaVersion   int64  // of the schema; 0 before the first migration
	RequiredVersion int64  // version that this program needs at least

	Pooled bool // the connection went through a pooler

	Pgvector         string // its version; "" before the first migration
	PgvectorOutdated bool   // it is older than soundVector
}

// ReadStatus connects to the database as a role and says what is to be known
// about both. It works where Open's connections are refused.
func ReadStatus(ctx context.Context, url string) (status Status, err error) {
	defer wrapError(&err, "read the status of the database")
	config, err := pgx.ParseConfig(url)
	if err != nil {
		return Status{}, errBadURL
	}
	config.DefaultQueryExecMode = pgx.QueryExecModeCacheDescribe // which goes through a pooler too
	conn, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		return Status{}, err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	if status, err = readStatus(ctx, conn); err != nil {
		return status, markConnectionLost(conn, err)
	}
	if status.Pooled, err = isPooled(ctx, conn); err != nil {
		return status, err
	}
	err = conn.QueryRow(ctx, `
		SELECT coalesce(v, ''), coalesce(string_to_array(substring(v FROM '^[0-9.]*[0-9]'), '.')::int[] < string_to_array($1, '.')::int[], false)
		FROM (SELECT max(extversion) FROM pg_extension WHERE extname = 'vector') AS installed (v)`, minSafePgvector).
		Scan(&status.Pgvector, &status.PgvectorOutdated)
	return status, markConnectionLost(conn, err)
}

func readStatus(ctx context.Context, conn *pgx.Conn) (s Status, err error) {
	rights, err := readPrivileges(ctx, conn, "", applicationPurpose)
	if err != nil {
		return s, err
	}
	s.Role, s.ExcessPrivilege, s.GroupMember = rights.role, rights.excess, rights.member
	if s.RequiredVersion, err = newestMigration(); err != nil {
		return s, err
	}
	const undefinedTable, insufficientPrivilege = "42P01", "42501"
	err = conn.QueryRow(ctx, `SELECT coalesce(max(version_id), 0) FROM public.goose_db_version WHERE is_applied`).Scan(&s.SchemaVersion)
	if code := sqlState(err); code == undefinedTable || code == insufficientPrivilege {
		return s, nil
	}
	return s, err
}

// PgvectorAdvice returns what to do about a pgvector that works and should be updated,
// or "".
func (s Status) PgvectorAdvice() string {
	if !s.PgvectorOutdated {
		return ""
	}
	return fmt.Sprintf("pgvector is %s, and versions before %s can corrupt vector indexes while they are vacuumed: "+
		"install a newer one on the server, run ALTER EXTENSION vector UPDATE, then REINDEX the indexes passages_…_embedding", s.Pgvector, minSafePgvector)
}

// Problem returns what keeps the role from being used on the database, and
// what to do about it, or nil. Migrating comes first: before, the role may do
// more than it may after.
func (s Status) Problem() error {
	switch {
	case !s.GroupMember:
		return fault.New(fault.Unavailable, "database role %q may not use Gristmill's tables yet: run `gristmill migrate`", s.Role).WithRetryAfter(retryAfter)
	case s.SchemaVersion < s.RequiredVersion:
		return fault.New(fault.Unavailable, "the database schema is at version %d and this program needs version %d: run `gristmill migrate`", s.SchemaVersion, s.RequiredVersion).WithRetryAfter(retryAfter)
	default:
		return s.ExcessPrivilege
	}
}

func checkStatus(ctx context.Context, conn *pgx.Conn) error {
	status, err := readStatus(ctx, conn)
	if err != nil {
		return markConnectionLost(conn, err)
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
