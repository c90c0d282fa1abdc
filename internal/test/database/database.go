// Package database gives tests PostgreSQL databases with Gristmill's tables. Migrations are applied
// once per server, to a template; every test gets a copy of it.
package database

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/url"
	"strings"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/seed-7a112592/gristmill/internal/backend/postgres"
	"github.com/seed-7a112592/gristmill/internal/test/await"
	"github.com/seed-7a112592/gristmill/internal/test/services"
	"github.com/seed-7a112592/gristmill/migrations"
)

// Database is a database with its own roles for the application and for index builds.
type Database struct {
	OwnerURL string // URL, as a superuser
	AppURL   string // URL, as the application's role
	IndexURL string // URL, as the role that builds vector indexes
	Role     string // name of the role in AppURL; the role in IndexURL has the suffix _index
}

// NewEmpty returns a database without tables. Its roles exist after the first migration, and are
// dropped when the test ends.
func NewEmpty(t testing.TB) Database {
	t.Helper()
	return withRoles(t, services.Postgres(t))
}

// New returns a migrated database with its roles.
func New(t testing.TB) Database {
	t.Helper()
	d := NewWithoutRoles(t, services.Servers{})
	d.Migrate(t)
	return d
}

// NewWithoutRoles returns a database on the given servers that has all tables, but no roles yet.
func NewWithoutRoles(t testing.TB, set services.Servers) Database {
	t.Helper()
	return withRoles(t, set.PostgresFromTemplate(t, migrationsHash(), migrateTemplate))
}

// Migrate brings the database up to date and creates its roles.
func (d Database) Migrate(t testing.TB) {
	t.Helper()
	if err := migrate(t.Context(), d); err != nil {
		t.Fatal(err)
	}
}

// Exec runs a statement as the owner. It also works in cleanup functions, after the test's context
// has ended.
func (d Database) Exec(t testing.TB, statement string, args ...any) {
	t.Helper()
	if err := d.exec(context.WithoutCancel(t.Context()), statement, args...); err != nil {
		t.Fatalf("%s: %v", statement, err)
	}
}

func (d Database) exec(ctx context.Context, statement string, args ...any) error {
	conn, err := pgx.Connect(ctx, d.OwnerURL)
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	_, err = conn.Exec(ctx, statement, args...)
	return err
}

// withRoles chooses names for the roles, and drops the roles when the test ends if they exist.
func withRoles(t testing.TB, owner string) Database {
	t.Helper()
	d, err := newDatabase(owner)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.awaitRolesDropped(t) })
	return d
}

// awaitRolesDropped drops the roles. The server removes the temporary objects of a closed connection
// a moment after the client has closed it, and until then the role that owns them cannot be dropped.
func (d Database) awaitRolesDropped(t testing.TB) {
	t.Helper()
	reason := ""
	await.Until(t, "the roles are dropped", func() bool {
		err := d.exec(context.WithoutCancel(t.Context()), d.dropRoles())
		var refused *pgconn.PgError
		if errors.As(err, &refused) && refused.Code == dependentObjectsStillExist {
			if reason != refused.Detail {
				reason = refused.Detail
				t.Logf("%s: %v: %s", d.dropRoles(), err, reason)
			}
			return false
		}
		if err != nil {
			t.Fatalf("%s: %v", d.dropRoles(), err)
		}
		return true
	})
}

const dependentObjectsStillExist = "2BP01"

func newDatabase(owner string) (Database, error) {
	address, err := url.Parse(owner)
	if err != nil {
		return Database{}, fmt.Errorf("parse the owner's URL: %w", err)
	}
	as := func(role string) string {
		address.User = url.UserPassword(role, rand.Text())
		return address.String()
	}
	role := "gm_test_" + strings.ToLower(rand.Text())
	return Database{OwnerURL: owner, AppURL: as(role), IndexURL: as(role + "_index"), Role: role}, nil
}

func (d Database) dropRoles() string {
	return "DROP ROLE IF EXISTS " + d.Role + ", " + d.Role + "_index"
}

func migrate(ctx context.Context, d Database) error {
	return postgres.Migrate(ctx, postgres.MigrateConfig{OwnerURL: d.OwnerURL, AppURL: d.AppURL, IndexURL: d.IndexURL, Log: slog.New(slog.DiscardHandler)})
}

// migrateTemplate applies the migrations to the template, then drops the roles that they created.
func migrateTemplate(owner string) error {
	ctx := context.Background()
	d, err := newDatabase(owner)
	if err != nil {
		return err
	}
	if err := migrate(ctx, d); err != nil {
		return err
	}
	return d.exec(ctx, d.dropRoles())
}

// migrationsHash returns a key of the migrations. It changes with every migration.
var migrationsHash = sync.OnceValue(func() string {
	hash := sha256.New()
	err := fs.WalkDir(migrations.Postgres(), ".", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		text, err := fs.ReadFile(migrations.Postgres(), path)
		fmt.Fprintf(hash, "%s %d\n%s", path, len(text), text)
		return err
	})
	if err != nil {
		panic(err) // cannot fail: the files are embedded
	}
	return hex.EncodeToString(hash.Sum(nil)[:8])
})
