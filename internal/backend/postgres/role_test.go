package postgres_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// What the catalogue says that each role may do, so that a migration that gives
// away more, or forgets something of the sort, fails here. Every query names what
// is wrong; $1 is the application's role, and its group's.
func TestRolesCanDoWhatTheyAreFor(t *testing.T) {
	t.Parallel()
	for name, d := range ownedDatabases(t) {
		d.migrate(t)
		fillTables(t, d.open(t))
		for role, can := range map[string][]string{
			d.role:            {d.role, "gristmill_app"},
			d.role + "_index": {d.role + "_index", "gristmill_index"},
		} {
			slices.Sort(can)
			got := queryTexts(t, d.owner, `SELECT rolname::text FROM pg_roles WHERE pg_has_role($1, oid, 'MEMBER') ORDER BY 1`, role)
			if diff := cmp.Diff(can, got); diff != "" {
				t.Errorf("owner %s: roles that %s is or can become (-want +got):\n%s", name, role, diff)
			}
		}
		got := queryTexts(t, d.owner, privilegesOf, []string{d.role, d.role + "_index"})
		want := []string{
			"app: may SELECT, INSERT, DELETE: processes",
			"app: may SELECT, INSERT, UPDATE, DELETE: every table of tenants' rows",
			"app: may SELECT: goose_db_version, tenants",
			"app: may run as the owner: add_partition(bigint), drop_partition(bigint)",
			"index: may CREATE in: public",
			"index: owns: passages_1",
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("owner %s: rights in the database (-want +got):\n%s", name, diff)
		}
		for wrong, query := range map[string]string{
			"function that runs as the owner, or in a trigger, without a path of its own": `
				SELECT oid::regprocedure::text FROM pg_proc p
				WHERE (prosecdef OR oid IN (SELECT tgfoid FROM pg_trigger WHERE NOT tgisinternal) OR pronamespace = 'public'::regnamespace)
				  AND NOT EXISTS (SELECT FROM pg_depend WHERE classid = 'pg_proc'::regclass AND objid = p.oid AND deptype = 'e')
				  AND NOT coalesce('search_path=pg_catalog, pg_temp' = ANY (proconfig), false)`,
			"function that runs as the owner for everybody": `
				SELECT oid::regprocedure::text FROM pg_proc WHERE prosecdef AND (proacl IS NULL OR 0 IN (SELECT grantee FROM aclexplode(proacl)))`,
			"thing in public that is not the owner's": `
				SELECT pg_describe_object(d.classid, d.objid, 0) FROM pg_shdepend d
				WHERE d.deptype = 'o' AND d.dbid = (SELECT oid FROM pg_database WHERE datname = current_database())
				  AND d.refobjid NOT IN (current_user::regrole, 'gristmill_index'::regrole)`,
			"partition that is not gristmill_index's": `
				SELECT relname::text FROM pg_class WHERE relispartition AND relkind = 'r' AND relowner <> 'gristmill_index'::regrole`,
			"table without the policy, or with another":     unprotectedTables,
			"right that is given to whatever is made later": `SELECT a::text FROM pg_default_acl a`,
			"right of everybody's": `
				SELECT format('%s on %s', x.privilege_type, c.oid::regclass) FROM pg_class c, aclexplode(relacl) x WHERE relnamespace = 'public'::regnamespace AND x.grantee = 0
				UNION ALL SELECT format('%s on %s', x.privilege_type, nspname) FROM pg_namespace, aclexplode(nspacl) x WHERE x.grantee = 0 AND x.privilege_type <> 'USAGE'`,
			"thing that the roles could use outside of public": `
				SELECT format('%s %s', nspname, relname) FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace
				WHERE nspname NOT IN ('public', 'pg_catalog', 'information_schema', 'pg_toast')`,
			"server, wrapper, event trigger, large object or language": `
				SELECT srvname::text FROM pg_foreign_server UNION ALL SELECT fdwname::text FROM pg_foreign_data_wrapper
				UNION ALL SELECT evtname::text FROM pg_event_trigger UNION ALL SELECT oid::text FROM pg_largeobject_metadata
				UNION ALL SELECT lanname::text FROM pg_language WHERE lanname NOT IN ('internal', 'c', 'sql', 'plpgsql')`,
		} {
			if found := queryTexts(t, d.owner, query); len(found) > 0 {
				t.Errorf("owner %s: %s: %s", name, wrong, strings.Join(found, ", "))
			}
		}
	}
}

// privilegesOf lists what the two roles of $1 may do with relations, schemas, the
// database and functions that run as somebody else. Rights on every one of the
// tables with tenants' rows, which are many, are one line.
const privilegesOf = `
	WITH roles AS (SELECT * FROM unnest($1::text[], ARRAY['app', 'index']) AS r (role, name)),
	relations AS (
		SELECT r.name, c.oid, c.relname, c.relkind, c.relowner, c.relrowsecurity AS tenants,
		       pg_has_role(r.role, c.relowner, 'USAGE') AS owned,
		       (SELECT string_agg(p, ', ' ORDER BY n)
		        FROM unnest(ARRAY['SELECT', 'INSERT', 'UPDATE', 'DELETE', 'TRUNCATE', 'REFERENCES', 'TRIGGER']) WITH ORDINALITY AS p (p, n)
		        WHERE CASE WHEN c.relkind = 'S' THEN n IN (1, 3) AND has_sequence_privilege(r.role, c.oid, p)
		                   ELSE has_table_privilege(r.role, c.oid, p) OR n IN (1, 2, 3, 6) AND has_any_column_privilege(r.role, c.oid, p) END) AS rights
		FROM roles r, pg_class c
		WHERE c.relnamespace = 'public'::regnamespace AND c.relkind NOT IN ('i', 'I'))
	SELECT format('%s: may %s: %s', name, rights,
	              CASE WHEN tenants AND count(*) = (SELECT count(*) FROM relations a WHERE a.name = o.name AND a.tenants)
	                   THEN 'every table of tenants'' rows' ELSE string_agg(relname, ', ' ORDER BY relname) END)
	FROM relations o WHERE NOT owned AND rights IS NOT NULL
	GROUP BY name, rights, tenants
	UNION ALL SELECT format('%s: owns: %s', name, string_agg(relname, ', ')) FROM relations WHERE owned GROUP BY name
	UNION ALL SELECT format('%s: may CREATE in: %s', name, nspname) FROM roles, pg_namespace
	          WHERE nspname NOT LIKE 'pg\_temp%' AND nspname NOT LIKE 'pg\_toast\_temp%' AND has_schema_privilege(role, oid, 'CREATE')
	UNION ALL SELECT format('%s: may CREATE in the database', name) FROM roles WHERE has_database_privilege(role, current_database(), 'CREATE')
	UNION ALL SELECT format('%s: may run as the owner: %s', name, string_agg(oid::regprocedure::text, ', ' ORDER BY oid::regprocedure::text))
	          FROM roles, pg_proc WHERE prosecdef AND has_function_privilege(role, oid, 'EXECUTE') GROUP BY name
	UNION ALL SELECT format('%s: %s is %s', name, g.rolname, right_) FROM roles
	          JOIN pg_roles g ON pg_has_role(role, g.oid, 'MEMBER')
	          CROSS JOIN LATERAL (VALUES ('a superuser', g.rolsuper), ('bypassing row-level security', g.rolbypassrls), ('making roles', g.rolcreaterole),
	                                     ('making databases', g.rolcreatedb), ('replicating', g.rolreplication)) AS v (right_, has) WHERE has
	ORDER BY 1`
