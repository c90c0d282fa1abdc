package postgres_test

import (
	"fmt"
	"slices"
	"testing"
)

// unprotectedTables lists the tables that do not have exactly the policy of protect. The three
// tables that it names have no tenant's rows; another table without a column tenant is listed.
const unprotectedTables = `
	SELECT c.oid::regclass::text
	FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
	WHERE c.relkind IN ('r', 'p') AND c.relpersistence <> 't'
	  AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'pg_toast')
	  AND c.oid <> ALL ('{tenants,goose_db_version,processes}'::regclass[])
	  AND (NOT c.relrowsecurity OR NOT c.relforcerowsecurity
	       OR NOT EXISTS (SELECT FROM pg_attribute WHERE attrelid = c.oid AND attname = 'tenant' AND NOT attisdropped)
	       OR (SELECT array_agg(format('%s %s %s %s %s %s', policyname, permissive, roles, cmd, qual, with_check))
	           FROM pg_policies p WHERE p.schemaname = n.nspname AND p.tablename = c.relname)
	          IS DISTINCT FROM ARRAY[format('tenant PERMISSIVE {public} ALL %1$s %1$s',
	              '(tenant = ( SELECT NULLIF(current_setting(''gristmill.tenant''::text, true), ''''::text) AS "nullif"))')])
	ORDER BY 1`

// A migration that makes a table and does not call protect fails here.
func TestTablesOfTenantsAreProtected(t *testing.T) {
	t.Parallel()
	d := preparedDatabase(t)
	d.migrate(t)
	fillTables(t, d.open(t)) // adds partitions
	if found := queryTexts(t, d.owner, unprotectedTables); len(found) > 0 {
		t.Errorf("not protected: %q; let the migration that makes a table call protect", found)
	}
	if found := queryTexts(t, d.owner, `SELECT relname::text FROM pg_class WHERE relispartition AND relkind = 'r'`); len(found) == 0 {
		t.Error("there are no partitions, so their policies were not compared")
	}
}

func TestProtect(t *testing.T) {
	t.Parallel()
	d := preparedDatabase(t)
	d.migrate(t)
	const (
		table   = "CREATE TABLE public.notes (tenant text NOT NULL, note text); "
		protect = "SELECT public.protect('public.notes'); "
		enable  = "ALTER TABLE public.notes ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY; "
		isOwn   = "(tenant = (SELECT nullif(current_setting('gristmill.tenant', true), '')))"
	)
	for name, statements := range map[string]string{
		"nothing":                 table,
		"no policy":               table + enable,
		"not enabled":             table + protect + "ALTER TABLE public.notes DISABLE ROW LEVEL SECURITY",
		"not forced":              table + protect + "ALTER TABLE public.notes NO FORCE ROW LEVEL SECURITY",
		"another policy":          table + protect + "ALTER POLICY tenant ON public.notes USING (true)",
		"another check":           table + protect + "ALTER POLICY tenant ON public.notes WITH CHECK (true)",
		"two policies":            table + protect + "CREATE POLICY every ON public.notes USING (true)",
		"a policy for reading":    table + enable + "CREATE POLICY tenant ON public.notes FOR SELECT USING " + isOwn,
		"a policy for one role":   table + enable + "CREATE POLICY tenant ON public.notes TO gristmill_app USING " + isOwn + " WITH CHECK " + isOwn,
		"a restrictive policy":    table + enable + "CREATE POLICY tenant ON public.notes AS RESTRICTIVE USING " + isOwn + " WITH CHECK " + isOwn,
		"no column tenant":        "CREATE TABLE public.notes (note text)",
		"another column's policy": "CREATE TABLE public.notes (owner text, tenant text); " + enable + "CREATE POLICY tenant ON public.notes USING (owner = current_user)",
	} {
		execute(t, d.owner, statements)
		if found := queryTexts(t, d.owner, unprotectedTables); !slices.Equal(found, []string{"notes"}) {
			t.Errorf("%s: found %q, want the table", name, found)
		}
		execute(t, d.owner, "DROP TABLE public.notes")
	}

	execute(t, d.owner, table+"INSERT INTO notes VALUES ('default', 'ours'), ('other', 'theirs'); "+protect)
	if found := queryTexts(t, d.owner, unprotectedTables); len(found) > 0 {
		t.Errorf("found %q after protect", found)
	}
	if got := queryTexts(t, d.app, "WITH t AS MATERIALIZED (SELECT set_config('gristmill.tenant', 'default', false)) SELECT note FROM t, notes"); fmt.Sprint(got) != "[ours]" {
		t.Errorf("the application sees %q of tenant default's rows and another's, want its own", got)
	}
	for role, address := range map[string]string{"the application": d.app, "the role of index builds": d.index} {
		if got := queryTexts(t, address, "SELECT has_function_privilege('public.protect(regclass)', 'EXECUTE')::text"); got[0] != "false" {
			t.Errorf("%s may call protect", role)
		}
	}
}
