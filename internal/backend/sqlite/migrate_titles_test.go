package sqlite

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"github.com/seed-7a112592/gristmill/internal/task"
	"github.com/seed-7a112592/gristmill/internal/tenant"
	"github.com/seed-7a112592/gristmill/internal/vector"
	"github.com/seed-7a112592/gristmill/pkg/document"
)

// Versions of the release before have no warnings, and their titles are told
// from file names by their keys; their passages are found as they are, by their
// metadata too.
func TestMigrationToTitles(t *testing.T) {
	t.Parallel()
	const id = "00000000-0000-7000-8000-00000000000"
	path := databaseAtMigration(t, 5, `
		INSERT INTO collections (tenant, id, name, live_space, created_at) VALUES ('default', '`+id+`c', 'c', 1, 0);
		INSERT INTO spaces (id, tenant, collection, model, dimensions, chunk_tokens, chunk_overlap, created_at)
		VALUES (1, 'default', '`+id+`c', 'm', 1, 10, 0, 0);
		INSERT INTO documents (tenant, id, collection, key, state, live_version, newest_version, created_at, updated_at)
		VALUES ('default', '`+id+`1', '`+id+`c', 'a/b.md', 'ready', 1, 1, 0, 0), ('default', '`+id+`2', '`+id+`c', 'c.md', 'ready', 1, 1, 0, 0);
		INSERT INTO versions (tenant, document, version, title, metadata, object, size, sha256, media_type, created_at)
		VALUES ('default', '`+id+`1', 1, 'b', '{"lang":"en"}', '', 1, '', 'text/markdown', 0), ('default', '`+id+`2', 1, 'Title', '{}', '', 1, '', 'text/plain', 0);
		INSERT INTO passages (id, tenant, space, hash, created_at, tokens, embedding, heading_path, context, content)
		VALUES (1, 'default', 1, zeroblob(32), 0, 1, x'0000803f', '["H"]', '', 'text');
		INSERT INTO manifest (tenant, document, version, space, ordinal, passage, start_byte, end_byte)
		SELECT 'default', id, 1, 1, 0, 1, 0, 4 FROM documents;
		INSERT INTO placements (tenant, document, version, space, passages) SELECT 'default', id, 1, 1, 1 FROM documents;
		INSERT INTO section_summaries (tenant, node, summary, created_at) VALUES ('default', zeroblob(32), 'kept', 0)`)
	s, ctx := open(t, path), tenant.With(t.Context(), tenant.Default)
	hits, err := s.NearestPassages(ctx, vector.Space{ID: 1, CollectionID: uuid.MustParse(id + "c"), Model: document.Model{Name: "m", Dimensions: 1}},
		vector.Query{Vector: []float32{1}, Limit: 1, Threshold: -1, Metadata: []byte(`{"lang":"en"}`)})
	if err != nil || len(hits) != 1 || hits[0].Key != "a/b.md" {
		t.Errorf("under metadata: got %+v, %v", hits, err)
	}
	// Summaries of sections of which it is not known who uses them stay for long.
	for _, days := range []int{89, 91} {
		want := days / 90
		looked, err := s.DeleteUnusedSectionSummaries(ctx, -time.Duration(days)*24*time.Hour, 10)
		if err != nil || looked != want {
			t.Errorf("in %d days: looked at %d section summaries, %v, want %d", days, looked, err, want)
		}
	}
	reindex, err := s.BeginReindex(ctx, document.ReindexRequest{Collection: "c", Model: document.Model{Name: "other", Dimensions: 1}})
	if err != nil {
		t.Fatal(err)
	}
	work, err := s.Claim(ctx, task.Ref{Tenant: tenant.Default, DocumentID: reindex.ID, Version: 1, Kind: task.KindReindex}, time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	var got []document.SourceInfo
	for _, of := range missingVersions(t, ctx, s, work) {
		got = append(got, of.SourceInfo())
		stored, err := s.VersionPassages(ctx, vector.Space{ID: 1}, of, 0, 10)
		if err != nil || len(stored) != 1 || !cmp.Equal(stored[0].PassageText, document.PassageText{HeadingPath: []string{"H"}, Content: "text", Tokens: 1}) {
			t.Errorf("%s: got passages %+v, %v", of.Key, stored, err)
		}
		if d, err := s.Document(ctx, of.DocumentID); err != nil || d.Warnings != nil {
			t.Errorf("%s: got warnings %v, %v", of.Key, d.Warnings, err)
		}
	}
	want := []document.SourceInfo{{MediaType: "text/markdown", Key: "a/b.md"}, {Title: "Title", MediaType: "text/plain", Key: "c.md"}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("sources (-want +got):\n%s", diff)
	}
}
