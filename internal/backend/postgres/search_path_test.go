package postgres_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/seed-7a112592/gristmill/internal/backend/postgres"
	"github.com/seed-7a112592/gristmill/internal/original"
	"github.com/seed-7a112592/gristmill/internal/tenant"
	"github.com/seed-7a112592/gristmill/pkg/document"
)

// plantLookalikes makes functions and operators in a schema that fit what migrations and
// the owner's functions call better than PostgreSQL's own, which take "any", or
// another type that the argument is cast to. Whoever runs one is told on.
func plantLookalikes(t *testing.T, super, schema string) {
	t.Helper()
	const astray = `LANGUAGE plpgsql AS $$BEGIN RAISE EXCEPTION 'led astray as %', current_user; END$$`
	for _, arguments := range []string{
		"text, bigint", "text, text", "text, name", "text, regclass", "text, regrole", "text, text, text", "text, text, bigint", "text, text, text, integer",
		"text, text, name, integer", "text, regrole, text", "text, text, integer",
	} {
		execute(t, super, fmt.Sprintf("CREATE FUNCTION %s.format(%s) RETURNS text %s", schema, arguments, astray))
	}
	for i, operands := range []string{"oid, regrole", "oid, regclass", "name, text", "text, name", "text, regrole"} {
		left, right, _ := strings.Cut(operands, ", ")
		execute(t, super, fmt.Sprintf("CREATE FUNCTION %s.astray%d(%s) RETURNS boolean %s", schema, i, operands, astray))
		for _, operator := range []string{"=", "<>", "||"} {
			execute(t, super, fmt.Sprintf("CREATE OPERATOR %s.%s (LEFTARG = %s, RIGHTARG = %s, FUNCTION = %[1]s.astray%[5]d)", schema, operator, left, right, i))
		}
	}
}

// Functions that run as the owner call PostgreSQL's own, whatever stands in the
// schema public, where an attacker may have left it before the release that
// stopped that, or in the temporary schema and on the path of who calls them.
func TestOwnersFunctionsAreNotLedAstray(t *testing.T) {
	t.Parallel()
	for name, d := range ownedDatabases(t) {
		d.migrate(t)
		plantLookalikes(t, d.super, "public")
		s := d.open(t)
		ctx := tenant.With(t.Context(), tenant.Default)
		c, err := s.EnsureCollection(ctx, "c", document.Model{Name: "m", Dimensions: 2}, document.Chunking{Tokens: 10})
		if err != nil {
			t.Fatalf("owner %s: add_partition: %v", name, err)
		}
		accepted, err := upload(ctx, s, original.Upload{Collection: c, Key: "k"})
		if err != nil {
			t.Fatalf("owner %s: count_backlog: %v", name, err)
		}

		conn := connect(t, d.app)
		defer conn.Close(context.Background())
		for _, statement := range []string{
			"SET gristmill.tenant = 'default'",
			"CREATE TEMP TABLE spaces (LIKE public.spaces); INSERT INTO spaces SELECT * FROM public.spaces; UPDATE spaces SET id = 1000, dimensions = 7",
			"CREATE TEMP TABLE backlog (LIKE public.backlog); CREATE TEMP TABLE collections (LIKE public.collections); CREATE TEMP TABLE passages (LIKE public.passages)",
			`CREATE FUNCTION pg_temp.format(text, bigint) RETURNS text LANGUAGE plpgsql AS $$BEGIN RAISE EXCEPTION 'led astray as %', current_user; END$$`,
			"SET search_path = pg_temp, public, pg_catalog",
			"INSERT INTO public.spaces (collection, model, dimensions, chunk_tokens, chunk_overlap) SELECT collection, 'other', 2, 10, 0 FROM public.spaces",
			"SELECT public.add_partition(max(id)) FROM public.spaces",
			"SELECT public.drop_partition(max(id)) FROM public.spaces",
			"DELETE FROM public.versions WHERE document = '" + accepted.Document.ID.String() + "'", // and its job, as the owner
		} {
			if _, err := conn.PgConn().Exec(t.Context(), statement).ReadAll(); err != nil {
				t.Fatalf("owner %s: %s: %v", name, statement, err)
			}
		}
		var astray, jobs int
		if err := conn.QueryRow(t.Context(), "SELECT (SELECT count(*) FROM pg_temp.backlog), (SELECT sum(jobs) FROM public.backlog)").Scan(&astray, &jobs); err != nil || astray != 0 || jobs != 0 {
			t.Errorf("owner %s: the trigger wrote %d rows to the caller's table, and left %d jobs (%v)", name, astray, jobs, err)
		}
		if err := conn.QueryRow(t.Context(), "SELECT count(*) FROM pg_catalog.pg_class WHERE relname = 'passages_1000' OR relname ~ '^passages_[0-9]+$' AND relnamespace <> 'public'::regnamespace").Scan(&astray); err != nil || astray != 0 {
			t.Errorf("owner %s: add_partition made %d tables of the caller's rows (%v)", name, astray, err)
		}
	}
}

