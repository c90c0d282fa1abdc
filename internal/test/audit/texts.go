package audit

import (
	"bytes"
	"context"
	"io"
	"testing"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/seed-7a112592/gristmill/internal/test/program"
	"github.com/seed-7a112592/gristmill/internal/vector"
	"github.com/seed-7a112592/gristmill/pkg/chunk"
	"github.com/seed-7a112592/gristmill/pkg/document"
)

// PublishedTexts returns the embedded text of each passage that readers see, once.
func PublishedTexts(t testing.TB, s *program.Installation) map[string]int {
	t.Helper()
	texts := map[string]int{}
	eachPassage(t, s, `
		WHERE EXISTS (
		    SELECT FROM documents d JOIN collections c ON c.id = d.collection
		    JOIN manifest m ON m.document = d.id AND m.version = d.published_version AND m.space = c.active_space
		    WHERE c.active_space = p.space AND m.hash = p.hash AND d.deleted_at IS NULL)`,
		func(_ document.Model, _ document.ContentHash, embedded string) { texts[embedded] = 1 })
	return texts
}

// storedTexts returns, for each model, the embedded texts of the passages that are stored with its
// vectors, and the number of passages with that text. Two different passages may have the same
// embedded text.
func (a Audit) storedTexts(t testing.TB) map[document.Model]map[string]int {
	t.Helper()
	type name struct {
		model document.Model
		hash  document.ContentHash
	}
	seen := map[name]bool{}
	stored := map[document.Model]map[string]int{}
	eachPassage(t, a.Installation, "", func(model document.Model, hash document.ContentHash, embedded string) {
		if stored[model] == nil {
			stored[model] = map[string]int{}
		}
		if !seen[name{model, hash}] {
			stored[model][embedded]++
		}
		seen[name{model, hash}] = true
	})
	return stored
}

// eachPassage calls f with every passage p that the condition selects, and its embedded text. It
// checks that the passage's hash is that of its text.
func eachPassage(t testing.TB, s *program.Installation, condition string, f func(model document.Model, hash document.ContentHash, embedded string)) {
	t.Helper()
	ctx := context.WithoutCancel(t.Context())
	conn := s.Connect()
	defer conn.Close(ctx)
	rows, err := conn.Query(ctx, `
		SELECT s.model, s.dimensions, p.hash, p.title, p.heading_path, p.context, p.content, p.omitted, coalesce(p.embedded_bytes, 0)
		FROM `+program.AllPassagesSQL+` p JOIN spaces s ON s.id = p.space `+condition)
	if err != nil {
		t.Fatal(err)
	}
	var (
		model    document.Model
		hash     []byte
		text     document.PassageText
		omitted  []int
		embedded int
	)
	if _, err := pgx.ForEachRow(rows, []any{
		&model.Name, &model.Dimensions, &hash, &text.Title, &text.HeadingPath, &text.Context, &text.Content, &omitted, &embedded,
	}, func() error {
		text.Omitted = vector.UnflattenRanges(omitted)
		input := text.EmbeddingInput()
		if text.ContentHash() != document.ContentHash(hash) {
			t.Errorf("passage %x is stored with a text that has another hash: %.60q", hash, input)
		}
		if embedded > 0 {
			input = input[:embedded]
		}
		f(model, document.ContentHash(hash), input)
		return nil
	}); err != nil {
		t.Fatal(err)
	}
}

// chunkingInput is what determines how a document is split: the columns of its published version
// and of its active space.
type chunkingInput struct {
	Document uuid.UUID
	Source   document.SourceInfo
	Chunking document.Chunking
}

// chunkingInputs returns the chunkingInput of every document that readers see, by key.
func chunkingInputs(t testing.TB, s *program.Installation) map[string]chunkingInput {
	t.Helper()
	ctx := context.WithoutCancel(t.Context())
	conn := s.Connect()
	defer conn.Close(ctx)
	rows, err := conn.Query(ctx, `
		SELECT d.id, d.key, v.title, v.title_from_key, v.media_type, s.chunk_tokens, s.chunk_overlap
		FROM documents d JOIN collections c ON c.id = d.collection JOIN spaces s ON s.id = c.active_space
		JOIN versions v ON v.document = d.id AND v.version = d.published_version
		WHERE d.deleted_at IS NULL`)
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]chunkingInput{}
	var c chunkingInput
	var title string
	var fromKey *bool
	if _, err := pgx.ForEachRow(rows, []any{
		&c.Document, &c.Source.Key, &title, &fromKey, &c.Source.MediaType, &c.Chunking.Tokens, &c.Chunking.Overlap,
	}, func() error {
		c.Source.Title = document.OwnTitle(title, c.Source.Key, fromKey)
		all[c.Source.Key] = c
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	return all
}

// Sources returns the SourceInfo of every document that readers see, by key.
func Sources(t testing.TB, s *program.Installation) map[string]document.SourceInfo {
	t.Helper()
	sources := map[string]document.SourceInfo{}
	for key, c := range chunkingInputs(t, s) {
		sources[key] = c.Source
	}
	return sources
}

// checkChunking checks that the passages of every document in its active space are those that
// splitting its original gives now, with the document's title and the space's chunking.
func (a Audit) checkChunking(t testing.TB) {
	t.Helper()
	ctx := context.WithoutCancel(t.Context())
	conn := a.Installation.Connect()
	defer conn.Close(ctx)
	for key, c := range chunkingInputs(t, a.Installation) {
		rows, err := conn.Query(ctx, `
			SELECT m.hash FROM documents d JOIN collections c ON c.id = d.collection
			JOIN manifest m ON m.document = d.id AND m.version = d.published_version AND m.space = c.active_space
			JOIN space_versions p ON p.document = d.id AND p.version = d.published_version AND p.space = c.active_space AND p.left_out IS NULL
			WHERE d.id = $1 ORDER BY m.ordinal`, c.Document)
		if err != nil {
			t.Fatal(err)
		}
		stored, err := pgx.CollectRows(rows, pgx.RowTo[[]byte])
		if err != nil {
			t.Fatal(err)
		}
		content, err := a.Client.Content(ctx, c.Document)
		if err != nil {
			t.Fatalf("content of %s: %v", key, err)
		}
		source, err := io.ReadAll(content)
		content.Close()
		if err != nil {
			t.Fatalf("content of %s: %v", key, err)
		}
		n := 0
		for p, err := range chunk.Split(bytes.NewReader(source), chunk.OptionsOf(c.Chunking, c.Source)) {
			if err != nil {
				t.Fatal(err)
			}
			if hash := p.ContentHash(); n >= len(stored) || !bytes.Equal(stored[n], hash[:]) {
				t.Errorf("%s: stored passage %d is not %.60q", key, n, p.EmbeddingInput())
				n = len(stored)
				break
			}
			n++
		}
		if n < len(stored) {
			t.Errorf("%s: %d passages are stored, but splitting gives %d", key, len(stored), n)
		}
	}
}
