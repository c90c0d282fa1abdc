package postgres_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"github.com/seed-7a112592/gristmill/internal/backend/postgres"
	"github.com/seed-7a112592/gristmill/internal/backend/storetest"
	"github.com/seed-7a112592/gristmill/internal/fault"
	"github.com/seed-7a112592/gristmill/internal/garbage"
	"github.com/seed-7a112592/gristmill/internal/original"
	"github.com/seed-7a112592/gristmill/internal/task"
	"github.com/seed-7a112592/gristmill/internal/tenant"
	"github.com/seed-7a112592/gristmill/internal/vector"
	"github.com/seed-7a112592/gristmill/internal/verification"
	"github.com/seed-7a112592/gristmill/pkg/document"
)

func TestMigrateTwiceAndAtOnce(t *testing.T) {
	t.Parallel()
	d := newDatabase(t)
	var group sync.WaitGroup
	errs := make([]error, 4)
	for i := range errs {
		group.Go(func() {
			errs[i] = d.tryMigrate(t)
		})
	}
	group.Wait()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
	fillTables(t, d.open(t))

	// Again, with another password: the tables stay as they are.
	d.app = urlAs(t, d.app, d.role, "a nëw 'pass\\word%")
	if err := d.tryMigrate(t); err != nil {
		t.Fatal(err)
	}
	s := d.open(t)
	list, err := s.Documents(tenant.With(t.Context(), tenant.Default), document.DocumentFilter{}, document.Page{Limit: 10})
	if err != nil || len(list.Items) != 3 {
		t.Errorf("after migrating again: got %d documents, %v", len(list.Items), err)
	}

	got, err := postgres.ReadStatus(t.Context(), d.app)
	if err != nil {
		t.Fatal(err)
	}
	want := postgres.Status{Role: d.role, GroupMember: true, SchemaVersion: got.RequiredVersion, RequiredVersion: got.RequiredVersion, Pgvector: got.Pgvector, PgvectorOutdated: got.PgvectorOutdated}
	if got.Pgvector == "" || got.PgvectorOutdated != (got.PgvectorAdvice() != "") || got.PgvectorAdvice() != "" && !strings.Contains(got.PgvectorAdvice(), got.Pgvector) {
		t.Errorf("pgvector %q, advice: %s", got.Pgvector, got.PgvectorAdvice())
	}
	if diff := cmp.Diff(want, got); diff != "" || got.RequiredVersion < 1 || got.Problem() != nil {
		t.Errorf("status, problem %v (-want +got):\n%s", got.Problem(), diff)
	}
}

// newOwnedDatabase is a database whose owner is no superuser, and a URL of one
// who is.
func newOwnedDatabase(t *testing.T) (d database, super string) {
	t.Helper()
	d = newDatabase(t)
	owner, err := url.Parse(d.owner)
	if err != nil {
		t.Fatal(err)
	}
	super = d.owner
	name := d.role + "_owner"
	owner.User = url.UserPassword(name, d.password(t))
	execute(t, super, "CREATE EXTENSION vector")
	execute(t, super, "CREATE ROLE "+name+" LOGIN CREATEROLE PASSWORD '"+d.password(t)+"'")
	execute(t, super, "ALTER DATABASE "+strings.TrimPrefix(owner.Path, "/")+" OWNER TO "+name)
	t.Cleanup(func() {
		execute(t, super, "REASSIGN OWNED BY "+name+" TO CURRENT_USER")
		execute(t, super, "DROP OWNED BY "+name)
		execute(t, super, "DROP ROLE "+name)
	})

	d.owner = owner.String()
	return d, super
}

// The owner need not be a superuser, and is bound by row-level security then.
func TestMigrateAsAnOrdinaryOwner(t *testing.T) {
	t.Parallel()
	d, _ := newOwnedDatabase(t)
	d.migrate(t)
	s := d.open(t)
	fillTables(t, s)
	ctx := tenant.With(t.Context(), tenant.Default)
	list, err := s.Documents(ctx, document.DocumentFilter{}, document.Page{Limit: 10})
	if err != nil || len(list.Items) != 3 {
		t.Fatalf("got %d documents, %v", len(list.Items), err)
	}
	if err := s.DeleteDocument(ctx, list.Items[0].ID); err != nil {
		t.Error(err)
	}
	if _, err := s.CollectGarbage(ctx, garbage.Entry{Kind: garbage.KindVersion, DocumentID: list.Items[0].ID, Version: 1}, 0, 10); err != nil {
		t.Error(err)
	}
	conn := connect(t, d.owner)
	defer conn.Close(context.Background())
	if n, err := countVisibleRows(conn, "", table{name: "collections"}); err != nil || n != 0 {
		t.Errorf("the owner sees %d rows without a tenant, %v", n, err)
	}
}

