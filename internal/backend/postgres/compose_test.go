package postgres_test

import (
	"context"
	"net/url"
	"os"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/seed-7a112592/gristmill/internal/tenant"
)

// The owner that compose.yaml has made is enough for all that migrate does, on a
// new database and on one that the superuser has migrated until now, and is not
// one. Its name is fixed: the test is not run beside itself.
func TestComposeOwner(t *testing.T) {
	t.Parallel()
	script, err := os.ReadFile("../../../scripts/compose/database.sql")
	if err != nil {
		t.Fatal(err)
	}
	var super string
	t.Cleanup(func() { // when the databases are gone
		server, err := url.Parse(super)
		if err != nil {
			t.Fatal(err)
		}
		server.Path = "/postgres"
		execute(t, server.String(), "DROP ROLE IF EXISTS gristmill_owner")
	})
	for _, name := range []string{"new", "the superuser's"} {
		var d database
		if name == "new" {
			d = newDatabase(t)
		} else {
			d = preparedDatabase(t)
			d.migrate(t)
			fillTables(t, d.open(t))
		}
		super = d.super
		for range 2 {
			d.runSetUpScript(t, string(script), "owner's")
		}
		d.owner = urlAs(t, d.super, "gristmill_owner", "owner's")
		if err := d.tryMigrate(t); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		s := d.open(t)
		ctx := tenant.With(t.Context(), tenant.Default)
		if name == "new" {
			fillTables(t, s)
		}
		c, err := s.Collection(ctx, "c")
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if err := s.IndexSpace(ctx, c.ActiveSpace, 1); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		for wrong, query := range map[string]string{
			"right of the owner's": `SELECT rolname::text FROM pg_roles WHERE rolname = 'gristmill_owner' AND (rolsuper OR rolbypassrls OR rolreplication OR rolcreatedb)`,
			"thing of another's": `
				SELECT oid::regclass::text FROM pg_class
				WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p', 'S') AND relowner NOT IN ('gristmill_owner'::regrole, 'gristmill_index'::regrole)
				UNION ALL SELECT oid::regprocedure::text FROM pg_proc WHERE prosecdef AND proowner <> 'gristmill_owner'::regrole`,
		} {
			if found := queryTexts(t, d.super, query); len(found) > 0 {
				t.Errorf("%s: %s: %v", name, wrong, found)
			}
		}
	}
}

// runSetUpScript runs the script as compose.yaml does.
func (d database) runSetUpScript(t *testing.T, script, password string) {
	t.Helper()
	config, err := pgx.ParseConfig(d.super)
	if err != nil {
		t.Fatal(err)
	}
	config.RuntimeParams["gristmill.owner_password"] = password
	conn, err := pgx.ConnectConfig(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background())
	if _, err := conn.PgConn().Exec(t.Context(), script).ReadAll(); err != nil {
		t.Fatal(err)
	}
}
