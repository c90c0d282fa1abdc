package reindex_test

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/google/uuid"

	"github.com/seed-7a112592/gristmill/internal/test/audit"
	"github.com/seed-7a112592/gristmill/pkg/client"
	"github.com/seed-7a112592/gristmill/pkg/document"
)

const stableKey = stableKeys + "0.md"

// read lists the passages of a document that does not change, page by page, repeatedly until the
// end of the traffic. Every list must be the complete document from one space.
func (tr *traffic) read(ctx context.Context) {
	text := markedFile(stableKey, 1).text
	ticker := time.NewTicker(50 * time.Millisecond)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
		case <-tr.stop:
			return
		}
		passages, err := listPassages(ctx, tr.env.client(), tr.stableID)
		if err == nil {
			err = audit.CheckTiling(text, passages)
		}
		if err != nil {
			tr.env.t.Errorf("passages of %s: %v", stableKey, err)
			return
		}
		tr.mu.Lock()
		tr.reads++
		tr.mu.Unlock()
	}
}

// listPassages lists all passages of a document. A list that cannot continue, because another space
// became active, starts again.
func listPassages(ctx context.Context, c *client.Client, id uuid.UUID) ([]document.Passage, error) {
	var passages []document.Passage
	for page, starts := (document.Page{Limit: 2}), 0; starts < 100; {
		part, err := c.Passages(ctx, id, page)
		if p, ok := errors.AsType[*client.Problem](err); ok && p.Status == http.StatusConflict && page.Cursor != "" {
			passages, page.Cursor = nil, ""
			starts++
			continue
		}
		if err != nil {
			return nil, err
		}
		passages = append(passages, part.Items...)
		if page.Cursor = part.NextCursor; page.Cursor == "" {
			return passages, nil
		}
	}
	return nil, errors.New("the list was started 100 times without reaching its end")
}