// migrateTo brings the database to an earlier version.
func (d database) migrateTo(t *testing.T, version int64) {
	t.Helper()
	if err := postgres.MigrateTo(t.Context(), d.owner, version); err != nil {
		t.Fatal(err)
	}
}

// Jobs that were there before backlogs were counted count too.
func TestMigrateCountsTheBacklog(t *testing.T) {
	t.Parallel()
	d, super := newOwnedDatabase(t)
	d.migrateTo(t, 2)
	fillOldSchema(t, super,
		`INSERT INTO documents (tenant, id, collection, key, state, newest_version)
		 SELECT tenant, gen_random_uuid(), id, 'a', 'pending', 3 FROM collections`,
		`INSERT INTO versions (tenant, document, version, space, title, metadata, object, size, sha256, media_type)
		 SELECT d.tenant, d.id, v, s.id, '', '{}', '', 10 ^ v, '', '' FROM documents d, spaces s, generate_series(1, 3) v`,
		`INSERT INTO jobs (tenant, id, document, version, state)
		 SELECT tenant, gen_random_uuid(), document, version, (ARRAY['succeeded', 'waiting', 'queued'])[version] FROM versions`,
	)

	if err := d.tryMigrate(t); err != nil {
		t.Fatal(err)
	}
	got, err := d.open(t).Backlog(tenant.With(t.Context(), tenant.Default))
	if want := (task.Backlog{Jobs: 2, Bytes: 1100}); err != nil || got != want {
		t.Errorf("got %+v, %v, want %+v", got, err, want)
	}
}

// What was published before versions stood in several spaces stands whole in
// that of its collection, and what was not does not.
func TestMigratePlacesVersions(t *testing.T) {
	t.Parallel()
	d, super := newOwnedDatabase(t)
	d.migrateTo(t, 4)
	fillOldSchema(t, super,
		`INSERT INTO documents (tenant, id, collection, key, state, newest_version, live_version)
		 SELECT tenant, gen_random_uuid(), id, 'a', 'ready', 2, 1 FROM collections`,
		`INSERT INTO versions (tenant, document, version, space, title, metadata, object, size, sha256, media_type)
		 SELECT d.tenant, d.id, v, s.id, '', '{}', '', 10, '', '' FROM documents d, spaces s, generate_series(1, 2) v`,
		`INSERT INTO jobs (tenant, id, document, version, size, state)
		 SELECT tenant, gen_random_uuid(), document, version, size, (ARRAY['succeeded', 'failed'])[version] FROM versions`,
		`INSERT INTO tasks (tenant, job, kind, document, version, state)
		 SELECT j.tenant, j.id, kind, j.document, j.version, j.state FROM jobs j, unnest('{knowledge,summary}'::text[]) AS kind`,
		`INSERT INTO manifest (tenant, document, version, space, ordinal, hash, start_byte, end_byte)
		 SELECT v.tenant, document, version, space, n, sha256(''), n, n + 1 FROM versions v, generate_series(0, 2) n`,
	)

	if err := d.tryMigrate(t); err != nil {
		t.Fatal(err)
	}
	s, ctx := d.open(t), tenant.With(t.Context(), tenant.Default)
	if all, whole := countRows(t, ctx, s, "space_versions"), countRows(t, ctx, s, "space_versions WHERE version = 1 AND passages = 3"); all != 1 || whole != 1 {
		t.Errorf("got %d space versions, %d of them of version 1 with 3 places; want that one only", all, whole)
	}
	if _, err := s.BeginReindex(ctx, document.ReindexRequest{Collection: "c", Tokens: 20}); err != nil {
		t.Error(err)
	}
}

