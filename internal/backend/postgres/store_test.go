package postgres_test

import (
	"context"
	"log/slog"
	"net/url"
	"testing"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/seed-7a112592/gristmill/internal/backend/postgres"
	"github.com/seed-7a112592/gristmill/internal/backend/storetest"
	"github.com/seed-7a112592/gristmill/internal/garbage"
	"github.com/seed-7a112592/gristmill/internal/original"
	"github.com/seed-7a112592/gristmill/internal/tenant"
	testdatabase "github.com/seed-7a112592/gristmill/internal/test/database"
	"github.com/seed-7a112592/gristmill/internal/test/services"
	"github.com/seed-7a112592/gristmill/internal/vector"
	"github.com/seed-7a112592/gristmill/pkg/document"
)

var _ storetest.Store = (*postgres.Store)(nil)

// database is a new database, and roles for the application and for index builds
// that are not there before somebody migrates.
type database struct {
	super string // URL, as a superuser
	owner string // URL
	app   string // URL
	index string // URL
	role  string // of app; that of index has a suffix
}

func newDatabase(t testing.TB) database { return databaseOf(testdatabase.NewEmpty(t)) }

// preparedDatabase is newDatabase with all tables in it: migrate only makes the
// role.
func preparedDatabase(t testing.TB) database {
	return databaseOf(testdatabase.NewWithoutRoles(t, services.Servers{}))
}

// withCollection returns a prepared database with a store, and the empty collection
// "c" of the default tenant.
func withCollection(t *testing.T, dimensions int) (database, *postgres.Store, context.Context, vector.Collection) {
	t.Helper()
	d := preparedDatabase(t)
	d.migrate(t)
	s, ctx := d.open(t), tenant.With(t.Context(), tenant.Default)
	c, err := s.EnsureCollection(ctx, "c", document.Model{Name: "m", Dimensions: dimensions}, document.Chunking{Tokens: 10})
	if err != nil {
		t.Fatal(err)
	}
	return d, s, ctx, c
}

func databaseOf(d testdatabase.Database) database {
	return database{super: d.OwnerURL, owner: d.OwnerURL, app: d.AppURL, index: d.IndexURL, role: d.Role}
}

// urlAs returns a database's URL for another role.
func urlAs(t testing.TB, database, role, password string) string {
	t.Helper()
	u, err := url.Parse(database)
	if err != nil {
		t.Fatal(err)
	}
	u.User = url.UserPassword(role, password)
	return u.String()
}

func (d database) password(t testing.TB) string {
	t.Helper()
	app, err := url.Parse(d.app)
	if err != nil {
		t.Fatal(err)
	}
	password, _ := app.User.Password()
	return password
}

// migrate brings the database up to date and adds the second tenant.
func (d database) migrate(t testing.TB) {
	t.Helper()
	if err := d.tryMigrate(t); err != nil {
		t.Fatal(err)
	}
	execute(t, d.owner, "INSERT INTO tenants (id) VALUES ($1)", storetest.OtherTenant)
}

// tryMigrate brings the database up to date.
func (d database) tryMigrate(t testing.TB) error {
	return postgres.Migrate(t.Context(), postgres.MigrateConfig{OwnerURL: d.owner, AppURL: d.app, IndexURL: d.index, Log: logger(t)})
}

func (d database) open(t testing.TB) *postgres.Store {
	t.Helper()
	store, err := postgres.Open(t.Context(), postgres.Config{URL: d.app, IndexURL: d.index, Log: logger(t)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(store.Close)
	return store
}

// openStore returns an empty store with the tenants of the suite.
func openStore(t testing.TB) *postgres.Store {
	t.Helper()
	d := preparedDatabase(t)
	d.migrate(t)
	return d.open(t)
}

// upload has the store accept an upload under an object name of its own.
func upload(ctx context.Context, s *postgres.Store, u original.Upload) (document.Accepted, error) {
	u.Object = uuid.NewString()
	if err := s.BeginUpload(ctx, u.Object); err != nil {
		return document.Accepted{}, err
	}
	return s.AcceptUpload(ctx, u)
}

// execute runs a statement on a connection of its own.
func execute(t testing.TB, url, statement string, args ...any) {
	t.Helper()
	conn := connect(t, url)
	defer conn.Close(context.Background())
	if _, err := conn.Exec(context.Background(), statement, args...); err != nil {
		t.Fatalf("%s: %v", statement, err)
	}
}

// countRows counts what stands behind FROM, as the tenant sees it.
func countRows(t *testing.T, ctx context.Context, s *postgres.Store, from string) (n int) {
	t.Helper()
	if err := s.InTenant(ctx, func(tx pgx.Tx) error {
		return tx.QueryRow(ctx, "SELECT count(*) FROM "+from).Scan(&n)
	}); err != nil {
		t.Fatal(err)
	}
	return n
}

func connect(t testing.TB, url string) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(context.Background(), url)
	if err != nil {
		t.Fatal(err)
	}
	return conn
}

func logger(t testing.TB) *slog.Logger {
	return slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelDebug}))
}

func TestConformance(t *testing.T) {
	t.Parallel()
	storetest.Run(t, func(t *testing.T) storetest.Store { return openStore(t) })
}

// collectVersion collects what is listed of a version that nobody needs.
func collectVersion(ctx context.Context, s *postgres.Store, id uuid.UUID, version int) error {
	g := garbage.Entry{Kind: garbage.KindVersion, DocumentID: id, Version: version}
	for {
		more, err := s.CollectGarbage(ctx, g, 0, 100)
		if err != nil || !more {
			return err
		}
	}
}

func TestStatesAreSavedAndLoaded(t *testing.T) {
	t.Parallel()
	s, ctx := openStore(t), tenant.With(t.Context(), tenant.Default)
	storetest.CheckJobStates(t, ctx, s, s.UpdateJob)
	storetest.CheckReindexStates(t, ctx, s, s.UpdateReindex, nil)
}
