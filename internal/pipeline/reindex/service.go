package reindex

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/seed-7a112592/gristmill/internal/embedding"
	"github.com/seed-7a112592/gristmill/internal/fault"
	"github.com/seed-7a112592/gristmill/internal/rebuild"
	"github.com/seed-7a112592/gristmill/internal/required"
	"github.com/seed-7a112592/gristmill/internal/task"
	"github.com/seed-7a112592/gristmill/internal/vector"
	"github.com/seed-7a112592/gristmill/pkg/document"
)

// ServiceStore keeps reindexes; see storetest.Reindexing, Searching and Reading
// for the contract.
type ServiceStore interface {
	Collection(ctx context.Context, name string) (vector.Collection, error)
	AllCollections(ctx context.Context) ([]vector.Collection, error)
	Documents(ctx context.Context, filter document.DocumentFilter, page document.Page) (document.List[document.Document], error)

	BeginReindex(ctx context.Context, request document.ReindexRequest) (document.Reindex, error)
	Reindexes(ctx context.Context, filter document.ReindexFilter, page document.Page) (document.List[document.Reindex], error)
	PauseReindex(ctx context.Context, id uuid.UUID) (document.Reindex, error)
	ResumeReindex(ctx context.Context, id uuid.UUID) (document.Reindex, error)
	CancelReindex(ctx context.Context, id uuid.UUID, keep time.Duration) (document.Reindex, error)
	RevertReindex(ctx context.Context, id uuid.UUID, keep time.Duration) (document.Reindex, error)

	EstimateReindex(ctx context.Context, request document.ReindexRequest) (document.ReindexEstimate, error)
	DocumentsToRedo(ctx context.Context, request document.ReindexRequest) ([]uuid.UUID, error)
	Document(ctx context.Context, id uuid.UUID) (document.Document, error)
	ReusableHashes(ctx context.Context, space vector.Space, hashes []document.ContentHash) ([]document.ContentHash, error)
	EmbeddingRate(ctx context.Context, model document.Model) (float64, error)
}

// SummaryEstimator says what summarising a document would ask of the chat model.
type SummaryEstimator interface {
	Estimate(ctx context.Context, work task.Work) (document.SummaryEstimate, error)
}

// ServiceConfig is what a service needs.
type ServiceConfig struct {
	Store              ServiceStore
	Objects            Objects
	Embedder           embedding.Embedder
	Summaries          SummaryEstimator     `zero:"ok"` // nil if summaries cost nothing
	DefaultSummaryMode document.SummaryMode // of collections without a setting
	Changes            ChangeNotifier
	Dispatcher         Dispatcher
	Prices             map[string]float64 `zero:"ok"` // US dollars for a million tokens, by model
	Soak               time.Duration      `zero:"ok"` // how long a space is kept after searches have left it
	Log                *slog.Logger
}

// Service begins, estimates and controls reindexes.
type Service struct{ ServiceConfig }

// NewService returns a service, or an error that names what config lacks.
func NewService(config ServiceConfig) (*Service, error) {
	if err := required.Fields(config); err != nil {
		return nil, err
	}
	return &Service{config}, nil
}

// plan is what a request comes to in one collection.
type plan struct {
	request     document.ReindexRequest // of this collection
	active      vector.Space
	summaryMode document.SummaryMode
	target      vector.Space
	change      document.ReindexChange
}

// Begin begins a reindex of the request's collection, or of each one if it
// names none, one after the other. Nothing is begun unless the request makes
// sense in all of them. Where a space is to be built, a call must show first
// that its model can be used. Should one be refused, those begun before it go
// on: they are returned beside the error, which names them.
func (d *Service) Begin(ctx context.Context, request document.ReindexRequest) ([]document.Reindex, error) {
	plans, err := d.makePlans(ctx, request)
	if err != nil {
		return nil, err
	}
	begun := []document.Reindex{}
	answered := map[document.Model]document.Model{}
	for _, p := range plans {
		reindex, err := d.beginOne(ctx, p, answered)
		if err != nil {
			return begun, beginError(p.request.Collection, begun, err)
		}
		begun = append(begun, reindex)
	}
	return begun, nil
}

// beginOne begins a reindex of one collection. Models that have answered need not
// do so again.
func (d *Service) beginOne(ctx context.Context, p plan, answered map[document.Model]document.Model) (document.Reindex, error) {
	if err := d.checkIdle(ctx, p.request.Collection); err != nil {
		return document.Reindex{}, err
	}
	if err := d.probeModel(ctx, &p, answered); err != nil {
		return document.Reindex{}, err
	}
	reindex, err := d.Store.BeginReindex(ctx, p.request)
	if err != nil {
		return document.Reindex{}, err
	}
	d.Log.InfoContext(ctx, "reindex begun", "reindex", reindex.ID, "collection", reindex.Collection,
		"change", reindex.Change, "model", reindex.Model, "dimensions", reindex.Dimensions)
	d.Dispatcher.Dispatch(ctx)
	return reindex, nil
}

// makePlans returns what a request comes to in each of the collections that it
// means, or what is wrong with it.
func (d *Service) makePlans(ctx context.Context, request document.ReindexRequest) ([]plan, error) {
	request, err := checkRequest(request)
	if err != nil {
		return nil, err
	}
	var collections []vector.Collection
	if request.Collection == "" {
		collections, err = d.Store.AllCollections(ctx)
	} else {
		collections = make([]vector.Collection, 1)
		collections[0], err = d.Store.Collection(ctx, request.Collection)
	}
	if err != nil {
		return nil, fmt.Errorf("reindex: %w", err)
	}
	plans := make([]plan, len(collections))
	for i, collection := range collections {
		p := plan{request: request, active: collection.ActiveSpace, summaryMode: cmp.Or(collection.Summaries, d.DefaultSummaryMode)}
		p.request.Collection = collection.Name
		p.target, p.change = rebuild.TargetSpace(request, collection.ActiveSpace)
		if err := p.check(); err != nil {
			return nil, err
		}
		plans[i] = p
	}
	return plans, nil
}

// checkIdle reports an active reindex of the collection, which excludes another.
func (d *Service) checkIdle(ctx context.Context, collection string) error {
	for _, state := range []document.JobState{document.JobQueued, document.JobRunning, document.JobWaiting, document.JobPaused} {
		active, err := d.Store.Reindexes(ctx, document.ReindexFilter{Collection: collection, State: state}, document.Page{Limit: 1})
		if err != nil {
			return err
		}
		for _, other := range active.Items {
			return fault.New(fault.Conflict, "reindex %s of collection %q is %s: wait for its end, or cancel it", other.ID, collection, state)
		}
	}
	return nil
}

// beginError says which collection's reindex was refused, where others had been
// begun before.
func beginError(collection string, begun []document.Reindex, err error) error {
	f := fault.As(err)
	if f == nil || len(begun) == 0 {
		return fmt.Errorf("reindex %s: %w", collection, err)
	}
	ids := make([]string, len(begun))
	for i, reindex := range begun {
		ids[i] = reindex.ID.String()
	}
	told := *f
	told.Err = err
	told.Detail = fmt.Sprintf("collection %q: %s; begun before it, and going on: %s", collection, f.Detail, strings.Join(ids, ", "))
	return &told
}