// The same for all that migrate runs, on a database where everybody can create in
// the schema public, as before PostgreSQL 15, and somebody has made a schema with
// the owner's name, which "$user" would put first.
func TestMigrateIsNotLedAstray(t *testing.T) {
	t.Parallel()
	for _, from := range []int64{0, 2, 6} {
		for name, d := range ownedDatabases(t) {
			if from > 0 {
				d.migrateTo(t, from)
			}
			owner := urlUser(t, d.owner)
			execute(t, d.super, "GRANT CREATE ON SCHEMA public TO PUBLIC")
			execute(t, d.super, `CREATE SCHEMA "`+owner+`"`)
			execute(t, d.super, `CREATE TABLE "`+owner+`".goose_db_version (id integer, version_id bigint, is_applied boolean, tstamp timestamp)`)
			execute(t, d.super, `INSERT INTO "`+owner+`".goose_db_version VALUES (1, 0, true, now()), (2, 1000, true, now())`)
			execute(t, d.super, `GRANT ALL ON SCHEMA "`+owner+`" TO PUBLIC; GRANT ALL ON ALL TABLES IN SCHEMA "`+owner+`" TO PUBLIC`)
			plantLookalikes(t, d.super, "public")
			plantLookalikes(t, d.super, `"`+owner+`"`)
			execute(t, d.super, "ALTER DATABASE "+urlDatabase(t, d.owner)+` SET search_path = "$user", public`)
			if err := d.tryMigrate(t); err != nil {
				t.Errorf("owner %s, from version %d: %v", name, from, err)
				continue
			}
			status, err := postgres.ReadStatus(t.Context(), d.app)
			if err != nil || status.Problem() != nil {
				t.Errorf("owner %s, from version %d: %v, %v", name, from, status.Problem(), err)
			}
			if rows := queryTexts(t, d.super, `SELECT version_id::text FROM "`+owner+`".goose_db_version WHERE version_id BETWEEN 1 AND 999`); len(rows) != 0 {
				t.Errorf("owner %s, from version %d: migrate wrote to another's table: %v", name, from, rows)
			}
		}
	}
}

// Who may create in public is the owner's to say, if the schema is.
func TestMigrateAsksForTheSchemaPublic(t *testing.T) {
	t.Parallel()
	d, _ := newOwnedDatabase(t)
	execute(t, d.super, "ALTER SCHEMA public OWNER TO CURRENT_USER")
	execute(t, d.super, "GRANT CREATE ON SCHEMA public TO PUBLIC")
	remedy := "ALTER SCHEMA public OWNER TO " + urlUser(t, d.owner)
	if err := d.tryMigrate(t); err == nil || !strings.Contains(err.Error(), remedy) {
		t.Fatalf("got %v, want an error with %q", err, remedy)
	}
	execute(t, d.super, remedy)
	d.migrate(t)
	if err := d.open(t).Ping(t.Context()); err != nil {
		t.Error(err)
	}
}
