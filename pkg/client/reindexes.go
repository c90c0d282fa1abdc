package client

import (
	"context"
	"encoding/json"
	"iter"
	"net/http"
	"time"

	"github.com/google/uuid"

	"github.com/seed-7a112592/gristmill/pkg/document"
)

// BeginReindex begins a reindex of the request's collection, or of each where
// it names none, and returns what was begun. A Problem of status 409 names the
// reindex that is under way already, which may be one that an attempt which
// broke off has begun.
func (c *Client) BeginReindex(ctx context.Context, request document.ReindexRequest) ([]document.Reindex, error) {
	var begun oneOrList[document.Reindex]
	return begun, c.postReindex(ctx, request, false, &begun)
}

// EstimateReindex returns what BeginReindex would begin. It changes nothing.
func (c *Client) EstimateReindex(ctx context.Context, request document.ReindexRequest) ([]document.ReindexEstimate, error) {
	var estimates oneOrList[document.ReindexEstimate]
	return estimates, c.postReindex(ctx, request, true, &estimates)
}

func (c *Client) postReindex(ctx context.Context, request document.ReindexRequest, dryRun bool, v any) error {
	body, err := jsonBody(struct {
		Collection string      `json:"collection,omitempty"`
		Model      string      `json:"model,omitempty"`
		Dimensions int         `json:"dimensions,omitempty"`
		Tokens     int         `json:"chunk_tokens,omitempty"`
		Overlap    *int        `json:"chunk_overlap,omitempty"`
		KeyPrefix  string      `json:"key_prefix,omitempty"`
		Documents  []uuid.UUID `json:"document_ids,omitempty"`
		Force      bool        `json:"force,omitempty"`
		DryRun     bool        `json:"dry_run,omitempty"`
	}{
		request.Collection, request.Model.Name, request.Model.Dimensions, request.Tokens, request.Overlap,
		request.KeyPrefix, request.DocumentIDs, request.Force, dryRun,
	})
	if err != nil {
		return err
	}
	return c.sendJSON(ctx, call{method: http.MethodPost, path: "/v1/reindexes", contentType: "application/json", body: body}, v)
}

// oneOrList reads an answer that is an item, or a list of items.
type oneOrList[T any] []T

// UnmarshalJSON implements json.Unmarshaler.
func (o *oneOrList[T]) UnmarshalJSON(text []byte) error {
	var list struct {
		Items *[]T `json:"items"`
	}
	if err := json.Unmarshal(text, &list); err != nil {
		return err
	}
	if list.Items != nil {
		*o = *list.Items
		return nil
	}
	*o = make([]T, 1)
	return json.Unmarshal(text, &(*o)[0])
}

// Reindexes returns a page of the reindexes that match, newest first.
func (c *Client) Reindexes(ctx context.Context, filter document.ReindexFilter, page document.Page) (document.List[document.Reindex], error) {
	query := pageQuery(page)
	setNonEmpty(query, "collection", filter.Collection)
	setNonEmpty(query, "state", string(filter.State))
	var list document.List[document.Reindex]
	return list, c.getJSON(ctx, "/v1/reindexes", query, &list)
}

// AllReindexes returns all reindexes that match, newest first, page by page. It
// ends after an error.
func (c *Client) AllReindexes(ctx context.Context, filter document.ReindexFilter) iter.Seq2[document.Reindex, error] {
	return allPages(func(page document.Page) (document.List[document.Reindex], error) {
		return c.Reindexes(ctx, filter, page)
	})
}

// Reindex returns a reindex: at once, or when it has ended or the wait is over.
func (c *Client) Reindex(ctx context.Context, id uuid.UUID, wait time.Duration) (document.Reindex, error) {
	var reindex document.Reindex
	return reindex, c.getJSON(ctx, "/v1/reindexes/"+id.String(), waitQuery(wait), &reindex)
}

// AwaitReindex returns the reindex once it has ended. Until then it hands it to
// report, which may be nil, at least so often.
func (c *Client) AwaitReindex(ctx context.Context, id uuid.UUID, every time.Duration, report func(document.Reindex)) (document.Reindex, error) {
	return awaitEnd(every, report,
		func(wait time.Duration) (document.Reindex, error) { return c.Reindex(ctx, id, wait) },
		func(reindex document.Reindex) bool { return reindex.State.Ended() })
}

// PauseReindex has a reindex do nothing more until it is resumed.
func (c *Client) PauseReindex(ctx context.Context, id uuid.UUID) (document.Reindex, error) {
	return c.postReindexAction(ctx, id, "pause")
}

// ResumeReindex has a reindex go on that is paused or has failed.
func (c *Client) ResumeReindex(ctx context.Context, id uuid.UUID) (document.Reindex, error) {
	return c.postReindexAction(ctx, id, "resume")
}

// CancelReindex ends a reindex that has not ended. Searches stay as they are.
func (c *Client) CancelReindex(ctx context.Context, id uuid.UUID) (document.Reindex, error) {
	return c.postReindexAction(ctx, id, "cancel")
}

// RevertReindex switches back to the space that was live before the reindex, at
// once or, if documents are missing in it, when they are there.
func (c *Client) RevertReindex(ctx context.Context, id uuid.UUID) (document.Reindex, error) {
	return c.postReindexAction(ctx, id, "revert")
}

// postReindexAction returns the reindex as it then is. A Problem of status 409 says
// that its state does not allow this, and, of what is not the same when it is
// done twice, may also mean that an attempt which broke off has done it.
func (c *Client) postReindexAction(ctx context.Context, id uuid.UUID, verb string) (document.Reindex, error) {
	var reindex document.Reindex
	return reindex, c.sendJSON(ctx, call{method: http.MethodPost, path: "/v1/reindexes/" + id.String() + "/" + verb}, &reindex)
}
