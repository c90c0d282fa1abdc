package postgres

import (
	"context"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"
)

// rolePurpose is what a login role is for. Each setting of a URL has one, and each
// role has one purpose only.
type rolePurpose struct {
	setting          string // that names the role
	group            string // role that has the rights; login roles are its members
	excessPrivileges []excessPrivilege
}

// excessPrivilege is a right with which SQL that somebody slips in as the role could do
// more than the role is for.
type excessPrivilege struct {
	condition   string // in SQL, of "can": a role that the role is or can become
	description string // follows "database role x"
	remedy      string
}

var (
	applicationPurpose = rolePurpose{
		setting: "GRISTMILL_DATABASE_URL",
		group:   "gristmill_app",
		excessPrivileges: append(forbiddenPrivileges[:len(forbiddenPrivileges):len(forbiddenPrivileges)],
			excessPrivilege{ownsInPublic("true"), "owns the tables or other things in the schema public, or can become the role that does, so it could switch row-level security off", ""},
			excessPrivilege{"has_schema_privilege(can.oid, 'public', 'CREATE')", "may create in the schema public",
				"let the schema's owner run REVOKE CREATE ON SCHEMA public FROM PUBLIC, %[1]s"}),
	}
	indexPurpose = rolePurpose{
		setting: "GRISTMILL_INDEX_DATABASE_URL",
		group:   "gristmill_index",
		excessPrivileges: append(forbiddenPrivileges[:len(forbiddenPrivileges):len(forbiddenPrivileges)],
			excessPrivilege{ownsInPublic("NOT EXISTS (SELECT FROM pg_inherits WHERE inhrelid = owned.objid AND inhparent = to_regclass('public.passages'))"),
				"owns more than the partitions of passages, or can become the role that does", ""},
			excessPrivilege{"can.rolname = 'gristmill_app'", "is a member of gristmill_app, so it can also read and write documents",
				"run REVOKE gristmill_app FROM %[1]s"}),
	}
)

// forbiddenPrivileges are the rights that no role of the programs may have.
var forbiddenPrivileges = []excessPrivilege{
	{"can.rolsuper", "is a superuser, whom row-level security does not bind", ""},
	{"can.rolbypassrls", "bypasses row-level security", ""},
	{"can.rolcreaterole", "may make roles, and grant them to itself", ""},
	{"can.rolreplication", "may copy the whole server by replication", ""},
	{"can.rolname IN ('pg_read_server_files', 'pg_write_server_files', 'pg_execute_server_program')", "may use files or programs of the database server", ""},
	{"has_database_privilege(can.oid, current_database(), 'CREATE')", "may create schemas in the database",
		"let the database's owner run REVOKE CREATE ON DATABASE %[2]s FROM %[1]s"},
}

// ownsInPublic is true of a role that owns something in the schema public of
// which the condition, in SQL, is true.
func ownsInPublic(condition string) string {
	return `EXISTS (SELECT FROM pg_shdepend owned
	                WHERE owned.refclassid = 'pg_authid'::regclass AND owned.refobjid = can.oid AND owned.deptype = 'o'
	                  AND owned.dbid = (SELECT oid FROM pg_database WHERE datname = current_database())
	                  AND (pg_identify_object(owned.classid, owned.objid, 0)).schema = 'public'
	                  AND ` + condition + `)`
}

// rolePrivileges is what a role may do.
type rolePrivileges struct {
	role   string // "" if there is none
	member bool   // of the purpose's group, with its rights
	excess error  // what it may do and must not, or nil
}

// readPrivileges reads the rights that a role has for a purpose; "" is the role that
// has connected.
func readPrivileges(ctx context.Context, conn *pgx.Conn, role string, p rolePurpose) (r rolePrivileges, err error) {
	conditions := make([]string, len(p.excessPrivileges))
	for i, e := range p.excessPrivileges {
		conditions[i] = "coalesce(bool_or(" + e.condition + "), false)"
	}
	var (
		found    []bool
		database string
	)
	err = conn.QueryRow(ctx, `
		SELECT coalesce(max(self.rolname), ''), coalesce(bool_or(can.rolname = $2 AND pg_has_role(self.oid, can.oid, 'USAGE')), false),
		       ARRAY[`+strings.Join(conditions, ", ")+`]::boolean[], current_database()
		FROM pg_roles self
		JOIN pg_roles can ON pg_has_role(self.oid, can.oid, 'MEMBER')
		WHERE self.rolname = coalesce(nullif($1, ''), current_user)`, role, p.group).Scan(&r.role, &r.member, &found, &database)
	if err != nil || r.role == "" {
		return r, err
	}
	for i, e := range p.excessPrivileges {
		if !found[i] {
			continue
		}
		remedy := "set " + p.setting + " to a role of its own and run `gristmill migrate`, which makes it"
		if e.remedy != "" {
			remedy = fmt.Sprintf(e.remedy, quoteIdentifier(r.role), quoteIdentifier(database))
		}
		r.excess = fmt.Errorf("database role %q %s: %s", r.role, e.description, remedy)
		break
	}
	return r, nil
}

func quoteIdentifier(name string) string { return pgx.Identifier{name}.Sanitize() }
