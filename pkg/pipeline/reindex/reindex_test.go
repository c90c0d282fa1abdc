package reindex_test

import (
	"context"
	"strconv"
	"testing"

	"github.com/google/uuid"

	"github.com/seed-7a112592/gristmill/pkg/document"
	"github.com/seed-7a112592/gristmill/pkg/fault"
	"github.com/seed-7a112592/gristmill/pkg/pipeline/reindex"
	"github.com/seed-7a112592/gristmill/pkg/tenant"
)

// memory is a database with so many documents, and a dispatcher.
type memory struct {
	documents  int
	failAfter  int // pages; 0 for never
	pages      int
	requeued   int
	dispatched int // of those that are put back
}

func (m *memory) Requeue(_ context.Context, filter document.DocumentFilter, id uuid.UUID, page document.Page) (document.List[document.Job], error) {
	if m.pages++; m.failAfter > 0 && m.pages > m.failAfter {
		return document.List[document.Job]{}, fault.New(fault.Unavailable, "database is down")
	}
	at, _ := strconv.Atoi(page.Cursor)
	var list document.List[document.Job]
	for ; at < m.documents && len(list.Items) < page.Limit; at++ {
		list.Items = append(list.Items, document.Job{ID: uuid.New(), DocumentID: uuid.New(), Version: 2})
	}
	m.requeued += len(list.Items)
	if at < m.documents {
		list.NextCursor = strconv.Itoa(at)
	}
	return list, nil
}

func (m *memory) Dispatch(context.Context) { m.dispatched = m.requeued }

func newStep(t *testing.T, documents int) (*reindex.Step, *memory, context.Context) {
	t.Helper()
	m := &memory{documents: documents}
	return &reindex.Step{Store: m, Dispatcher: m}, m, tenant.With(t.Context(), tenant.Default)
}

func TestReindexTakesEveryDocument(t *testing.T) {
	t.Parallel()
	step, m, ctx := newStep(t, 1050)
	n, err := step.Reindex(ctx, "", uuid.Nil)
	if err != nil || n != 1050 {
		t.Fatalf("%d documents, %v", n, err)
	}
	if m.dispatched != 1050 {
		t.Errorf("%d documents dispatched, want all", m.dispatched)
	}
}

func TestReindexSaysHowFarItCame(t *testing.T) {
	t.Parallel()
	step, m, ctx := newStep(t, 1050)
	m.failAfter = 2
	n, err := step.Reindex(ctx, "", uuid.Nil)
	if !fault.Is(err, fault.Unavailable) || n == 0 || n == 1050 {
		t.Errorf("%d documents, %v", n, err)
	}
}
