package postgres_test

import (
	"context"
	"io/fs"
	"log/slog"
	"strings"
	"testing"

	"github.com/seed-7a112592/gristmill/internal/backend/postgres"
	"github.com/seed-7a112592/gristmill/internal/fault"
	"github.com/seed-7a112592/gristmill/internal/tenant"
	"github.com/seed-7a112592/gristmill/internal/vector"
	"github.com/seed-7a112592/gristmill/migrations"
)

// Without a role of index builds everything works but those, which say what to
// set: a reindex waits then.
func TestWithoutARoleNoIndexIsBuilt(t *testing.T) {
	t.Parallel()
	g, ctx := newLargeStore(t, 2)
	for name, broken := range map[string]struct {
		url, want string
	}{
		"not set":         {"", "set GRISTMILL_INDEX_DATABASE_URL to a role of its own"},
		"no URL":          {"postgres://u:hunter2%zz@h/d", "does not parse"},
		"no such role":    {urlAs(t, g.app, g.role+"_nobody", "hunter2"), "run `gristmill migrate`"},
		"wrong password":  {urlAs(t, g.app, g.role+"_index", "hunter2"), "run `gristmill migrate`"},
		"the application": {g.app, "is no member of gristmill_index"},
		"the owner":       {g.owner, "is a superuser"},
	} {
		s, err := postgres.Open(t.Context(), postgres.Config{URL: g.app, IndexURL: broken.url, Log: logger(t)})
		if err != nil {
			t.Fatal(err)
		}
		for call, err := range map[string]error{"ping": s.PingIndexBuilder(ctx), "index": s.IndexSpace(ctx, g.space(t, ctx), 1)} {
			if !fault.Is(err, fault.Misconfigured) || !strings.Contains(fault.As(err).Detail, broken.want) || strings.Contains(err.Error(), "hunter2") {
				t.Errorf("%s: %s: got %v, want it misconfigured, with %q", name, call, err, broken.want)
			}
		}
		if err := s.IndexSpace(ctx, g.space(t, ctx), 201); err != nil {
			t.Errorf("%s: a small space: %v", name, err)
		}
		if err := s.Ping(ctx); err != nil {
			t.Errorf("%s: the application: %v", name, err)
		}
		s.Close()
	}
	if err := g.PingIndexBuilder(ctx); err != nil {
		t.Error(err)
	}
}

// A build has the memory that its graph needs, also of short vectors and texts;
// who has too little is told.
func TestIndexIsBuiltInMemory(t *testing.T) {
	t.Parallel()
	g, ctx := newLargeStore(t, 20)
	execute(t, g.owner, "ALTER ROLE "+g.role+"_index SET maintenance_work_mem = '1MB'") // the least there can be
	var said strings.Builder
	s, err := postgres.Open(t.Context(), postgres.Config{URL: g.app, IndexURL: g.index, Log: slog.New(slog.NewTextHandler(&said, nil))})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if err := s.IndexSpace(ctx, g.space(t, ctx), 1); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(said.String(), "maintenance_work_mem") {
		t.Errorf("2,000 passages do not fit into what the build asks for:\n%s", said.String())
	}
}

// An index that was built in another database is not taken for this one's.
func TestIndexInAnotherDatabaseIsNoticed(t *testing.T) {
	t.Parallel()
	g, ctx := newLargeStore(t, 1)
	other, _ := newLargeStore(t, 1)
	s, err := postgres.Open(t.Context(), postgres.Config{URL: g.app, IndexURL: other.index, Log: logger(t)})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	err = s.IndexSpace(ctx, g.space(t, ctx), 1)
	if !fault.Is(err, fault.Misconfigured) || !strings.Contains(err.Error(), "another database") || g.space(t, ctx).Indexed {
		t.Errorf("got %v, and the space is indexed: %v", err, g.space(t, ctx).Indexed)
	}
}

