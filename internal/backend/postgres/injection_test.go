package postgres_test

import (
	"context"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"
)

// attack is a statement that somebody slips in as a role, and the SQLSTATE that
// refuses it; without one it may succeed and must change nothing.
type attack struct{ statement, state string }

// refusedAttacks are attacks that the server refuses for want of a right.
func refusedAttacks(statements ...string) (attacks []attack) {
	for _, s := range statements {
		attacks = append(attacks, attack{s, insufficientPrivilege})
	}
	return attacks
}

// attacksOfAll are tried as each role, with and without SET ROLE; {role} is that
// role.
var attacksOfAll = slices.Concat(
	refusedAttacks( // becoming somebody else
		"SET SESSION AUTHORIZATION {owner}", "ALTER ROLE {role} SUPERUSER", "ALTER ROLE {role} BYPASSRLS", "ALTER ROLE {role} CREATEROLE", "ALTER ROLE {role} REPLICATION",
		"CREATE ROLE mine", "ALTER ROLE {owner} PASSWORD 'mine'", "ALTER ROLE {owner} SET search_path = public", "ALTER ROLE gristmill_app LOGIN", "ALTER ROLE gristmill_index LOGIN",
		"GRANT {owner} TO {role}", "GRANT gristmill_app TO pg_monitor", "GRANT gristmill_index TO pg_monitor", "GRANT pg_execute_server_program TO {role}",
		"REASSIGN OWNED BY {owner} TO CURRENT_USER", "DROP OWNED BY {owner}",
	),
	refusedAttacks( // the server's files and programs
		"COPY (SELECT 1) TO PROGRAM 'true'", "COPY (SELECT 1) TO '/tmp/gristmill_attack'", "CREATE TEMP TABLE t (line text); COPY t FROM '/etc/passwd'",
		"SELECT pg_read_file('PG_VERSION')", "SELECT pg_read_binary_file('PG_VERSION')", "SELECT pg_ls_dir('.')", "SELECT pg_stat_file('PG_VERSION')", "SELECT pg_ls_waldir()",
		"SELECT lo_import('/etc/passwd')", "SELECT lo_export(0, '/tmp/gristmill_attack')", "LOAD 'pg_stat_statements'", "SELECT rolpassword FROM pg_authid",
	),
	refusedAttacks( // the server's and the database's settings
		"ALTER SYSTEM SET log_statement = 'none'", "SELECT pg_reload_conf()", "SELECT pg_create_restore_point('x')", "SELECT pg_create_physical_replication_slot('x')",
		"SET session_replication_role = replica", "SET log_statement = 'none'", "SET dynamic_library_path = '/tmp'", "ALTER DATABASE {database} SET search_path = public", "DROP DATABASE postgres",
		"ALTER DATABASE {database} OWNER TO CURRENT_USER", "CREATE DATABASE mine", "CREATE TABLESPACE mine LOCATION '/tmp'", "UPDATE pg_class SET relforcerowsecurity = false", "DELETE FROM pg_policy",
	),
	refusedAttacks( // what runs as somebody else, or for everybody
		"CREATE SCHEMA mine", "CREATE SCHEMA AUTHORIZATION CURRENT_USER", "CREATE EXTENSION dblink", "CREATE EXTENSION pg_trgm", "DROP EXTENSION vector", "ALTER EXTENSION vector UPDATE",
		"CREATE LANGUAGE c2 HANDLER plpgsql_call_handler", "CREATE FUNCTION pg_temp.f() RETURNS void LANGUAGE c AS 'x'", "CREATE FUNCTION pg_temp.f() RETURNS void LANGUAGE internal AS 'x'",
		"CREATE FUNCTION pg_temp.f() RETURNS event_trigger LANGUAGE plpgsql AS $$BEGIN END$$; CREATE EVENT TRIGGER mine ON ddl_command_start EXECUTE FUNCTION pg_temp.f()",
		"CREATE FOREIGN DATA WRAPPER mine", "CREATE PUBLICATION mine FOR ALL TABLES", "CREATE SUBSCRIPTION mine CONNECTION '' PUBLICATION p WITH (connect = false)",
		"CREATE CAST (text AS integer) WITHOUT FUNCTION", "CREATE ACCESS METHOD mine TYPE INDEX HANDLER bthandler", "ALTER DEFAULT PRIVILEGES FOR ROLE {owner} GRANT ALL ON TABLES TO PUBLIC",
		"ALTER FUNCTION public.add_partition(bigint) SET search_path = public", "ALTER FUNCTION public.drop_partition(bigint) OWNER TO CURRENT_USER", "DROP FUNCTION public.add_partition",
		"CREATE OR REPLACE FUNCTION public.add_partition(space_id bigint) RETURNS void LANGUAGE sql AS ''", "CREATE OR REPLACE FUNCTION public.count_backlog() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN END'",
		"ALTER SCHEMA public OWNER TO CURRENT_USER", "ALTER SCHEMA public RENAME TO old", "DROP SCHEMA public CASCADE",
	),
	refusedAttacks( // tables
		"ALTER TABLE documents DISABLE ROW LEVEL SECURITY", "ALTER TABLE documents NO FORCE ROW LEVEL SECURITY", "DROP POLICY tenant ON documents", "CREATE POLICY mine ON documents USING (true)",
		"ALTER POLICY tenant ON documents USING (true)", "DROP TABLE documents", "TRUNCATE documents", "ALTER TABLE documents OWNER TO CURRENT_USER", "ALTER TABLE documents ADD mine text",
		"ALTER TABLE documents SET SCHEMA pg_temp", "CREATE INDEX ON documents (key)", "CREATE RULE mine AS ON SELECT TO documents DO INSTEAD SELECT 1",
		"CREATE FUNCTION pg_temp.f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN END'; CREATE TRIGGER mine BEFORE INSERT ON documents FOR EACH ROW EXECUTE FUNCTION pg_temp.f()",
		"ALTER TABLE jobs DISABLE TRIGGER ALL", "ALTER TABLE passages DETACH PARTITION passages_1", "ALTER TABLE passages DISABLE ROW LEVEL SECURITY",
		"INSERT INTO tenants (id) VALUES ('mine')", "DELETE FROM tenants", "UPDATE goose_db_version SET is_applied = false", "DELETE FROM goose_db_version", "SELECT setval('spaces_id_seq', 1)", "SELECT nextval('spaces_id_seq')",
		"SELECT stavalues1 FROM pg_statistic",
	),
	[]attack{ // these say no more than a warning
		{"GRANT CREATE ON SCHEMA public TO PUBLIC", ""}, {"ANALYZE documents", ""}, {"VACUUM FULL documents", ""},
	},
)

