package postgres_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"github.com/seed-7a112592/gristmill/internal/backend/postgres"
	"github.com/seed-7a112592/gristmill/internal/task"
	"github.com/seed-7a112592/gristmill/internal/tenant"
	"github.com/seed-7a112592/gristmill/pkg/document"
)

// Versions of the release before have no warnings, and their titles are told
// from file names by their keys; their passages are found as they are.
func TestMigrateToTitles(t *testing.T) {
	t.Parallel()
	d, super := newOwnedDatabase(t)
	d.migrateTo(t, 6)
	fillOldSchema(t, super,
		`INSERT INTO documents (tenant, id, collection, key, state, newest_version, live_version)
		 SELECT tenant, gen_random_uuid(), id, key, 'ready', 1, 1 FROM collections, unnest('{a/b.md,c.md}'::text[]) AS key`,
		`INSERT INTO versions (tenant, document, version, title, metadata, object, size, sha256, media_type)
		 SELECT tenant, id, 1, CASE key WHEN 'c.md' THEN 'Title' ELSE 'b' END, '{}', '', 10, '', 'text/plain' FROM documents`,
		`INSERT INTO manifest (tenant, document, version, space, ordinal, hash, start_byte, end_byte)
		 SELECT d.tenant, d.id, 1, s.id, 0, sha256(''), 0, 4 FROM documents d, spaces s`,
		`INSERT INTO placements (tenant, document, version, space, passages) SELECT d.tenant, d.id, 1, s.id, 1 FROM documents d, spaces s`,
		`INSERT INTO section_summaries (tenant, node, summary) VALUES ('default', sha256(''), 'kept')`,
	)
	if err := postgres.Migrate(t.Context(), postgres.MigrateConfig{OwnerURL: d.owner, AppURL: d.app, Log: logger(t)}); err != nil {
		t.Fatal(err)
	}

	s, ctx := d.open(t), tenant.With(t.Context(), tenant.Default)
	// Summaries of sections of which it is not known who uses them stay for long.
	if looked, err := s.DeleteUnusedSectionSummaries(ctx, 0, 10); err != nil || looked != 0 {
		t.Errorf("looked at %d section summaries, %v, want none", looked, err)
	}
	if n := countRows(t, ctx, s, "released_sections WHERE released_at > now() + interval '89 days'"); n != 1 {
		t.Errorf("%d section summaries are listed for later, want 1", n)
	}
	c, err := s.Collection(ctx, "c")
	if err != nil {
		t.Fatal(err)
	}
	reindex, err := s.BeginReindex(ctx, document.ReindexRequest{Collection: "c", Model: document.Model{Name: "other", Dimensions: 1}})
	if err != nil {
		t.Fatal(err)
	}
	work, err := s.Claim(ctx, task.Ref{Tenant: tenant.Default, DocumentID: reindex.ID, Version: 1, Kind: task.KindReindex}, time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	found, err := s.MissingVersions(ctx, work, uuid.Nil, 10)
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]document.SourceInfo{}
	for _, of := range found {
		got[of.Key] = of.SourceInfo()
		stored, err := s.VersionPassages(ctx, c.ActiveSpace, of, 0, 10)
		if err != nil || len(stored) != 1 || !cmp.Equal(stored[0].PassageText, document.PassageText{HeadingPath: []string{"H"}, Content: "text", Tokens: 1}) {
			t.Errorf("%s: got passages %+v, %v", of.Key, stored, err)
		}
		if d, err := s.Document(ctx, of.DocumentID); err != nil || d.Warnings != nil {
			t.Errorf("%s: got warnings %v, %v", of.Key, d.Warnings, err)
		}
	}
	want := map[string]document.SourceInfo{"a/b.md": {MediaType: "text/plain", Key: "a/b.md"}, "c.md": {Title: "Title", MediaType: "text/plain", Key: "c.md"}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("sources (-want +got):\n%s", diff)
	}
}
