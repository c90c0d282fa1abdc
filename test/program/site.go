package program

import (
	"context"
	"path/filepath"
	"slices"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/seed-7a112592/gristmill/test/database"
	"github.com/seed-7a112592/gristmill/test/services"
)

// Key is the API key of every Site.
const Key = "grist-for-the-mill"

// Site is an installation of Gristmill that one test has to itself: a migrated
// database, a Redis database and a bucket on the real servers, and how its
// programs reach them.
type Site struct {
	Owner    string // database URL of a superuser
	Database string // database URL of the application's own role
	Index    string // database URL of the role that builds vector indexes
	Redis    string // URL
	S3       services.S3Config
	More     []string // environment of every program, beside the addresses and the key

	t   testing.TB
	bin string // directory of the programs; that of those built from this checkout when empty
}

// NewSite makes a new database, which has its tables already and whose roles the
// real command makes, a Redis database and a bucket. All go when the test ends. More is the programs' environment
// beside their addresses and the key.
func NewSite(t testing.TB, more ...string) *Site {
	t.Helper()
	return NewSiteOn(t, services.Set{}, more...)
}

// NewSiteOn is NewSite on a given set of servers.
func NewSiteOn(t testing.TB, set services.Set, more ...string) *Site {
	t.Helper()
	return newSite(t, set, database.Copy(t, set), "", more)
}

// NewSiteOf is NewSite with the programs of a directory, which may be those of
// another commit, and the tables that they make.
func NewSiteOf(t testing.TB, bin string, more ...string) *Site {
	t.Helper()
	return newSite(t, services.Set{}, database.Empty(t), bin, more)
}

func newSite(t testing.TB, set services.Set, d database.Database, bin string, more []string) *Site {
	t.Helper()
	s := &Site{Owner: d.Owner, Database: d.App, Index: d.Index, Redis: set.Redis(t), S3: set.S3(t), More: more, t: t, bin: bin}
	migrate := s.migrate()
	if status := migrate.Wait(); status != 0 {
		t.Fatalf("gristmill migrate ended with %d:\n%s", status, migrate.Output())
	}
	return s
}

// Upgrade starts the migration of the site to this checkout, whose programs the
// site has from now on. Programs that run stay those that they are.
func (s *Site) Upgrade() *Program {
	s.t.Helper()
	s.bin = ""
	return s.migrate()
}

func (s *Site) migrate() *Program {
	s.t.Helper()
	return Start(s.t, []string{
		"GRISTMILL_DATABASE_URL=" + s.Database,
		"GRISTMILL_INDEX_DATABASE_URL=" + s.Index,
		"GRISTMILL_MIGRATE_DATABASE_URL=" + s.Owner,
	}, filepath.Join(s.bin, "gristmill"), "migrate")
}

// Env is the environment of the site's programs.
func (s *Site) Env() []string {
	return slices.Concat([]string{
		"GRISTMILL_ADDR=127.0.0.1:0",
		"GRISTMILL_API_KEY=" + Key,
		"GRISTMILL_DATABASE_URL=" + s.Database,
		"GRISTMILL_INDEX_DATABASE_URL=" + s.Index,
		"GRISTMILL_REDIS_URL=" + s.Redis,
		"GRISTMILL_S3_ENDPOINT=" + s.S3.Endpoint,
		"GRISTMILL_S3_ACCESS_KEY=" + s.S3.AccessKey,
		"GRISTMILL_S3_SECRET_KEY=" + s.S3.SecretKey,
		"GRISTMILL_S3_BUCKET=" + s.S3.Bucket,
		"GRISTMILL_S3_REGION=" + s.S3.Region,
	}, s.More)
}

// Start starts a program of the site.
func (s *Site) Start(name string, args ...string) *Program {
	s.t.Helper()
	return Start(s.t, s.Env(), filepath.Join(s.bin, name), args...)
}

// Connect returns a connection to the database as the superuser, whom no
// policy binds. The caller closes it.
func (s *Site) Connect() *pgx.Conn {
	s.t.Helper()
	conn, err := pgx.Connect(context.WithoutCancel(s.t.Context()), s.Owner)
	if err != nil {
		s.t.Fatalf("connect to the site's database: %v", err)
	}
	return conn
}

// Exec runs a statement as the superuser, also while the test is being cleaned
// up after.
func (s *Site) Exec(statement string) {
	s.t.Helper()
	ctx := context.WithoutCancel(s.t.Context())
	conn := s.Connect()
	defer conn.Close(ctx)
	if _, err := conn.Exec(ctx, statement); err != nil {
		s.t.Errorf("%s: %v", statement, err)
	}
}

// Passages is all passages, whatever table they stand in, to follow FROM or JOIN.
const Passages = `(TABLE passages UNION ALL TABLE shared_passages UNION ALL TABLE shared_passages_long)`

// Count returns the one number that a query answers, as the superuser.
func (s *Site) Count(query string, args ...any) int {
	s.t.Helper()
	ctx := context.WithoutCancel(s.t.Context())
	conn := s.Connect()
	defer conn.Close(ctx)
	var n int
	if err := conn.QueryRow(ctx, query, args...).Scan(&n); err != nil {
		s.t.Fatalf("%s: %v", query, err)
	}
	return n
}
