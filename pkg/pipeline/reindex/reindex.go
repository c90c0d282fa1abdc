// Package reindex puts documents back on the path: each gets a next version
// with the same original, built beside the live one. What has been embedded
// already is not embedded again.
package reindex

import (
	"context"
	"fmt"
	"log/slog"

	"github.com/google/uuid"

	"github.com/seed-7a112592/gristmill/pkg/document"
	"github.com/seed-7a112592/gristmill/pkg/tenant"
)

// Store makes the next versions; see storetest.Reindexing for the contract.
type Store interface {
	Requeue(ctx context.Context, filter document.DocumentFilter, id uuid.UUID, page document.Page) (document.List[document.Job], error)
}

// Queue makes work happen sooner; see ingest.Queue.
type Queue interface {
	Enqueue(ctx context.Context, dispatches ...document.Dispatch) error
}

// Step re-indexes.
type Step struct {
	Store Store
	Queue Queue
	Log   *slog.Logger
}

// pageSize is how many documents are put back in one transaction.
const pageSize = 200

// Reindex puts the documents of a collection back on the path, or the one
// document whose id is not zero, and returns how many. An empty collection
// name means all collections.
func (s *Step) Reindex(ctx context.Context, collection string, id uuid.UUID) (int, error) {
	owner, err := tenant.From(ctx)
	if err != nil {
		return 0, fmt.Errorf("reindex: %w", err)
	}
	count, page := 0, document.Page{Limit: pageSize}
	for {
		jobs, err := s.Store.Requeue(ctx, document.DocumentFilter{Collection: collection}, id, page)
		if err != nil {
			return count, fmt.Errorf("reindex after %d documents: %w", count, err)
		}
		count += len(jobs.Items)
		s.dispatch(ctx, owner, jobs.Items)
		if jobs.NextCursor == "" {
			return count, nil
		}
		page.Cursor = jobs.NextCursor
	}
}

// dispatch enqueues the tasks of jobs that are committed. The sweep finds the
// rows of those that could not be.
func (s *Step) dispatch(ctx context.Context, owner string, jobs []document.Job) {
	var dispatches []document.Dispatch
	for _, job := range jobs {
		for _, kind := range document.TaskKinds {
			ref := document.TaskRef{Tenant: owner, Document: job.DocumentID, Version: job.Version, Kind: kind}
			dispatches = append(dispatches, document.Dispatch{TaskRef: ref})
		}
	}
	if err := s.Queue.Enqueue(ctx, dispatches...); err != nil {
		s.Log.WarnContext(ctx, "documents put back but not dispatched; the sweep will dispatch them",
			"tasks", len(dispatches), "error", err)
	}
}
