// Package reindex puts documents back on the path: each gets a next version
// with the same original, built beside the live one. What has been embedded
// already is not embedded again.
package reindex

import (
	"context"
	"fmt"

	"github.com/google/uuid"

	"github.com/seed-7a112592/gristmill/pkg/document"
)

// Store makes the next versions; see storetest.Reindexing for the contract.
type Store interface {
	Requeue(ctx context.Context, filter document.DocumentFilter, id uuid.UUID, page document.Page) (document.List[document.Job], error)
}

// Dispatcher puts into the queue what there is room for. It does not fail.
type Dispatcher interface {
	Dispatch(ctx context.Context)
}

// Step re-indexes.
type Step struct {
	Store      Store
	Dispatcher Dispatcher
}

// pageSize is how many documents are put back in one transaction.
const pageSize = 200

// Reindex puts the documents of a collection back on the path, or the one
// document whose id is not zero, and returns how many. An empty collection
// name means all collections.
func (s *Step) Reindex(ctx context.Context, collection string, id uuid.UUID) (int, error) {
	count, page := 0, document.Page{Limit: pageSize}
	for {
		jobs, err := s.Store.Requeue(ctx, document.DocumentFilter{Collection: collection}, id, page)
		if err != nil {
			return count, fmt.Errorf("reindex after %d documents: %w", count, err)
		}
		count += len(jobs.Items)
		s.Dispatcher.Dispatch(ctx)
		if jobs.NextCursor == "" {
			return count, nil
		}
		page.Cursor = jobs.NextCursor
	}
}
