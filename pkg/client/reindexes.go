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

// BeginReindex begins a reindex of the request's collection, or of every collection if it names
// none, and returns the new reindexes. A Problem of status 409 names a reindex that is already
// running. An earlier attempt whose answer was lost may have begun it.
func (c *Client) BeginReindex(ctx context.Context, request document.ReindexRequest) ([]document.Reindex, error) {
	var begun oneOrList[document.Reindex]
	return begun, c.postReindex(ctx, request, false, &begun)
}

// EstimateReindex returns an estimate of each reindex that BeginReindex would begin. It changes
// nothing.
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

// oneOrList decodes an answer that is an item or a list of items.
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

// AllReindexes yields all reindexes that match, newest first. It requests them page by page. After
// an error it ends.
func (c *Client) AllReindexes(ctx context.Context, filter document.ReindexFilter) iter.Seq2[document.Reindex, error] {
	return allPages(func(page document.Page) (document.List[document.Reindex], error) {
		return c.Reindexes(ctx, filter, page)
	})
}

// Reindex returns a reindex. With wait > 0, the server answers when the reindex has ended or the
// wait is over.
func (c *Client) Reindex(ctx context.Context, id uuid.UUID, wait time.Duration) (document.Reindex, error) {
	var reindex document.Reindex
	return reindex, c.getJSON(ctx, "/v1/reindexes/"+id.String(), waitQuery(wait), &reindex)
}

// AwaitReindex waits until a reindex has ended and returns it. Until then it calls report with the
// reindex at least once in each interval of length every, which must be positive. report may be
// nil.
func (c *Client) AwaitReindex(ctx context.Context, id uuid.UUID, every time.Duration, report func(document.Reindex)) (document.Reindex, error) {
	return awaitEnd(every, report,
		func(wait time.Duration) (document.Reindex, error) { return c.Reindex(ctx, id, wait) },
		func(reindex document.Reindex) bool { return reindex.State.Ended() })
}

// PauseReindex pauses a reindex until it is resumed, and returns it. For this and the other
// actions, a Problem of status 409 says that the state of the reindex does not allow the action. An
// earlier attempt whose answer was lost may have caused that.
func (c *Client) PauseReindex(ctx context.Context, id uuid.UUID) (document.Reindex, error) {
	return c.postReindexAction(ctx, id, "pause")
}

// ResumeReindex resumes a paused or failed reindex and returns it.
func (c *Client) ResumeReindex(ctx context.Context, id uuid.UUID) (document.Reindex, error) {
	return c.postReindexAction(ctx, id, "resume")
}

// CancelReindex cancels a reindex and returns it. The active space does not change.
func (c *Client) CancelReindex(ctx context.Context, id uuid.UUID) (document.Reindex, error) {
	return c.postReindexAction(ctx, id, "cancel")
}

// RevertReindex switches back to the space that was active before the reindex, and returns the
// reindex. If documents are missing in that space, the server adds them first, and switches when it
// is complete.
func (c *Client) RevertReindex(ctx context.Context, id uuid.UUID) (document.Reindex, error) {
	return c.postReindexAction(ctx, id, "revert")
}

// postReindexAction sends an action and returns the reindex after it. If the action is not
// idempotent, a Problem of status 409 may also mean that an earlier attempt has succeeded.
func (c *Client) postReindexAction(ctx context.Context, id uuid.UUID, verb string) (document.Reindex, error) {
	var reindex document.Reindex
	return reindex, c.sendJSON(ctx, call{method: http.MethodPost, path: "/v1/reindexes/" + id.String() + "/" + verb}, &reindex)
}
