package services

import (
	"context"
	"fmt"
	"net/url"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"
)

// PostgresFromTemplate returns a new database for this test, like Postgres, but as a copy of a
// template that prepare has filled, given the template's URL. Each server has one template for each
// key. It is created once and stays as long as the server. The key must cover everything that
// prepare depends on. A copy takes about 50 ms. Templates of other keys are kept: other checkouts
// may use the server.
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

// templates maps a server and a template to the function that creates the template and returns its
// error.
var templates sync.Map

// ensureTemplate creates the template unless it exists. Processes that call it at the same time
// wait for the first.
func ensureTemplate(ctx context.Context, server, template string, prepare func(database string) error) error {
	connection, err := pgx.Connect(ctx, server)
	if err != nil {
		return err
	}
	defer connection.Close(ctx) // releases the lock
	if _, err := connection.Exec(ctx, "SELECT pg_advisory_lock(hashtext($1))", template); err != nil {
		return err
	}
	// A database is marked as a template only when it is complete. One that a dead process left
	// behind is not marked.
	var complete bool
	err = connection.QueryRow(ctx, "SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1 AND datistemplate)", template).Scan(&complete)
	if err != nil || complete {
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
		return fmt.Errorf("%s is not a URL", envPostgresURL)
	}
	address.Path = "/" + template
	if err := prepare(address.String()); err != nil {
		return err
	}
	// A database cannot be copied while it has connections.
	_, err = connection.Exec(ctx, "ALTER DATABASE "+template+" WITH IS_TEMPLATE true ALLOW_CONNECTIONS false")
	return err
}
