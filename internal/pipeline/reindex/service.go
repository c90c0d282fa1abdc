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

// ServiceStore holds reindexes; see storetest.Reindexing, Searching and Reading for the contract.
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

// SummaryEstimator estimates the requests to the chat model for summarising a document.
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
	Prices             map[string]float64 `zero:"ok"` // US dollars per million tokens, by model
	Soak               time.Duration      `zero:"ok"` // how long a space is kept when it is no longer active
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

// plan is the plan of a request for one collection.
type plan struct {
	request     document.ReindexRequest // for this collection only
	active      vector.Space
	summaryMode document.SummaryMode
	target      vector.Space
	change      document.ReindexChange
}

// Begin starts a reindex of the collection in the request, or of every collection if it names none.
// Nothing is started unless the request is valid for all of them. If a new space will be built, its
// model must first return a vector. If one reindex is refused, those that were started before it go
// on: Begin returns them with the error, which names them.
func (s *Service) Begin(ctx context.Context, request document.ReindexRequest) ([]document.Reindex, error) {
	plans, err := s.makePlans(ctx, request)
	if err != nil {
		return nil, err
	}
	begun := []document.Reindex{}
	probed := map[document.Model]document.Model{}
	for _, p := range plans {
		reindex, err := s.beginOne(ctx, p, probed)
		if err != nil {
			return begun, beginError(p.request.Collection, begun, err)
		}
		begun = append(begun, reindex)
	}
	return begun, nil
}

// beginOne starts a reindex of one collection. Models in probed are not probed again.
func (s *Service) beginOne(ctx context.Context, p plan, probed map[document.Model]document.Model) (document.Reindex, error) {
	if err := s.checkIdle(ctx, p.request.Collection); err != nil {
		return document.Reindex{}, err
	}
	if err := s.probeModel(ctx, &p, probed); err != nil {
		return document.Reindex{}, err
	}
	reindex, err := s.Store.BeginReindex(ctx, p.request)
	if err != nil {
		return document.Reindex{}, err
	}
	s.Log.InfoContext(ctx, "reindex started", "reindex", reindex.ID, "collection", reindex.Collection,
		"change", reindex.Change, "model", reindex.Model, "dimensions", reindex.Dimensions)
	s.Dispatcher.Dispatch(ctx)
	return reindex, nil
}

// makePlans returns the plans of a request, one for each of its collections, or an error if the request
// is invalid.
func (s *Service) makePlans(ctx context.Context, request document.ReindexRequest) ([]plan, error) {
	request, err := checkRequest(request)
	if err != nil {
		return nil, err
	}
	var collections []vector.Collection
	if request.Collection == "" {
		collections, err = s.Store.AllCollections(ctx)
	} else {
		collections = make([]vector.Collection, 1)
		collections[0], err = s.Store.Collection(ctx, request.Collection)
	}
	if err != nil {
		return nil, fmt.Errorf("reindex: %w", err)
	}
	plans := make([]plan, len(collections))
	for i, collection := range collections {
		p := plan{request: request, active: collection.ActiveSpace, summaryMode: cmp.Or(collection.Summaries, s.DefaultSummaryMode)}
		p.request.Collection = collection.Name
		p.target, p.change = rebuild.TargetSpace(request, collection.ActiveSpace)
		if err := p.check(); err != nil {
			return nil, err
		}
		plans[i] = p
	}
	return plans, nil
}

// checkIdle returns fault.Conflict if the collection has an unfinished reindex.
func (s *Service) checkIdle(ctx context.Context, collection string) error {
	for _, state := range []document.JobState{document.JobQueued, document.JobRunning, document.JobWaiting, document.JobPaused} {
		active, err := s.Store.Reindexes(ctx, document.ReindexFilter{Collection: collection, State: state}, document.Page{Limit: 1})
		if err != nil {
			return err
		}
		for _, other := range active.Items {
			return fault.New(fault.Conflict, "reindex %s of collection %q is %s: wait until it ends, or cancel it", other.ID, collection, state)
		}
	}
	return nil
}

// beginError returns the error of a collection whose reindex was refused. It names the reindexes that
// were started before.
func beginError(collection string, begun []document.Reindex, err error) error {
	f := fault.As(err)
	if f == nil || len(begun) == 0 {
		return fmt.Errorf("reindex %s: %w", collection, err)
	}
	ids := make([]string, len(begun))
	for i, reindex := range begun {
		ids[i] = reindex.ID.String()
	}
	detailed := *f
	detailed.Err = err
	detailed.Detail = fmt.Sprintf("collection %q: %s; reindexes that were started before it go on: %s", collection, f.Detail, strings.Join(ids, ", "))
	return &detailed
}
