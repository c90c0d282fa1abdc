package sqlite

import (
	"context"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/seed-7a112592/gristmill/internal/original"
	"github.com/seed-7a112592/gristmill/internal/task"
	"github.com/seed-7a112592/gristmill/internal/tenant"
	"github.com/seed-7a112592/gristmill/internal/vector"
	"github.com/seed-7a112592/gristmill/pkg/document"
)

// Writers take turns, readers go on: nobody is told that the database is
// locked, and what readers see is whole.
func TestWritersAndReadersAtOnce(t *testing.T) {
	t.Parallel()
	ctx := tenant.With(t.Context(), tenant.Default)
	s, c := openCollection(t, ctx, 8)
	const readers, writers, versions, passages = 2, 4, 3, 7

	var group sync.WaitGroup
	ctx, cancel := context.WithCancel(ctx)
	for range readers {
		group.Go(func() { readUntil(t, ctx, s, c, passages) })
	}
	var writing sync.WaitGroup
	for w := range writers {
		writing.Go(func() {
			for v := range versions {
				if err := publishVersion(ctx, s, c, fmt.Sprint("document ", w), v, passages); err != nil {
					t.Errorf("writer %d: %v", w, err)
					return
				}
			}
		})
	}
	writing.Wait()
	cancel()
	group.Wait()
}

// publishVersion takes a version of a document from upload to live.
func publishVersion(ctx context.Context, s *Store, c vector.Collection, key string, version, passages int) error {
	accepted, err := acceptUpload(ctx, s, original.Upload{Collection: c, Key: key, SHA256: fmt.Sprint(version)})
	if err != nil {
		return err
	}
	return publishJob(ctx, s, accepted.Job, version, passages)
}

// publishJob does the knowledge task of a job, with texts of such a version.
func publishJob(ctx context.Context, s *Store, job document.Job, version, passages int) error {
	ref := task.Ref{Tenant: tenant.Default, DocumentID: job.DocumentID, Version: job.Version, Kind: task.KindKnowledge}
	work, err := s.Claim(ctx, ref, time.Hour)
	if err != nil {
		return err
	}
	progress := document.KnowledgeProgress{Passages: int64(passages)}
	for i := range passages {
		text := fmt.Sprintf("passage %d of version %d", i, version) // which every writer shares
		hash := document.HashText(text)
		batch := vector.Batch{
			New:     []vector.EmbeddedPassage{{Hash: hash, PassageText: document.PassageText{Content: text}, Vector: randomVector(8)}},
			Entries: []vector.ManifestEntry{{Hash: hash, Ordinal: i}},
		}
		if err := s.WriteBatch(ctx, work, batch, progress); err != nil {
			return err
		}
	}
	return s.Publish(ctx, work, nil, progress)
}

// readUntil reads all that there is until ctx ends.
func readUntil(t *testing.T, ctx context.Context, s *Store, c vector.Collection, passages int) {
	for ctx.Err() == nil {
		list, err := s.Documents(ctx, document.DocumentFilter{}, document.Page{Limit: 100})
		if ctx.Err() != nil {
			return
		}
		if err != nil {
			t.Error(err)
			return
		}
		for _, d := range list.Items {
			got, err := s.Passages(ctx, d.ID, document.Page{Limit: 100})
			if ctx.Err() != nil {
				return
			}
			if err != nil || d.State == document.DocumentReady && len(got.Items) != passages {
				t.Errorf("passages of %s: got %d, %v, want %d", d.Key, len(got.Items), err, passages)
			}
		}
		_, err = s.NearestPassages(ctx, c.ActiveSpace, vector.Query{Vector: randomVector(8), Limit: 5})
		if err != nil && ctx.Err() == nil {
			t.Error(err)
		}
	}
}

func randomVector(dimensions int) []float32 {
	vector := make([]float32, dimensions)
	for i := range vector {
		vector[i] = rand.Float32() - 0.5
	}
	return vector
}

// BenchmarkNearest searches 20,000 passages of 512 dimensions, with texts of
// a usual length, in 100 documents.
func BenchmarkNearest(b *testing.B) {
	ctx := tenant.With(b.Context(), tenant.Default)
	s := open(b, filepath.Join(b.TempDir(), "bench.db"))
	const documents, passages, dimensions = 100, 200, 512
	c, err := s.EnsureCollection(ctx, "c", document.Model{Name: "m", Dimensions: dimensions}, document.Chunking{Tokens: 400})
	if err != nil {
		b.Fatal(err)
	}
	for d := range documents {
		accepted, err := acceptUpload(ctx, s, original.Upload{Collection: c, Key: fmt.Sprint(d)})
		if err != nil {
			b.Fatal(err)
		}
		ref := task.Ref{Tenant: tenant.Default, DocumentID: accepted.Document.ID, Version: 1, Kind: task.KindKnowledge}
		work, err := s.Claim(ctx, ref, time.Hour)
		if err != nil {
			b.Fatal(err)
		}
		var batch vector.Batch
		for i := range passages {
			text := fmt.Sprintf("%01500d", d*passages+i)
			hash := document.HashText(text)
			batch.New = append(batch.New, vector.EmbeddedPassage{Hash: hash, PassageText: document.PassageText{Content: text}, Vector: randomVector(dimensions)})
			batch.Entries = append(batch.Entries, vector.ManifestEntry{Hash: hash, Ordinal: i})
		}
		progress := document.KnowledgeProgress{Passages: passages}
		if err := s.WriteBatch(ctx, work, batch, progress); err != nil {
			b.Fatal(err)
		}
		if err := s.Publish(ctx, work, nil, progress); err != nil {
			b.Fatal(err)
		}
	}
	query := vector.Query{Vector: randomVector(dimensions), Limit: 10, Threshold: -1}
	for b.Loop() {
		hits, err := s.NearestPassages(ctx, c.ActiveSpace, query)
		if err != nil || len(hits) != query.Limit {
			b.Fatalf("got %d hits, %v", len(hits), err)
		}
	}
}
