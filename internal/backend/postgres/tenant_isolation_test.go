package postgres_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/seed-7a112592/gristmill/internal/backend/postgres"
	"github.com/seed-7a112592/gristmill/internal/backend/storetest"
	"github.com/seed-7a112592/gristmill/internal/original"
	"github.com/seed-7a112592/gristmill/internal/task"
	"github.com/seed-7a112592/gristmill/internal/tenant"
	"github.com/seed-7a112592/gristmill/internal/vector"
	"github.com/seed-7a112592/gristmill/internal/verification"
	"github.com/seed-7a112592/gristmill/pkg/document"
)

const insufficientPrivilege = "42501" // also what row-level security refuses

// Promise 6. The tables are those of the catalogue, so that one which is added
// without row-level security fails here; partitions are asked as well.
func TestDatabaseKeepsTenantsApart(t *testing.T) {
	t.Parallel()
	d := preparedDatabase(t)
	d.migrate(t)
	fillTables(t, d.open(t))
	conn := connect(t, d.app)
	t.Cleanup(func() { conn.Close(context.Background()) })

	nobodys := map[string]bool{"tenants": true, "goose_db_version": true, "processes": true}
	partitions := 0
	for _, table := range tablesOf(t, conn) {
		if nobodys[table.name] {
			continue
		}
		if !table.forced {
			t.Errorf("%s: row-level security is not enabled and forced", table.name)
		}
		for _, other := range []string{"", storetest.OtherTenant} {
			n, err := countVisibleRows(conn, other, table)
			if err != nil || n != 0 {
				t.Errorf("%s: tenant %q, without a filter, sees %d rows of another, %v", table.name, other, n, err)
			}
		}
		if table.partition {
			partitions++
		}
		if n, err := countVisibleRows(conn, tenant.Default, table); err != nil || n == 0 {
			t.Errorf("%s: its own tenant sees %d rows, %v; without any this test shows nothing", table.name, n, err)
		}
		for _, other := range []string{"", storetest.OtherTenant} {
			if err := copyRow(conn, other, table); sqlState(err) != insufficientPrivilege {
				t.Errorf("%s: tenant %q adds a row for another: got %v, want it refused", table.name, other, err)
			}
		}
	}
	if partitions == 0 {
		t.Error("there is no partition: this test shows nothing about them")
	}
}

