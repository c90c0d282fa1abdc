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

// estimateSummaries completes the estimate of a reindex that puts documents back on the
// path of uploads: they are summarised, too. Of many documents some are read, and
// stand for the rest.
func (d *Service) estimateSummaries(ctx context.Context, p plan, e *document.ReindexEstimate) error {
	ids, err := d.Store.DocumentsToRedo(ctx, p.request)
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
		one, err := d.Store.Document(ctx, id)
		if fault.Is(err, fault.NotFound) {
			continue
		}
		if err != nil {
			return err
		}
		source := one.SourceInfo()
		s, err := d.Summaries.Estimate(ctx, task.Work{
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
		e.Summaries.Add(s)
	}
	if read < len(ids) {
		e.Summaries.Scale(int64(len(ids)), int64(read))
		e.Sampled = true
	}
	return nil
}