func TestMigrateRefusals(t *testing.T) {
	t.Parallel()
	d := newDatabase(t)
	execute(t, d.owner, "CREATE ROLE "+d.role+"_super SUPERUSER")
	execute(t, d.owner, "CREATE ROLE "+d.role+"_bypass BYPASSRLS")
	t.Cleanup(func() { execute(t, d.owner, "DROP ROLE "+d.role+"_super, "+d.role+"_bypass") })
	for name, test := range map[string]struct {
		owner, app string
		want       string // in the error
	}{
		"same user":            {d.owner, d.owner, "both name the role"},
		"superuser":            {d.owner, urlAs(t, d.owner, d.role+"_super", "hunter2"), "is a superuser"},
		"bypasses":             {d.owner, urlAs(t, d.owner, d.role+"_bypass", "hunter2"), "bypasses row-level security"},
		"owner's URL":          {"postgres://u:hunter2@[::1:5432/d", d.app, "GRISTMILL_MIGRATE_DATABASE_URL: database URL does not parse"},
		"application's URL":    {d.owner, "postgres://u:hunter2%zz@h/d", "GRISTMILL_DATABASE_URL: database URL does not parse"},
		"owner's bad password": {urlAs(t, d.owner, "postgres", "hunter2"), d.app, "password authentication failed"},
		"unreachable":          {"postgres://u:hunter2@127.0.0.1:1/d", d.app, "cannot be used at the moment"},
	} {
		err := postgres.Migrate(t.Context(), postgres.MigrateConfig{OwnerURL: test.owner, AppURL: test.app, Log: logger(t)})
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: got %v, want an error with %q", name, err, test.want)
		}
		if err != nil && strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: the error shows a password: %v", name, err)
		}
	}
	if _, err := postgres.Open(t.Context(), postgres.Config{URL: "postgres://u:hunter2%zz@h/d", Log: logger(t)}); err == nil || strings.Contains(err.Error(), "hunter2") {
		t.Errorf("open: got %v, want an error without the password", err)
	}
}

// Connections that would not keep promise 6, or fail at the first statement,
// are refused with what to do about it.
func TestOpenRefusesUnfitRolesAndSchemas(t *testing.T) {
	t.Parallel()
	fresh := newDatabase(t)
	execute(t, fresh.owner, "CREATE ROLE "+fresh.role+" LOGIN PASSWORD '"+fresh.password(t)+"'")
	ready := newDatabase(t)
	ready.migrate(t)
	for _, test := range []struct {
		name   string
		change string // by the owner of ready
		undo   string
		url    string
		want   string // in the error
		wait   bool
	}{
		{"not migrated", "SELECT 1", "SELECT 1", fresh.app, "run `gristmill migrate`", true},
		{"old schema", "UPDATE goose_db_version SET version_id = -version_id", "UPDATE goose_db_version SET version_id = -version_id", ready.app, "at version 0 and this program needs version", true},
		{"superuser", "SELECT 1", "SELECT 1", ready.owner, "is a superuser", false},
		{"bypass", "ALTER ROLE " + ready.role + " BYPASSRLS", "ALTER ROLE " + ready.role + " NOBYPASSRLS", ready.app, "bypasses row-level security", false},
		{"owner", "ALTER TABLE documents OWNER TO " + ready.role, "ALTER TABLE documents OWNER TO CURRENT_USER", ready.app, "owns the tables", false},
	} {
		execute(t, ready.owner, test.change)
		s, err := postgres.Open(t.Context(), postgres.Config{URL: test.url, Log: logger(t)})
		if err != nil {
			t.Fatal(err)
		}
		_, list := s.Documents(tenant.With(t.Context(), tenant.Default), document.DocumentFilter{}, document.Page{Limit: 1})
		for call, err := range map[string]error{"ping": s.Ping(t.Context()), "list": list} {
			if err == nil || !strings.Contains(err.Error(), test.want) || fault.Is(err, fault.Unavailable) != test.wait {
				t.Errorf("%s: %s: got %v, want an error with %q", test.name, call, err, test.want)
			}
		}
		s.Close()
		execute(t, ready.owner, test.undo)
	}
	s := ready.open(t)
	if err := s.Ping(context.Background()); err != nil {
		t.Errorf("once all is undone: %v", err)
	}
	// What happens to the role of connections that are open already shows, too.
	execute(t, ready.owner, "ALTER ROLE "+ready.role+" BYPASSRLS")
	if err := s.Ping(context.Background()); err == nil {
		t.Error("ping on an open connection did not see that its role bypasses row-level security")
	}
}

