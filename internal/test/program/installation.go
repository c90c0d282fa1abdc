package program

import (
	"context"
	"path/filepath"
	"slices"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/seed-7a112592/gristmill/internal/test/database"
	"github.com/seed-7a112592/gristmill/internal/test/services"
)

// APIKey is the API key of every Installation.
const APIKey = "grist-for-the-mill"

// Installation is an installation of Gristmill for one test: a migrated database, a Redis database
// and a bucket on real servers, and the settings that its programs need to reach them.
type Installation struct {
	OwnerURL string // database URL of a superuser
	AppURL   string // database URL of the application's own role
	IndexURL string // database URL of the role that builds vector indexes
	RedisURL string // URL
	S3       services.S3Config
	ExtraEnv []string // environment of every program, in addition to the addresses and the key

	t      testing.TB
	binDir string // directory of the programs; "" for those built from this checkout
}

// NewInstallation creates a database, a Redis database and a bucket, which are removed when the
// test ends. The database is a copy that already has the tables; `gristmill migrate` creates its
// roles. more is the programs' environment in addition to the addresses and the key.
func NewInstallation(t testing.TB, more ...string) *Installation {
	t.Helper()
	return NewInstallationOn(t, services.Servers{}, more...)
}

// NewInstallationOn is NewInstallation on the given servers.
func NewInstallationOn(t testing.TB, set services.Servers, more ...string) *Installation {
	t.Helper()
	return newInstallation(t, set, database.NewWithoutRoles(t, set), "", more)
}

// NewInstallationFrom is NewInstallation with the programs in the directory bin, which may be those
// of another commit. Their migrate command creates the tables.
func NewInstallationFrom(t testing.TB, bin string, more ...string) *Installation {
	t.Helper()
	return newInstallation(t, services.Servers{}, database.NewEmpty(t), bin, more)
}

func newInstallation(t testing.TB, set services.Servers, d database.Database, bin string, more []string) *Installation {
	t.Helper()
	s := &Installation{OwnerURL: d.OwnerURL, AppURL: d.AppURL, IndexURL: d.IndexURL, RedisURL: set.Redis(t), S3: set.S3(t), ExtraEnv: more, t: t, binDir: bin}
	migrate := s.startMigration()
	if status := migrate.Wait(); status != 0 {
		t.Fatalf("gristmill migrate exited with %d:\n%s", status, migrate.Output())
	}
	return s
}

// StartUpgrade starts the migration to this checkout. Programs started afterwards are those of this
// checkout; running programs are not restarted.
func (s *Installation) StartUpgrade() *Program {
	s.t.Helper()
	s.binDir = ""
	return s.startMigration()
}

func (s *Installation) startMigration() *Program {
	s.t.Helper()
	return Start(s.t, []string{
		"GRISTMILL_DATABASE_URL=" + s.AppURL,
		"GRISTMILL_INDEX_DATABASE_URL=" + s.IndexURL,
		"GRISTMILL_MIGRATE_DATABASE_URL=" + s.OwnerURL,
	}, filepath.Join(s.binDir, "gristmill"), "migrate")
}

// Env returns the environment of the installation's programs.
func (s *Installation) Env() []string {
	return slices.Concat([]string{
		"GRISTMILL_ADDR=127.0.0.1:0",
		"GRISTMILL_API_KEY=" + APIKey,
		"GRISTMILL_DATABASE_URL=" + s.AppURL,
		"GRISTMILL_INDEX_DATABASE_URL=" + s.IndexURL,
		"GRISTMILL_REDIS_URL=" + s.RedisURL,
		"GRISTMILL_S3_ENDPOINT=" + s.S3.Endpoint,
		"GRISTMILL_S3_ACCESS_KEY=" + s.S3.AccessKey,
		"GRISTMILL_S3_SECRET_KEY=" + s.S3.SecretKey,
		"GRISTMILL_S3_BUCKET=" + s.S3.Bucket,
		"GRISTMILL_S3_REGION=" + s.S3.Region,
	}, s.ExtraEnv)
}

// Start starts a program of the installation.
func (s *Installation) Start(name string, args ...string) *Program {
	s.t.Helper()
	return Start(s.t, s.Env(), filepath.Join(s.binDir, name), args...)
}

// Connect returns a connection to the database as the superuser, to whom row-level security does
// not apply. The caller must close it.
func (s *Installation) Connect() *pgx.Conn {
	s.t.Helper()
	conn, err := pgx.Connect(context.WithoutCancel(s.t.Context()), s.OwnerURL)
	if err != nil {
		s.t.Fatalf("connect to the installation's database: %v", err)
	}
	return conn
}

// Exec runs a statement as the superuser. It also works in cleanup functions, after the test's
// context has ended.
func (s *Installation) Exec(statement string) {
	s.t.Helper()
	ctx := context.WithoutCancel(s.t.Context())
	conn := s.Connect()
	defer conn.Close(ctx)
	if _, err := conn.Exec(ctx, statement); err != nil {
		s.t.Errorf("%s: %v", statement, err)
	}
}

// AllPassagesSQL selects all passages, from all tables that hold passages. It can follow FROM or
// JOIN.
const AllPassagesSQL = `(TABLE passages UNION ALL TABLE shared_passages UNION ALL TABLE shared_passages_long)`

// QueryInt runs a query as the superuser and returns its result, a single number.
func (s *Installation) QueryInt(query string, args ...any) int {
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