// attacksOfApplication are those that the role of index builds may do.
var attacksOfApplication = slices.Concat(
	refusedAttacks(
		"ALTER TABLE passages_1 DISABLE ROW LEVEL SECURITY", "ALTER TABLE passages_1 NO FORCE ROW LEVEL SECURITY", "DROP POLICY tenant ON passages_1", "DROP TABLE passages_1", "TRUNCATE passages_1",
		"INSERT INTO passages_1 DEFAULT VALUES", "CREATE INDEX ON passages_1 (tokens)", "CREATE INDEX CONCURRENTLY ON passages_1 (tokens)",
		"ALTER TABLE passages_1 OWNER TO CURRENT_USER", "REINDEX TABLE passages_1",
		"CREATE FUNCTION public.format(text, bigint) RETURNS text LANGUAGE sql AS 'SELECT $1'", "CREATE TABLE public.mine ()", "CREATE VIEW public.mine AS SELECT 1", "CREATE SEQUENCE public.mine",
		"CREATE TYPE public.mine AS ENUM ()", "CREATE DOMAIN public.mine AS text", "CREATE OPERATOR public.= (LEFTARG = text, RIGHTARG = name, FUNCTION = texteqname)", "CREATE AGGREGATE public.count(text) (SFUNC = textcat, STYPE = text)",
		"CREATE COLLATION public.mine FROM \"C\"", "CREATE TEXT SEARCH CONFIGURATION public.mine (COPY = simple)", "CREATE TABLE public.passages_9 PARTITION OF passages FOR VALUES IN (9)",
		"SET row_security = off; SELECT FROM documents", "DROP OWNED BY gristmill_index", "ALTER ROLE gristmill_index RENAME TO mine",
	),
	[]attack{
		{"GRANT ALL ON tenants TO PUBLIC", ""}, {"REVOKE ALL ON tenants FROM gristmill_app", ""}, {"DROP OWNED BY gristmill_app", ""}, {"DROP OWNED BY CURRENT_USER", ""},
		{"DELETE FROM passages_1", ""}, {"UPDATE passages_1 SET tenant = 'other'", ""},
		{"SELECT public.add_partition(1000)", "P0001"}, {"SELECT public.drop_partition(1)", "P0001"},
	},
)

