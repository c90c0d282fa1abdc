package client

import (
	"context"
	"encoding/json"
	"net/http"

	"github.com/seed-7a112592/gristmill/pkg/document"
)

// Search searches a collection. It changes nothing, so it may be sent twice.
func (c *Client) Search(ctx context.Context, request document.SearchRequest) (document.SearchResult, error) {
	type filter struct {
		KeyPrefix string          `json:"key_prefix,omitempty"`
		Metadata  json.RawMessage `json:"metadata,omitempty"`
	}
	body, err := jsonBody(struct {
		Collection string   `json:"collection,omitempty"`
		Query      string   `json:"query"`
		Mode       string   `json:"mode,omitempty"`
		Limit      int      `json:"limit,omitempty"`
		Threshold  *float64 `json:"threshold,omitempty"`
		Filter     filter   `json:"filter,omitzero"`
	}{request.Collection, request.Query, request.Mode, request.Limit, request.Threshold, filter{request.KeyPrefix, request.Metadata}})
	if err != nil {
		return document.SearchResult{}, err
	}
	var result document.SearchResult
	return result, c.sendJSON(ctx, call{method: http.MethodPost, path: "/v1/search", contentType: "application/json", body: body}, &result)
}
