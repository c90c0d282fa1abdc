package httpapi

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"
	"github.com/google/uuid"

	"github.com/seed-7a112592/gristmill/pkg/document"
)

// Reindexer begins, estimates and controls reindexes. Methods return fault.NotFound for a missing
// collection, document or reindex, fault.BadRequest for an invalid request or one that the model
// rejects, and fault.Unavailable if the model is down.
type Reindexer interface {
	// Begin begins a reindex of the request's collection, or of every collection if it names none.
	// If a collection is being re-indexed, it returns fault.Conflict with the id of that reindex.
	Begin(ctx context.Context, request document.ReindexRequest) ([]document.Reindex, error)

	// Estimate returns what Begin would do. It changes nothing.
	Estimate(ctx context.Context, request document.ReindexRequest) ([]document.ReindexEstimate, error)

	// These methods return the changed reindex, or fault.Conflict if its state does not allow the
	// change.
	Pause(ctx context.Context, id uuid.UUID) (document.Reindex, error)
	Resume(ctx context.Context, id uuid.UUID) (document.Reindex, error)
	Cancel(ctx context.Context, id uuid.UUID) (document.Reindex, error)
	Revert(ctx context.Context, id uuid.UUID) (document.Reindex, error)
}

// Reindexes reads the tenant's reindexes. Methods return fault.NotFound for a missing reindex, and
// fault.BadRequest for an invalid cursor.
type Reindexes interface {
	Reindex(ctx context.Context, id uuid.UUID) (document.Reindex, error)
	Reindexes(ctx context.Context, filter document.ReindexFilter, page document.Page) (document.List[document.Reindex], error)
}

type reindexesInput struct {
	PageParams
	Collection string            `query:"collection" doc:"Only reindexes of this collection."`
	State      document.JobState `query:"state" enum:"queued,running,waiting,paused,succeeded,failed,cancelled" doc:"Only reindexes in this state."`
}

// ReindexPath has the id of a reindex.
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
		Summary:     "Get a reindex, immediately or when it has ended",
	}, func(ctx context.Context, in *reindexInput) (*output[document.Reindex], error) {
		wait, err := in.parseWait()
		if err != nil {
			return nil, err
		}
		return itemOutput(reindexes.get(ctx, in.ID, wait))
	})
	s.registerRaw(reindexes.describeEvents("/v1/reindexes", "Follow a reindex to its end as server-sent events"), reindexes.serveEvents)

	control := func(verb, summary, description string, action func(context.Context, uuid.UUID) (document.Reindex, error)) {
		register(s, huma.Operation{
			OperationID: verb + "-reindex",
			Method:      http.MethodPost,
			Path:        "/v1/reindexes/{id}/" + verb,
			Summary:     summary,
			Description: description,
			Responses: map[string]*huma.Response{
				"200": {Description: "The changed reindex"},
				"404": {Description: "The reindex does not exist", Content: problemContent(s)},
				"409": {Description: "The state of the reindex does not allow this; nothing has changed", Content: problemContent(s)},
			},
		}, func(ctx context.Context, in *ReindexPath) (*output[document.Reindex], error) {
			return itemOutput(reindexes.runAction(ctx, in.ID, action))
		})
	}
	control("pause", "Pause a reindex",
		"The reindex keeps its results, and stops until it is resumed. 409 if it has ended.", s.Reindexer.Pause)
	control("resume", "Resume a reindex that is paused or has failed",
		"The reindex continues where it stopped. 409 if it has succeeded or was cancelled, or if it has failed and another reindex of the collection is running.", s.Reindexer.Resume)
	control("cancel", "Cancel a reindex",
		"Searches do not change. The vectors of the reindex are kept for a while and can be reused. 409 if the reindex has succeeded or failed.", s.Reindexer.Cancel)
	control("revert", "Switch back to the space that was active before a reindex",
		"If every document is complete in that space, the switch is immediate, and the stage is reverted. Otherwise the reindex continues in the stage reverting until all are complete. "+
			"409 if there is no space to switch back to.", s.Reindexer.Revert)
}