// attacksOfIndexer are those that the application may do.
var attacksOfIndexer = refusedAttacks("SELECT FROM documents", "GRANT ALL ON tenants TO PUBLIC", "SELECT FROM passages", "INSERT INTO documents DEFAULT VALUES", "SELECT FROM webhooks", "DELETE FROM jobs", "SELECT FROM tenants",
	"SELECT public.add_partition(1)", "SELECT public.drop_partition(1)", "DROP OWNED BY gristmill_app", "DROP TABLE passages")

// Whoever can slip in SQL as a role gets no further with it than the rows that
// the role is for, under any owner of the tables.
func TestInjectedSQLGetsNoFurther(t *testing.T) {
	t.Parallel()
	for name, d := range ownedDatabases(t) {
		d.migrate(t)
		fillTables(t, d.open(t))
		before := d.catalogue(t)
		for _, role := range []struct {
			url, group string
			attacks    []attack
		}{
			{d.app, "gristmill_app", slices.Concat(attacksOfAll, attacksOfApplication)},
			{d.index, "gristmill_index", slices.Concat(attacksOfAll, attacksOfIndexer)},
		} {
			d.attackAs(t, name, role.url, role.group, role.attacks)
		}
		if diff := cmp.Diff(before, d.catalogue(t)); diff != "" {
			t.Errorf("owner %s: the attacks changed the catalogue (-before +after):\n%s", name, diff)
		}
	}
}