// Keys of before are in normal form, but for those that would collide.
func TestMigrateBringsKeysIntoNormalForm(t *testing.T) {
	t.Parallel()
	d, super := newOwnedDatabase(t)
	d.migrateTo(t, 6)
	for _, statement := range []string{
		`INSERT INTO collections (tenant, id, name) VALUES ('default', gen_random_uuid(), 'c')`,
		`INSERT INTO documents (tenant, id, collection, key, state, newest_version)
		 SELECT tenant, ('00000000-0000-7000-8000-00000000000' || n)::uuid, id, key, 'pending', 1
		 FROM collections, unnest(ARRAY['plain', U&'cafe\0301', U&'two\0301', U&'tw\00f3', U&'a\0323\0307', U&'a\0307\0323']) WITH ORDINALITY AS keys (key, n)`,
		// Neither another collection's document nor one that is deleted is in the way.
		`INSERT INTO collections (tenant, id, name) VALUES ('default', gen_random_uuid(), 'other')`,
		`INSERT INTO documents (tenant, id, collection, key, state, newest_version, deleted_at)
		 SELECT tenant, gen_random_uuid(), id, U&'caf\00e9', 'deleting', 1, now() FROM collections WHERE name = 'c'`,
		`INSERT INTO documents (tenant, id, collection, key, state, newest_version)
		 SELECT tenant, '00000000-0000-7000-8000-000000000007', id, U&'tw\00f3', 'pending', 1 FROM collections WHERE name = 'other'`,
		`INSERT INTO versions (tenant, document, version, title, metadata, object, size, sha256, media_type)
		 SELECT tenant, id, 1, '', '{}', '', 10, '', '' FROM documents`,
	} {
		execute(t, super, statement)
	}
	d.migrate(t)
	s, ctx := d.open(t), tenant.With(t.Context(), tenant.Default)
	list, err := s.Documents(ctx, document.DocumentFilter{}, document.Page{Limit: 10})
	if err != nil {
		t.Fatal(err)
	}
	var keys []string
	for _, d := range slices.Backward(list.Items) {
		keys = append(keys, d.Key)
	}
	want := []string{"plain", "caf\u00e9", "two\u0301", "tw\u00f3", "\u1ea1\u0307", "a\u0307\u0323", "tw\u00f3"}
	if diff := cmp.Diff(want, keys); diff != "" {
		t.Errorf("keys (-want +got):\n%s", diff)
	}
	conn := connect(t, d.owner)
	defer conn.Close(context.Background())
	if n, err := countVisibleRows(conn, "", table{name: "documents"}); err != nil || n != 0 {
		t.Errorf("the owner sees %d documents without a tenant, %v", n, err)
	}
}

// A space of before has vectors of the length that it had, and is searched; new
// ones may not know theirs yet.
func TestMigrateKeepsTheLengthOfVectors(t *testing.T) {
	t.Parallel()
	d, super := newOwnedDatabase(t)
	d.migrateTo(t, 6)
	for _, statement := range []string{
		`INSERT INTO collections (tenant, id, name) SELECT 'default', gen_random_uuid(), name FROM unnest('{full,empty}'::text[]) AS name`,
		`INSERT INTO spaces (tenant, collection, model, dimensions, chunk_tokens, chunk_overlap)
		 SELECT tenant, id, 'm', 2, 10, 0 FROM collections`,
		`UPDATE collections c SET live_space = s.id FROM spaces s WHERE s.collection = c.id`,
		`SELECT set_config('gristmill.tenant', 'default', false), add_partition(id) FROM spaces`,
		`INSERT INTO passages (tenant, space, hash, tokens, embedding, heading_path, context, content)
		 SELECT tenant, live_space, sha256(''), 1, '[1,0]', '{}', '', 'text' FROM collections WHERE name = 'full'`,
		`INSERT INTO documents (tenant, id, collection, key, state, newest_version, live_version)
		 SELECT tenant, gen_random_uuid(), id, 'a', 'ready', 1, 1 FROM collections WHERE name = 'full'`,
		`INSERT INTO versions (tenant, document, version, title, metadata, object, size, sha256, media_type)
		 SELECT tenant, id, 1, '', '{}', '', 10, '', '' FROM documents`,
		`INSERT INTO manifest (tenant, document, version, space, ordinal, hash, start_byte, end_byte)
		 SELECT d.tenant, d.id, 1, c.live_space, 0, sha256(''), 0, 4 FROM documents d, collections c WHERE c.id = d.collection`,
		`INSERT INTO placements (tenant, document, version, space, passages)
		 SELECT d.tenant, d.id, 1, c.live_space, 1 FROM documents d, collections c WHERE c.id = d.collection`,
	} {
		execute(t, super, statement)
	}
	d.migrate(t)
	s, ctx := d.open(t), tenant.With(t.Context(), tenant.Default)
	storetest.CheckMigratedDimensions(t, ctx, s)
}

