package httpapi_test

import (
	"context"
	"slices"

	"github.com/google/uuid"

	"github.com/seed-7a112592/gristmill/internal/fault"
	"github.com/seed-7a112592/gristmill/internal/rebuild"
	"github.com/seed-7a112592/gristmill/internal/vector"
	"github.com/seed-7a112592/gristmill/pkg/document"
)

// collections are the collections of the fake.
var collections = []string{"default", "docs"}

// activeSpace is the active space of every collection of the fake.
var activeSpace = vector.Space{Model: document.Model{Name: "local", Dimensions: 64}, Chunking: document.Chunking{Tokens: 400}}

// requestCollections returns the collections of a request.
func requestCollections(request document.ReindexRequest) ([]string, error) {
	switch {
	case request.Model.Name == "unknown":
		return nil, fault.New(fault.BadRequest, "the provider knows no model %q", request.Model.Name)
	case request.Model.Name == "down":
		return nil, fault.New(fault.Unavailable, "the provider cannot be reached")
	case request.Collection == "":
		return collections, nil
	case slices.Contains(collections, request.Collection):
		return []string{request.Collection}, nil
	default:
		return nil, fault.New(fault.NotFound, "no collection %q", request.Collection)
	}
}

func (f *fake) Begin(ctx context.Context, request document.ReindexRequest) ([]document.Reindex, error) {
	unlock, err := f.lockAndCheck(ctx)
	if err != nil {
		return nil, err
	}
	defer unlock()
	f.beginRequests = append(f.beginRequests, request)
	names, err := requestCollections(request)
	if err != nil {
		return nil, err
	}
	var begun []document.Reindex
	for _, name := range names {
		for _, other := range f.reindexes {
			if other.Collection == name && !other.State.Ended() {
				return nil, fault.New(fault.Conflict, "collection %q is being re-indexed already: reindex %s is %s", name, other.ID, other.State)
			}
		}
		target, change := rebuild.TargetSpace(request, activeSpace)
		begun = append(begun, document.Reindex{
			ID: uuid.Must(uuid.NewV7()), Collection: name, Change: change,
			Model: target.Model.Name, Dimensions: target.Model.Dimensions, Tokens: target.Chunking.Tokens, Overlap: target.Chunking.Overlap,
			KeyPrefix: request.KeyPrefix, DocumentIDs: request.DocumentIDs, Force: request.Force, State: document.JobQueued,
		})
	}
	f.reindexes = append(f.reindexes, begun...)
	return begun, nil
}

func (f *fake) Estimate(ctx context.Context, request document.ReindexRequest) ([]document.ReindexEstimate, error) {
	unlock, err := f.lockAndCheck(ctx)
	if err != nil {
		return nil, err
	}
	defer unlock()
	f.estimateRequests = append(f.estimateRequests, request)
	names, err := requestCollections(request)
	if err != nil {
		return nil, err
	}
	var estimates []document.ReindexEstimate
	for _, name := range names {
		target, change := rebuild.TargetSpace(request, activeSpace)
		estimates = append(estimates, document.ReindexEstimate{
			Collection: name, Change: change, Model: target.Model.Name, Dimensions: target.Model.Dimensions, Passages: 7,
		})
	}
	return estimates, nil
}

func (f *fake) Reindex(ctx context.Context, id uuid.UUID) (document.Reindex, error) {
	unlock, err := f.lockAndCheck(ctx)
	if err != nil {
		return document.Reindex{}, err
	}
	defer unlock()
	for _, reindex := range f.reindexes {
		if reindex.ID == id {
			return reindex, nil
		}
	}
	return document.Reindex{}, fault.New(fault.NotFound, "no reindex %s", id)
}

func (f *fake) Reindexes(ctx context.Context, filter document.ReindexFilter, page document.Page) (document.List[document.Reindex], error) {
	unlock, err := f.lockAndCheck(ctx)
	if err != nil {
		return document.List[document.Reindex]{}, err
	}
	defer unlock()
	if page.Cursor != "" {
		return document.List[document.Reindex]{}, fault.New(fault.BadRequest, "invalid cursor %q", page.Cursor)
	}
	var list document.List[document.Reindex]
	for _, reindex := range slices.Backward(f.reindexes) {
		if (filter.Collection == "" || filter.Collection == reindex.Collection) && (filter.State == "" || filter.State == reindex.State) {
			list.Items = append(list.Items, reindex)
		}
	}
	return list, nil
}

// setReindexState changes the state of a reindex without a notification.
func (f *fake) setReindexState(id uuid.UUID, state document.JobState) document.Reindex {
	f.mu.Lock()
	defer f.mu.Unlock()
	i := slices.IndexFunc(f.reindexes, func(r document.Reindex) bool { return r.ID == id })
	f.reindexes[i].State = state
	return f.reindexes[i]
}

// transitionReindex changes the state of a reindex, if its state is one of from.
func (f *fake) transitionReindex(ctx context.Context, id uuid.UUID, to document.JobState, from ...document.JobState) (document.Reindex, error) {
	reindex, err := f.Reindex(ctx, id)
	if err != nil {
		return document.Reindex{}, err
	}
	if !slices.Contains(from, reindex.State) {
		return document.Reindex{}, fault.New(fault.Conflict, "reindex %s is %s", id, reindex.State)
	}
	return f.setReindexState(id, to), nil
}

// reindexer makes a fake a Reindexer. The Cancel method of the fake itself cancels jobs.
type reindexer struct{ *fake }

func (r reindexer) Pause(ctx context.Context, id uuid.UUID) (document.Reindex, error) {
	return r.transitionReindex(ctx, id, document.JobPaused, document.JobQueued, document.JobRunning, document.JobWaiting, document.JobPaused)
}

func (r reindexer) Resume(ctx context.Context, id uuid.UUID) (document.Reindex, error) {
	return r.transitionReindex(ctx, id, document.JobQueued, document.JobPaused, document.JobFailed)
}

func (r reindexer) Cancel(ctx context.Context, id uuid.UUID) (document.Reindex, error) {
	return r.transitionReindex(ctx, id, document.JobCancelled, document.JobQueued, document.JobRunning, document.JobWaiting, document.JobPaused, document.JobCancelled)
}

func (r reindexer) Revert(ctx context.Context, id uuid.UUID) (document.Reindex, error) {
	return r.transitionReindex(ctx, id, document.JobQueued, document.JobSucceeded)
}