// attackAs logs in as a role, takes on every role of the server that it can,
// which must be its group alone, and attacks.
func (d database) attackAs(t *testing.T, name, url, group string, attacks []attack) {
	t.Helper()
	login := urlUser(t, url)
	conn := connect(t, url)
	defer conn.Close(context.Background())
	for _, become := range d.roles(t) {
		_, err := conn.Exec(t.Context(), "SET ROLE "+pgx.Identifier{become}.Sanitize())
		if become != login && become != group {
			if sqlState(err) != insufficientPrivilege {
				t.Errorf("owner %s: %s: SET ROLE %s: got %v, want it refused", name, login, become, err)
			}
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		fill := strings.NewReplacer("{owner}", urlUser(t, d.owner), "{database}", conn.Config().Database, "{role}", become)
		for _, a := range attacks {
			err := inject(t, conn, fill.Replace(a.statement))
			if sqlState(err) != a.state || err != nil && a.state == "" {
				t.Errorf("owner %s: %s as %s: %s: got %v, want SQLSTATE %q", name, login, become, fill.Replace(a.statement), err, a.state)
			}
		}
	}
}

// internalError is also what a catalogue that changes at the same moment ends in.
const internalError = "XX000"

// inject runs a statement by the simple protocol, which takes several at once, as
// injected SQL has them. A statement that looks at all databases of the server,
// such as DROP OWNED, fails when another test drops one, and is run again.
func inject(t *testing.T, conn *pgx.Conn, statement string) error {
	t.Helper()
	for {
		_, err := conn.PgConn().Exec(t.Context(), statement).ReadAll()
		if sqlState(err) != internalError || !strings.Contains(err.Error(), "tuple concurrently") {
			return err
		}
	}
}

// ownedDatabases returns a database whose owner is a superuser, and one whose
// owner is not.
func ownedDatabases(t *testing.T) map[string]database {
	ordinary, _ := newOwnedDatabase(t)
	return map[string]database{"superuser": newDatabase(t), "ordinary": ordinary}
}

// roles returns the server's roles but those of other tests.
func (d database) roles(t *testing.T) []string {
	t.Helper()
	return queryTexts(t, d.owner, `SELECT rolname::text FROM pg_roles WHERE rolname NOT LIKE 'gm\_test%' AND rolname <> 'gristmill_owner' OR starts_with(rolname, $1)`, d.role)
}

// catalogue describes everything in the database, and the roles that are its own.
func (d database) catalogue(t *testing.T) []string {
	t.Helper()
	return queryTexts(t, d.owner, `
		SELECT format('%s %s %s %s %s %s', oid::regclass, relkind, relowner::regrole, relacl, relrowsecurity, relforcerowsecurity)
		FROM pg_class WHERE relpersistence <> 't' AND relnamespace <> 'pg_toast'::regnamespace
		UNION ALL SELECT format('%s %s %s %s %s', oid::regprocedure, proowner::regrole, proacl, proconfig, md5(prosrc)) FROM pg_proc WHERE pronamespace::regnamespace::text NOT LIKE 'pg\_temp%'
		UNION ALL SELECT format('%s %s %s', nspname, nspowner::regrole, nspacl) FROM pg_namespace WHERE nspname NOT LIKE 'pg\_t%'
		UNION ALL SELECT format('%s %s %s', datname, datdba::regrole, datacl) FROM pg_database WHERE datname = current_database()
		UNION ALL SELECT format('%s %s %s %s %s', polrelid::regclass, polname, polroles, pg_get_expr(polqual, polrelid), pg_get_expr(polwithcheck, polrelid)) FROM pg_policy
		UNION ALL SELECT format('%s %s', tgrelid::regclass, tgname) FROM pg_trigger WHERE NOT tgisinternal
		UNION ALL SELECT format('%s', a) FROM pg_roles a WHERE rolname IN ('gristmill_app', 'gristmill_index') OR starts_with(rolname, $1)
		UNION ALL SELECT format('%s in %s', member::regrole, roleid::regrole) FROM pg_auth_members WHERE roleid::regrole::text IN ('gristmill_app', 'gristmill_index') AND starts_with(member::regrole::text, $1)
		UNION ALL SELECT format('%s %s', d, s.setdatabase) FROM pg_db_role_setting s JOIN pg_database d ON d.oid = s.setdatabase WHERE d.datname = current_database()
		UNION ALL SELECT format('%s', x) FROM pg_extension x
		UNION ALL SELECT format('%s', x) FROM pg_default_acl x
		UNION ALL SELECT format('%s', x) FROM pg_event_trigger x
		UNION ALL SELECT format('%s', x) FROM pg_largeobject_metadata x
		UNION ALL SELECT format('%s', x) FROM pg_language x
		ORDER BY 1`, d.role)
}

// urlDatabase returns the database of a URL.
func urlDatabase(t *testing.T, address string) string {
	t.Helper()
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimPrefix(u.Path, "/")
}

// urlUser returns the role of a URL.
func urlUser(t *testing.T, address string) string {
	t.Helper()
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	return u.User.Username()
}

// queryTexts returns the texts that a query answers.
func queryTexts(t *testing.T, address, query string, args ...any) []string {
	t.Helper()
	conn := connect(t, address)
	defer conn.Close(context.Background())
	rows, err := conn.Query(context.Background(), query, args...)
	if err != nil {
		t.Fatal(err)
	}
	texts, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatal(err)
	}
	return texts
}
