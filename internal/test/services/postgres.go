package services

import (
	"context"
	"net/url"
	"testing"

	"github.com/jackc/pgx/v5"
)

// Postgres returns the superuser URL of a new, empty database for this test: it has no tables, and
// CREATE EXTENSION vector works. The database is dropped when the test ends, even if clients are
// still connected. Roles belong to the server, not to a database: a test that creates one must
// choose a unique name and drop it.
func Postgres(t testing.TB) string {
	t.Helper()
	return Servers{}.Postgres(t)
}

// Postgres does what the function Postgres does, on these servers.
func (s Servers) Postgres(t testing.TB) string {
	t.Helper()
	// No one connects to template0, so many tests can copy it at the same time.
	return s.createDatabase(t, s.setting(t, envPostgresURL), "template0")
}

// createDatabase creates a copy of the database template, which must have no connections, and
// returns its URL.
func (s Servers) createDatabase(t testing.TB, server, template string) string {
	t.Helper()
	address, err := url.Parse(server)
	if err != nil || address.Host == "" {
		t.Fatalf("%s is not a URL such as postgres://user:password@host:port/postgres", envPostgresURL)
	}
	name := uniqueName(t, '_')
	if err := execute(t.Context(), server, "CREATE DATABASE "+name+" TEMPLATE "+template); err != nil {
		t.Fatalf("create database %s: %v", name, err)
	}
	t.Cleanup(func() {
		ctx, cancel := cleanupContext()
		defer cancel()
		if err := execute(ctx, server, "DROP DATABASE IF EXISTS "+name+" WITH (FORCE)"); err != nil {
			t.Errorf("drop database %s: %v", name, err)
		}
	})
	address.Path = "/" + name
	return address.String()
}

// PgBouncerURL returns the URL of the given database through PgBouncer in transaction mode. The
// database must be on the server that the environment names.
func PgBouncerURL(t testing.TB, database string) string {
	t.Helper()
	address, err := url.Parse(database)
	if err != nil {
		t.Fatal(err)
	}
	address.Host = Servers{}.setting(t, envPgBouncer)
	return address.String()
}

// execute runs one statement on a new connection.
func execute(ctx context.Context, server, statement string) error {
	connection, err := pgx.Connect(ctx, server)
	if err != nil {
		return err
	}
	_, err = connection.Exec(ctx, statement)
	// The statement has succeeded or failed by then; an error of Close does not matter.
	_ = connection.Close(ctx)
	return err
}
