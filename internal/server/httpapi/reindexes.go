package httpapi

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"
	"github.com/google/uuid"

	"github.com/seed-7a112592/gristmill/pkg/document"
)

// Reindexer begins, reckons and steers reindexes. What is not there is
// fault.NotFound, a request that does not make sense or that the model refuses
// fault.BadRequest, a model that is down fault.Unavailable.
type Reindexer interface {
	// Begin begins a reindex of the request's collection, or one of each where
	// none is named. fault.Conflict names the one that is under way already.
	Begin(ctx context.Context, request document.ReindexRequest) ([]document.Reindex, error)

	// Estimate says what Begin would begin, and changes nothing.
	Estimate(ctx context.Context, request document.ReindexRequest) ([]document.ReindexEstimate, error)

	// Each returns the reindex as it then is, and refuses with fault.Conflict
	// what its state does not allow.
	Pause(ctx context.Context, id uuid.UUID) (document.Reindex, error)
	Resume(ctx context.Context, id uuid.UUID) (document.Reindex, error)
	Cancel(ctx context.Context, id uuid.UUID) (document.Reindex, error)
	Revert(ctx context.Context, id uuid.UUID) (document.Reindex, error)
}

// Reindexes reads the tenant's reindexes. What is not there is fault.NotFound,
// a cursor that is not ours fault.BadRequest.
type Reindexes interface {
	Reindex(ctx context.Context, id uuid.UUID) (document.Reindex, error)
	Reindexes(ctx context.Context, filter document.ReindexFilter, page document.Page) (document.List[document.Reindex], error)
}

type reindexesInput struct {
	PageParams
	Collection string            `query:"collection" doc:"Only those of this collection."`
	State      document.JobState `query:"state" enum:"queued,running,waiting,paused,succeeded,failed,cancelled" doc:"Only those in this state."`
}

// ReindexPath names a reindex.
type ReindexPath struct {
	ID uuid.UUID `path:"id" format:"uuid" doc:"The reindex's id."`
}

type reindexInput struct {
	ReindexPath
	WaitParams
}

func (s *server) routeReindexes() {
	s.routeBeginReindex()
	reindexes := &trackedResource[document.Reindex]{
		server:  s,
		name:    "reindex",
		load:    s.Reindexes.Reindex,
		state:   func(reindex document.Reindex) document.JobState { return reindex.State },
		present: func(_ context.Context, reindex document.Reindex) document.Reindex { return reindex },
	}
	register(s, huma.Operation{
		OperationID: "list-reindexes",
		Method:      http.MethodGet,
		Path:        "/v1/reindexes",
		Summary:     "List reindexes, newest first",
	}, func(ctx context.Context, in *reindexesInput) (*output[document.List[document.Reindex]], error) {
		filter := document.ReindexFilter{Collection: in.Collection, State: in.State}
		return listOutput(s.Reindexes.Reindexes(ctx, filter, in.page()))
	})
	register(s, huma.Operation{
		OperationID: "get-reindex",
		Method:      http.MethodGet,
		Path:        "/v1/reindexes/{id}",
		Summary:     "Get a reindex, now or when it has ended",
	}, func(ctx context.Context, in *reindexInput) (*output[document.Reindex], error) {
		wait, err := in.parseWait()
		if err != nil {
			return nil, err
		}
		return itemOutput(reindexes.get(ctx, in.ID, wait))
	})
	s.registerRaw(reindexes.describeEvents("/v1/reindexes", "Follow a reindex to its end as server-sent events"), reindexes.serveEvents)

	steer := func(verb, summary, description string, do func(context.Context, uuid.UUID) (document.Reindex, error)) {
		register(s, huma.Operation{
			OperationID: verb + "-reindex",
			Method:      http.MethodPost,
			Path:        "/v1/reindexes/{id}/" + verb,
			Summary:     summary,
			Description: description,
			Responses: map[string]*huma.Response{
				"200": {Description: "The reindex as it is then"},
				"404": {Description: "There is no such reindex", Content: problemContent(s)},
				"409": {Description: "Its state does not allow this; nothing has changed", Content: problemContent(s)},
			},
		}, func(ctx context.Context, in *ReindexPath) (*output[document.Reindex], error) {
			return itemOutput(reindexes.runAction(ctx, in.ID, do))
		})
	}
	steer("pause", "Pause a reindex",
		"What it has done is kept, and it does nothing more until it is resumed. 409 when it has ended.", s.Reindexer.Pause)
	steer("resume", "Go on with a reindex that is paused or has failed",
		"It goes on from what it had done. 409 when it has succeeded or was cancelled, or has failed and another is under way.", s.Reindexer.Resume)
	steer("cancel", "Cancel a reindex",
		"Searches stay as they are; what it has embedded is kept for a while, and not bought again meanwhile. 409 when it has ended otherwise.", s.Reindexer.Cancel)
	steer("revert", "Switch back to the space that was live before a reindex",
		"At once where every document is whole in it, which the stage reverted says; else the reindex goes on, in the stage reverting, until that is so. "+
			"409 when there is nothing to go back to.", s.Reindexer.Revert)
}
