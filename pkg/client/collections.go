package client

import (
	"context"
	"net/http"
	"net/url"

	"github.com/google/uuid"

	"github.com/seed-7a112592/gristmill/pkg/document"
)

// Collections returns a page of the collections with their settings, newest first.
func (c *Client) Collections(ctx context.Context, page document.Page) (document.List[document.CollectionSettings], error) {
	var list document.List[document.CollectionSettings]
	return list, c.getJSON(ctx, "/v1/collections", pageQuery(page), &list)
}

// Collection returns the settings of a collection.
func (c *Client) Collection(ctx context.Context, name string) (document.CollectionSettings, error) {
	var settings document.CollectionSettings
	return settings, c.getJSON(ctx, "/v1/collections/"+url.PathEscape(name), nil, &settings)
}

// SetSummaryMode sets when documents of a collection are summarised, and returns the settings of
// the collection.
func (c *Client) SetSummaryMode(ctx context.Context, name string, mode document.SummaryMode) (document.CollectionSettings, error) {
	var settings document.CollectionSettings
	body, err := jsonBody(map[string]any{"summaries": mode})
	if err != nil {
		return settings, err
	}
	return settings, c.sendJSON(ctx, call{
		method: http.MethodPatch, path: "/v1/collections/" + url.PathEscape(name), contentType: "application/json", body: body,
	}, &settings)
}

// RequestSummary requests a summary of a document in a collection with summaries on demand, and
// returns the document's job. A Problem of status 409 says that summaries are off.
func (c *Client) RequestSummary(ctx context.Context, id uuid.UUID) (document.Job, error) {
	var job document.Job
	return job, c.sendJSON(ctx, call{method: http.MethodPost, path: "/v1/documents/" + id.String() + "/summary"}, &job)
}