// Partitions of before get the policy that new ones have.
func TestMigrateChangesPoliciesOfPartitions(t *testing.T) {
	t.Parallel()
	d, super := newOwnedDatabase(t)
	d.migrateTo(t, 6)
	fillOldSchema(t, super)
	d.migrate(t)
	for _, statement := range []string{
		`INSERT INTO spaces (tenant, collection, model, dimensions, chunk_tokens, chunk_overlap)
		 SELECT tenant, id, 'other', 2, 10, 0 FROM collections`,
		`SELECT set_config('gristmill.tenant', 'default', false), add_partition((SELECT max(id) FROM spaces))`,
	} {
		execute(t, super, statement)
	}
	policies := queryTexts(t, super, `
		SELECT DISTINCT format('%s, %s', pg_get_expr(polqual, polrelid), pg_get_expr(polwithcheck, polrelid))
		FROM pg_policy JOIN pg_inherits ON inhrelid = polrelid`)
	if len(policies) != 1 || !strings.Contains(policies[0], "SELECT") {
		t.Errorf("policies of partitions: %q, want one that is evaluated once a statement", policies)
	}
}

// Documents of before are found by their metadata.
func TestMigrateFindsDocumentsOfBeforeByMetadata(t *testing.T) {
	t.Parallel()
	d, super := newOwnedDatabase(t)
	d.migrateTo(t, 6)
	fillOldSchema(t, super,
		`INSERT INTO documents (tenant, id, collection, key, state, newest_version, live_version)
		 SELECT tenant, gen_random_uuid(), id, 'a', 'ready', 1, 1 FROM collections`,
		`INSERT INTO versions (tenant, document, version, title, metadata, object, size, sha256, media_type)
		 SELECT tenant, id, 1, '', '{"lang": "ko", "tags": ["a", 1.50]}', '', 10, '', '' FROM documents`,
		`INSERT INTO manifest (tenant, document, version, space, ordinal, hash, start_byte, end_byte)
		 SELECT d.tenant, d.id, 1, c.live_space, 0, sha256(''), 0, 4 FROM documents d, collections c WHERE c.id = d.collection`)
	d.migrate(t)
	s, ctx := d.open(t), tenant.With(t.Context(), tenant.Default)
	c, err := s.Collection(ctx, "c")
	if err != nil {
		t.Fatal(err)
	}
	for metadata, want := range map[string]int{`{"lang":"ko"}`: 1, `{"tags":[1.5],"lang":"ko"}`: 1, `{"lang":"en"}`: 0} {
		hits, err := s.NearestPassages(ctx, c.ActiveSpace, vector.Query{Vector: []float32{1, 0}, Limit: 10, Threshold: -1, Metadata: json.RawMessage(metadata)})
		if err != nil || len(hits) != want {
			t.Errorf("%s: %d hits, %v, want %d", metadata, len(hits), err, want)
		}
	}
}

