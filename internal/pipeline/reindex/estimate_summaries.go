package reindex

import (
	"context"
	"fmt"
	"time"

	"github.com/seed-7a112592/gristmill/internal/fault"
	"github.com/seed-7a112592/gristmill/internal/original"
	"github.com/seed-7a112592/gristmill/internal/task"
	"github.com/seed-7a112592/gristmill/pkg/document"
)

// estimateSummaries completes the estimate of a reindex that queues documents again, because they are
// also summarised again. If there are many documents, it estimates some, and extrapolates.
func (s *Service) estimateSummaries(ctx context.Context, p plan, e *document.ReindexEstimate) error {
	ids, err := s.Store.DocumentsToRedo(ctx, p.request)
	if err != nil {
		return err
	}
	until := time.Now().Add(sampleTime)
	var size int64
	read := 0
	for _, id := range ids {
		if size >= sampleBytes || time.Now().After(until) {
			break
		}
		read++
		one, err := s.Store.Document(ctx, id)
		if fault.Is(err, fault.NotFound) {
			continue
		}
		if err != nil {
			return err
		}
		source := one.SourceInfo()
		summaries, err := s.Summaries.Estimate(ctx, task.Work{
			Ref: task.Ref{DocumentID: id, Version: one.Version}, Key: one.Key, Title: source.Title, MediaType: one.MediaType,
			Object: one.Object, Size: one.Size, SHA256: one.SHA256, Space: p.active,
		})
		if original.IsLost(err) {
			continue
		}
		if err != nil {
			return fmt.Errorf("estimate the summaries of %s: %w", one.Key, err)
		}
		size += one.Size
		e.Summaries.Add(summaries)
	}
	if read < len(ids) {
		e.Summaries.Scale(int64(len(ids)), int64(read))
		e.Sampled = true
	}
	return nil
}
