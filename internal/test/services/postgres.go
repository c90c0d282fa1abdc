package services

import (
	"context"
	"net/url"
	"testing"

	"github.com/jackc/pgx/v5"
)

// Postgres returns the superuser URL of a new, empty database made for this test: no table, and pgvector within reach of
// CREATE EXTENSION. It is dropped when the test ends, whoever is still connected. Roles belong to the server and not to a database:
// a test that makes one chooses a name of its own and drops it.
func Postgres(t testing.TB) string {
	t.Helper()
	return Servers{}.Postgres(t)
}

// Postgres is the function of that name, on the servers of the set.
func (s Servers) Postgres(t testing.TB) string {
	t.Helper()
	// template0 has no connections, so databases can be made from it by many tests at once.
	return s.createDatabase(t, s.setting(t, envPostgresURL), "template0")
}

// createDatabase makes a database as a copy of another, to which nobody is connected, and returns its URL.
func (s Servers) createDatabase(t testing.TB, server, template string) string {
	t.Helper()
	address, err := url.Parse(server)
	if err != nil || address.Host == "" {
		t.Fatalf("%s is not a URL such as postgres://user:password@host:port/postgres", envPostgresURL)
	}
	name := uniqueName(t, '_')
	if err := execute(t.Context(), server, "CREATE DATABASE "+name+" TEMPLATE "+template); err != nil {
		t.Fatalf("make database %s: %v", name, err)
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

// PgBouncerURL returns the URL of a database, which is on the server that the environment names, by way of PgBouncer in transaction mode.
func PgBouncerURL(t testing.TB, database string) string {
	t.Helper()
	address, err := url.Parse(database)
	if err != nil {
		t.Fatal(err)
	}
	address.Host = Servers{}.setting(t, envPgBouncer)
	return address.String()
}

// execute runs one statement on a connection of its own.
func execute(ctx context.Context, server, statement string) error {
	connection, err := pgx.Connect(ctx, server)
	if err != nil {
		return err
	}
	_, err = connection.Exec(ctx, statement)
	// The statement has been answered: how the connection ends changes nothing.
	_ = connection.Close(ctx)
	return err
}