// fillTables has a row in every table, for the default tenant. Space 1 has a table of
// its own.
func fillTables(t *testing.T, s *postgres.Store) {
	t.Helper()
	ctx := tenant.With(t.Context(), tenant.Default)
	c, err := s.EnsureCollection(ctx, "c", document.Model{Name: "m", Dimensions: 2}, document.Chunking{Tokens: 10})
	if err != nil {
		t.Fatal(err)
	}
	fillSpace(t, s, "small", 2)
	fillSpace(t, s, "long vectors", 3001)
	accepted, err := upload(ctx, s, original.Upload{Collection: c, Key: "k", Metadata: json.RawMessage(`{"lang":"en"}`), IdempotencyKey: "once"})
	if err != nil {
		t.Fatal(err)
	}
	work := map[task.Kind]task.Work{}
	for _, kind := range task.JobKinds {
		work[kind], err = s.Claim(ctx, task.Ref{DocumentID: accepted.Document.ID, Version: 1, Kind: kind}, time.Hour)
		if err != nil {
			t.Fatal(err)
		}
	}
	webhook := document.Webhook{ID: uuid.New(), Secret: document.NewWebhookSecret()}
	if _, err := s.AddWebhook(ctx, webhook); err != nil {
		t.Fatal(err)
	}
	told, err := upload(ctx, s, original.Upload{Collection: c, Key: "its webhook is told of its end"})
	if err != nil {
		t.Fatal(err)
	}
	hash := document.HashText("text")
	summary, err := s.Claim(ctx, task.Ref{DocumentID: told.Document.ID, Version: 1, Kind: task.KindSummary}, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.BeginReindex(ctx, document.ReindexRequest{Collection: "c"}); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(
		s.InTenant(ctx, func(tx pgx.Tx) error { // as publishing does now and then
			_, err := tx.Exec(ctx, `INSERT INTO grown_spaces (space) VALUES ($1)`, c.ActiveSpace.ID)
			return err
		}),
		s.SaveSectionSummaries(ctx, summary, map[document.ContentHash]string{document.HashText("released"): "summary"}, document.SummaryProgress{}),
		s.SaveVerificationProgress(ctx, verification.Progress{StartedAt: time.Now()}),
		s.DeleteDocument(ctx, told.Document.ID),
		collectVersion(ctx, s, told.Document.ID, 1),
		s.BeginUpload(ctx, "to come"),
		s.WriteBatch(ctx, work[task.KindKnowledge], vector.Batch{
			New:     []vector.EmbeddedPassage{{Hash: hash, PassageText: document.PassageText{Content: "text"}, Vector: []float32{1, 0}}},
			Entries: []vector.ManifestEntry{{Hash: hash, End: 4}},
		}, document.KnowledgeProgress{}),
		s.Publish(ctx, work[task.KindKnowledge], nil, document.KnowledgeProgress{Passages: 1}),
		s.SaveSectionSummaries(ctx, work[task.KindSummary], map[document.ContentHash]string{hash: "summary"}, document.SummaryProgress{}),
		s.FinishSummary(ctx, work[task.KindSummary], document.Summary{Summary: "summary"}, document.SummaryProgress{}),
		s.MoveSpaceToOwnTable(ctx, c.ActiveSpace),
	); err != nil {
		t.Fatal(err)
	}
}

// fillSpace makes a collection with a passage.
func fillSpace(t *testing.T, s *postgres.Store, name string, dimensions int) {
	t.Helper()
	ctx := tenant.With(t.Context(), tenant.Default)
	c, err := s.EnsureCollection(ctx, name, document.Model{Name: name, Dimensions: dimensions}, document.Chunking{Tokens: 10})
	if err != nil {
		t.Fatal(err)
	}
	accepted, err := upload(ctx, s, original.Upload{Collection: c, Key: "k"})
	if err != nil {
		t.Fatal(err)
	}
	work, err := s.Claim(ctx, task.Ref{DocumentID: accepted.Document.ID, Version: 1, Kind: task.KindKnowledge}, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	p := vector.EmbeddedPassage{PassageText: document.PassageText{Content: "text"}, Vector: make([]float32, dimensions)}
	p.Vector[0] = 1
	if err := s.WriteBatch(ctx, work, vector.Batch{New: []vector.EmbeddedPassage{p}}, document.KnowledgeProgress{}); err != nil {
		t.Fatal(err)
	}
}

type table struct {
	name      string
	forced    bool // row-level security applies, to the owner too
	partition bool
}

func (t table) quoted() string { return pgx.Identifier{t.name}.Sanitize() }

func tablesOf(t *testing.T, conn *pgx.Conn) []table {
	t.Helper()
	rows, err := conn.Query(t.Context(), `
		SELECT relname, relrowsecurity AND relforcerowsecurity, relispartition
		FROM pg_class
		WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p')`)
	if err != nil {
		t.Fatal(err)
	}
	tables, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (t table, err error) {
		return t, row.Scan(&t.name, &t.forced, &t.partition)
	})
	if err != nil || len(tables) < 10 {
		t.Fatalf("got %d tables, %v", len(tables), err)
	}
	return tables
}

// countVisibleRows says how many rows of a table a tenant sees, "" being none.
func countVisibleRows(conn *pgx.Conn, tenant string, table table) (n int, err error) {
	return n, asTenant(conn, tenant, func(ctx context.Context, tx pgx.Tx) error {
		return tx.QueryRow(ctx, "SELECT count(*) FROM "+table.quoted()).Scan(&n)
	})
}

// copyRow adds a row of the default tenant to a table, in another's name.
func copyRow(conn *pgx.Conn, as string, table table) error {
	var row string
	if err := asTenant(conn, tenant.Default, func(ctx context.Context, tx pgx.Tx) error {
		return tx.QueryRow(ctx, fmt.Sprintf("SELECT to_jsonb(t)::text FROM %s t LIMIT 1", table.quoted())).Scan(&row)
	}); err != nil {
		return err
	}
	return asTenant(conn, as, func(ctx context.Context, tx pgx.Tx) error {
		_, err := tx.Exec(ctx, fmt.Sprintf("INSERT INTO %[1]s OVERRIDING SYSTEM VALUE SELECT * FROM jsonb_populate_record(NULL::%[1]s, $1::text::jsonb)", table.quoted()), row)
		return err
	})
}

// asTenant runs fn in a transaction that is rolled back.
func asTenant(conn *pgx.Conn, tenant string, fn func(ctx context.Context, tx pgx.Tx) error) error {
	ctx := context.Background()
	tx, err := conn.Begin(ctx)
	if err != nil {
		return err
	}
	defer tx.Rollback(ctx)
	if tenant != "" {
		if _, err := tx.Exec(ctx, "SELECT set_config('gristmill.tenant', $1, true)", tenant); err != nil {
			return err
		}
	}
	return fn(ctx, tx)
}

func sqlState(err error) string {
	if e, ok := errors.AsType[*pgconn.PgError](err); ok {
		return e.Code
	}
	return ""
}

// Partitions are made with the owner's rights: nobody may make one for a space
// that is not the current tenant's.
func TestPartitionsAreMadeForOwnSpacesOnly(t *testing.T) {
	t.Parallel()
	d := preparedDatabase(t)
	d.migrate(t)
	fillTables(t, d.open(t))
	conn := connect(t, d.app)
	t.Cleanup(func() { conn.Close(context.Background()) })
	if err := asTenant(conn, tenant.Default, func(ctx context.Context, tx pgx.Tx) error {
		_, err := tx.Exec(ctx, "SELECT add_partition(id + 1000) FROM spaces")
		return err
	}); sqlState(err) != "P0001" {
		t.Errorf("no such space: got %v, want it refused", err)
	}
	var space int64
	if err := asTenant(conn, tenant.Default, func(ctx context.Context, tx pgx.Tx) error {
		return tx.QueryRow(ctx, "SELECT min(id) FROM spaces").Scan(&space)
	}); err != nil {
		t.Fatal(err)
	}
	if err := asTenant(conn, storetest.OtherTenant, func(ctx context.Context, tx pgx.Tx) error {
		_, err := tx.Exec(ctx, "SELECT add_partition($1)", space)
		return err
	}); sqlState(err) != "P0001" {
		t.Errorf("another tenant's space: got %v, want it refused", err)
	}
}
