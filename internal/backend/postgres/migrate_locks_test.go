package postgres_test

import (
	"fmt"
	"testing"

	"github.com/seed-7a112592/gristmill/internal/goroutine"
	"github.com/seed-7a112592/gristmill/internal/test/await"
)

// A migration that waits for a long transaction has nobody wait behind it: neither one
// that changes a table nor one that renames in several.
func TestMigrationThatWaitsKeepsNobodyOut(t *testing.T) {
	t.Parallel()
	for _, from := range []int64{27, 34} {
		t.Run(fmt.Sprint("from ", from), func(t *testing.T) {
			t.Parallel()
			checkMigrationKeepsNobodyOut(t, from)
		})
	}
}

// checkMigrationKeepsNobodyOut migrates a database from a version while a long
// transaction uses the table collections.
func checkMigrationKeepsNobodyOut(t *testing.T, from int64) {
	t.Helper()
	d := newDatabase(t)
	d.migrateTo(t, from)
	long := connect(t, d.owner)
	defer long.Close(t.Context())
	run := func(statement string) {
		t.Helper()
		if _, err := long.Exec(t.Context(), statement); err != nil {
			t.Fatal(err)
		}
	}
	run("BEGIN")
	run("SELECT FROM collections")
	migrated := goroutine.Start(func() error { return d.tryMigrate(t) })

	other := connect(t, d.owner)
	defer other.Close(t.Context())
	await.Until(t, "the migration waits for the table", func() bool {
		var waits bool
		if err := other.QueryRow(t.Context(), `
			SELECT EXISTS (SELECT FROM pg_locks l JOIN pg_database d ON d.oid = l.database
			               WHERE d.datname = current_database() AND l.mode = 'AccessExclusiveLock' AND NOT l.granted)`).Scan(&waits); err != nil {
			t.Fatal(err)
		}
		return waits
	})
	if _, err := other.Exec(t.Context(), "SET statement_timeout = '10s'"); err != nil {
		t.Fatal(err)
	}
	for _, table := range []string{"collections", "documents"} {
		if _, err := other.Exec(t.Context(), "SELECT FROM "+table); err != nil {
			t.Errorf("a statement on %s behind the migration: %v", table, err)
		}
	}
	select {
	case err := <-migrated:
		t.Fatalf("the migration has ended before the transaction: %v", err)
	default:
	}

	run("ROLLBACK")
	if err := <-migrated; err != nil {
		t.Errorf("the migration after the transaction: %v", err)
	}
}