// What an attacker could use, or somebody has granted by mistake, is refused for
// either role, with what to do about it.
//
// It does not run beside other tests: one that migrates takes the right to build
// indexes from members of the role of the application, as this one is for a moment.
func TestRolesThatMayTooMuchAreRefused(t *testing.T) {
	d := preparedDatabase(t)
	d.migrate(t)
	name := urlDatabase(t, d.owner)
	for _, test := range []struct {
		do, undo string // {role} is the role
		want     string // in the error
		but      string // role that may
	}{
		{"ALTER ROLE {role} SUPERUSER", "ALTER ROLE {role} NOSUPERUSER", "is a superuser", ""},
		{"ALTER ROLE {role} BYPASSRLS", "ALTER ROLE {role} NOBYPASSRLS", "bypasses row-level security", ""},
		{"ALTER ROLE {role} CREATEROLE", "ALTER ROLE {role} NOCREATEROLE", "may make roles", ""},
		{"ALTER ROLE {role} REPLICATION", "ALTER ROLE {role} NOREPLICATION", "by replication", ""},
		{"GRANT pg_execute_server_program TO {role}", "REVOKE pg_execute_server_program FROM {role}", "files or programs", ""},
		{"GRANT CREATE ON DATABASE " + name + " TO {role}", "REVOKE CREATE ON DATABASE " + name + " FROM {role}", "REVOKE CREATE ON DATABASE", ""},
		{"GRANT CREATE ON SCHEMA public TO {role}", "REVOKE CREATE ON SCHEMA public FROM {role}", "REVOKE CREATE ON SCHEMA public FROM PUBLIC", d.role + "_index"},
		{"GRANT gristmill_index TO {role}", "REVOKE gristmill_index FROM {role}", "may create in the schema public", d.role + "_index"},
		{"GRANT gristmill_app TO {role}", "REVOKE gristmill_app FROM {role}", "REVOKE gristmill_app FROM", d.role},
		{"ALTER TABLE jobs OWNER TO {role}", "ALTER TABLE jobs OWNER TO CURRENT_USER", "owns", ""},
		{"ALTER FUNCTION drop_partition OWNER TO {role}", "ALTER FUNCTION drop_partition OWNER TO CURRENT_USER", "owns", ""},
	} {
		for role, check := range map[string]func(*postgres.Store) error{
			d.role:            func(s *postgres.Store) error { return s.Ping(t.Context()) },
			d.role + "_index": func(s *postgres.Store) error { return s.PingIndexBuilder(t.Context()) },
		} {
			if role == test.but {
				continue
			}
			execute(t, d.owner, strings.ReplaceAll(test.do, "{role}", role))
			s := d.open(t)
			if err := check(s); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("%s: %s: got %v, want an error with %q", test.do, role, err, test.want)
			}
			if err := d.tryMigrate(t); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("%s: %s: migrate: got %v, want an error with %q", test.do, role, err, test.want)
			}
			s.Close()
			execute(t, d.owner, strings.ReplaceAll(test.undo, "{role}", role))
			s = d.open(t)
			if err := check(s); err != nil {
				t.Errorf("once %s is undone for %s: %v", test.do, role, err)
			}
			s.Close()
		}
	}
}

// In the release before, the application could become gristmill_index. All of this
// happens in a transaction that is rolled back: the roles are the server's, and
// other tests have them too.
func TestMigrateTakesIndexBuildsFromTheApplication(t *testing.T) {
	t.Parallel()
	d, _ := newOwnedDatabase(t)
	d.migrateTo(t, 6)
	if err := d.tryMigrate(t); err != nil { // for the login roles
		t.Fatal(err)
	}
	conn := connect(t, d.super)
	defer conn.Close(context.Background())
	text, err := fs.ReadFile(migrations.Postgres(), "00007_roles.sql")
	if err != nil {
		t.Fatal(err)
	}
	for _, statement := range []string{
		"BEGIN",
		"GRANT gristmill_index TO gristmill_app",
		"GRANT gristmill_index TO " + d.role,
		"SET LOCAL search_path = pg_catalog, pg_temp",
		string(text),
	} {
		if _, err := conn.PgConn().Exec(t.Context(), statement).ReadAll(); err != nil {
			t.Fatalf("%.40s: %v", statement, err)
		}
	}
	for role, want := range map[string]bool{"gristmill_app": false, d.role: false, d.role + "_index": true, d.role + "_owner": true} {
		var can bool
		if err := conn.QueryRow(t.Context(), "SELECT pg_has_role($1, 'gristmill_index', 'MEMBER')", role).Scan(&can); err != nil || can != want {
			t.Errorf("%s can become gristmill_index: %v, want %v (%v)", role, can, want, err)
		}
	}
}

// Partitions from before that get their indexes from the new role.
func TestMigratedPartitionsAreIndexed(t *testing.T) {
	t.Parallel()
	d, _ := newOwnedDatabase(t)
	d.migrateTo(t, 6)
	fillOldSchema(t, d.super)
	if err := d.tryMigrate(t); err != nil {
		t.Fatal(err)
	}
	s := d.open(t)
	ctx := tenant.With(t.Context(), tenant.Default)
	spaces, _, err := s.GrownSpacesAfter(ctx, vector.MaintenanceIndex, 1, 0, 10)
	if err != nil || len(spaces) != 1 {
		t.Fatalf("got spaces %v, %v", spaces, err)
	}
	if err := s.IndexSpace(ctx, spaces[0], 1); err != nil {
		t.Fatal(err)
	}
	if c, err := s.Collection(ctx, "c"); err != nil || !c.ActiveSpace.Indexed {
		t.Errorf("the space is not indexed (%v)", err)
	}
}
