package services

import (
	"context"
	"fmt"
	"net/url"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"
)

// PostgresFromTemplate is Postgres for many tests that begin with the same tables: the database is a copy of one that prepare has filled, given its
// URL. That one is made once on a server for each key, which must name all that prepare depends on, and stays as long as the server.
// A copy takes some 50 ms. Databases of other keys are left alone: other checkouts may use the server.
func (s Servers) PostgresFromTemplate(t testing.TB, key string, prepare func(database string) error) string {
	t.Helper()
	server := s.setting(t, envPostgresURL)
	template := "gm_prepared_" + key
	ready, _ := templates.LoadOrStore(server+" "+template, sync.OnceValue(func() error {
		return ensureTemplate(context.WithoutCancel(t.Context()), server, template, prepare)
	}))
	if err := ready.(func() error)(); err != nil {
		t.Fatalf("prepare database %s: %v", template, err)
	}
	return s.createDatabase(t, server, template)
}

// templates holds, by server and template, the function that makes the template and returns its error.
var templates sync.Map

// ensureTemplate makes the template unless it is there. Processes that ask at the same time wait for the first.
func ensureTemplate(ctx context.Context, server, template string, prepare func(database string) error) error {
	connection, err := pgx.Connect(ctx, server)
	if err != nil {
		return err
	}
	defer connection.Close(ctx) // releases the lock
	if _, err := connection.Exec(ctx, "SELECT pg_advisory_lock(hashtext($1))", template); err != nil {
		return err
	}
	// It is marked as a template when it is whole: what a process that died has left is not.
	var whole bool
	err = connection.QueryRow(ctx, "SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1 AND datistemplate)", template).Scan(&whole)
	if err != nil || whole {
		return err
	}
	if _, err := connection.Exec(ctx, "DROP DATABASE IF EXISTS "+template+" WITH (FORCE)"); err != nil {
		return err
	}
	if _, err := connection.Exec(ctx, "CREATE DATABASE "+template+" TEMPLATE template0"); err != nil {
		return err
	}
	address, err := url.Parse(server)
	if err != nil {
		return fmt.Errorf("%s is no URL", envPostgresURL)
	}
	address.Path = "/" + template
	if err := prepare(address.String()); err != nil {
		return err
	}
	// A database that somebody is connected to cannot be copied.
	_, err = connection.Exec(ctx, "ALTER DATABASE "+template+" WITH IS_TEMPLATE true ALLOW_CONNECTIONS false")
	return err
}