// Jobs of before are listed with those of their collection, and so are those that
// programs of before go on writing.
func TestMigrateListsJobsOfBefore(t *testing.T) {
	t.Parallel()
	d, super := newOwnedDatabase(t)
	d.migrateTo(t, 6)
	addJob := func(version int) []string {
		return []string{
			fmt.Sprintf(`INSERT INTO versions (tenant, document, version, title, metadata, object, size, sha256, media_type)
			 SELECT tenant, id, %d, '', '{}', '', 10, '', '' FROM documents`, version),
			fmt.Sprintf(`INSERT INTO jobs (tenant, id, document, version, size) SELECT tenant, gen_random_uuid(), document, version, size FROM versions WHERE version = %d`, version),
			fmt.Sprintf(`INSERT INTO tasks (tenant, job, kind, document, version)
			 SELECT tenant, id, kind, document, version FROM jobs, unnest('{knowledge,summary}'::text[]) AS kind WHERE version = %d`, version),
		}
	}
	fillOldSchema(t, super, append([]string{
		`INSERT INTO documents (tenant, id, collection, key, state, newest_version)
		 SELECT tenant, gen_random_uuid(), id, 'a', 'pending', 2 FROM collections`}, addJob(1)...)...)
	d.migrate(t)
	for _, statement := range addJob(2) {
		execute(t, super, statement)
	}
	list, err := d.open(t).Jobs(tenant.With(t.Context(), tenant.Default), document.JobFilter{Collection: "c"}, document.Page{Limit: 10})
	if err != nil || len(list.Items) != 2 {
		t.Errorf("got %+v, %v, want 2 jobs", list.Items, err)
	}
}

// Of what was uploaded before, nothing is known of the objects, and nothing is
// taken for damaged.
func TestMigrateKnowsNothingOfOriginals(t *testing.T) {
	t.Parallel()
	d, super := newOwnedDatabase(t)
	d.migrateTo(t, 6)
	for _, statement := range []string{
		`INSERT INTO collections (tenant, id, name) VALUES ('default', gen_random_uuid(), 'c')`,
		`INSERT INTO spaces (tenant, collection, model, dimensions, chunk_tokens, chunk_overlap)
		 SELECT tenant, id, 'm', 2, 10, 0 FROM collections`,
		`UPDATE collections c SET live_space = s.id FROM spaces s`,
		`INSERT INTO documents (tenant, id, collection, key, state, newest_version, live_version)
		 SELECT tenant, gen_random_uuid(), id, 'a', 'ready', 1, 1 FROM collections`,
		`INSERT INTO versions (tenant, document, version, title, metadata, object, size, sha256, media_type)
		 SELECT tenant, id, 1, '', '{}', 'default/old', 10, 'hash', '' FROM documents`,
		`INSERT INTO jobs (tenant, id, document, version, size, state)
		 SELECT tenant, gen_random_uuid(), document, version, size, 'succeeded' FROM versions`,
		`INSERT INTO tasks (tenant, job, kind, document, version, state)
		 SELECT j.tenant, j.id, kind, j.document, j.version, j.state FROM jobs j, unnest('{knowledge,summary}'::text[]) AS kind`,
	} {
		execute(t, super, statement)
	}
	if err := d.tryMigrate(t); err != nil {
		t.Fatal(err)
	}
	s, ctx := d.open(t), tenant.With(t.Context(), tenant.Default)
	kept, err := s.RetainedVersions(ctx, verification.Filter{}, uuid.Nil, 10)
	want := original.Ref{Object: "default/old", Size: 10, SHA256: "hash"}
	if err != nil || len(kept) != 1 || kept[0].Original != want || kept[0].Damage != "" {
		t.Fatalf("kept %+v, %v", kept, err)
	}
	again := original.Upload{Object: "default/new", Size: 10, SHA256: "hash", ObjectETag: "tag"}
	if err := s.BeginUpload(ctx, again.Object); err != nil {
		t.Fatal(err)
	}
	if restored, err := s.RestoreOriginal(ctx, kept[0].DocumentID, "default/old", again); err != nil || restored.Document.Object != again.Object {
		t.Errorf("restored %+v, %v", restored, err)
	}
}

// fillOldSchema makes, at a schema of before, a collection whose live space holds one
// passage, and then runs the statements.
func fillOldSchema(t *testing.T, super string, statements ...string) {
	t.Helper()
	for _, statement := range append([]string{
		`INSERT INTO collections (tenant, id, name) VALUES ('default', gen_random_uuid(), 'c')`,
		`INSERT INTO spaces (tenant, collection, model, dimensions, chunk_tokens, chunk_overlap)
		 SELECT tenant, id, 'm', 2, 10, 0 FROM collections`,
		`UPDATE collections c SET live_space = s.id FROM spaces s`,
		`SELECT set_config('gristmill.tenant', 'default', false), add_partition(id) FROM spaces`,
		`INSERT INTO passages (tenant, space, hash, tokens, embedding, heading_path, context, content)
		 SELECT tenant, id, sha256(''), 1, '[1,0]', '{H}', '', 'text' FROM spaces`,
	}, statements...) {
		execute(t, super, statement)
	}
}

// What had become garbage before there was a list of it is found by the search
// that the migration lists.
func TestMigrateSearchesForGarbage(t *testing.T) {
	t.Parallel()
	d, super := newOwnedDatabase(t)
	d.migrateTo(t, 16)
	for _, statement := range []string{
		`INSERT INTO collections (tenant, id, name) VALUES ('default', gen_random_uuid(), 'c')`,
		`INSERT INTO spaces (tenant, collection, model, dimensions, chunk_tokens, chunk_overlap, drop_after)
		 SELECT tenant, id, 'm', 2, 10, 0, unnest('{NULL,now}'::timestamptz[]) FROM collections`,
		`UPDATE collections SET live_space = (SELECT id FROM spaces WHERE drop_after IS NULL)`,
		`SELECT set_config('gristmill.tenant', 'default', false), add_partition(id) FROM spaces`,
		`INSERT INTO documents (tenant, id, collection, key, state, newest_version, live_version, deleted_at)
		 SELECT tenant, gen_random_uuid(), id, key, 'ready', 2, 2, CASE key WHEN 'deleted' THEN now() END
		 FROM collections, unnest('{superseded,deleted}'::text[]) AS key`,
		`INSERT INTO versions (tenant, document, version, title, metadata, object, size, sha256, media_type)
		 SELECT tenant, id, v, '', '{}', key || ' ' || v, 10, '', '' FROM documents, generate_series(1, 2) v`,
		`INSERT INTO jobs (tenant, id, document, version, size, state, finished_at)
		 SELECT tenant, gen_random_uuid(), document, version, size, 'succeeded', now() - interval '1 day' FROM versions`,
		// One passage is of a version that is gone, one stands nowhere.
		`INSERT INTO manifest (tenant, document, version, space, ordinal, hash, start_byte, end_byte)
		 SELECT v.tenant, document, version, live_space, 0, sha256(object::bytea), 0, 1 FROM versions v, collections`,
		`INSERT INTO manifest (tenant, document, version, space, ordinal, hash, start_byte, end_byte)
		 SELECT tenant, gen_random_uuid(), 1, live_space, 0, sha256('gone'), 0, 1 FROM collections`,
		`INSERT INTO passages (tenant, space, hash, tokens, embedding, heading_path, context, content)
		 SELECT tenant, space, hash, 1, '[1,0]', '{}', '', 'text' FROM manifest`,
		`INSERT INTO passages (tenant, space, hash, tokens, embedding, heading_path, context, content)
		 SELECT tenant, live_space, sha256('nowhere'), 1, '[1,0]', '{}', '', 'text' FROM collections`,
		`INSERT INTO uploads (tenant, object, created_at, abandoned_at) VALUES ('default', 'abandoned', now() - interval '2 days', now())`,
	} {
		execute(t, super, statement)
	}
	d.migrate(t)
	s, ctx := d.open(t), tenant.With(t.Context(), tenant.Default)
	gone := storetest.CollectAll(t, ctx, s)
	slices.Sort(gone)
	if diff := cmp.Diff([]string{"abandoned", "deleted 1", "deleted 2", "superseded 1"}, gone); diff != "" {
		t.Errorf("objects that are deleted (-want +got):\n%s", diff)
	}
	for table, want := range map[string]int{"documents": 1, "versions": 1, "manifest": 1, "passages": 1, "spaces": 1, "garbage": 0, "uploads": 0} {
		if got := countRows(t, ctx, s, table); got != want {
			t.Errorf("%d rows are left in %s, want %d", got, table, want)
		}
	}
}
