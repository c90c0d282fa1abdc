package httpapi

import (
	"context"
	"encoding/json"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"github.com/seed-7a112592/gristmill/pkg/document"
)

// Searcher answers searches. Search returns fault.BadRequest for an invalid request, and
// fault.Unavailable if the model is down.
type Searcher interface {
	Search(ctx context.Context, request document.SearchRequest) (document.SearchResult, error)
}

// SearchBody is the body of a search.
type SearchBody struct {
	Collection string       `json:"collection,omitempty" default:"default" doc:"The collection to search."`
	Query      string       `json:"query" doc:"The question, in any language."`
	Mode       string       `json:"mode,omitempty" default:"vector" enum:"vector,keyword,hybrid" doc:"How to search. Only vector is supported."`
	Limit      int          `json:"limit,omitempty" default:"10" minimum:"1" maximum:"100" doc:"Maximum number of hits."`
	Threshold  *float64     `json:"threshold,omitempty" doc:"Minimum score of a hit: cosine similarity, -1 to 1."`
	Filter     SearchFilter `json:"filter,omitempty" doc:"The documents to search."`
}

// SearchFilter narrows a search.
type SearchFilter struct {
	KeyPrefix string     `json:"key_prefix,omitempty" doc:"Only documents whose key begins with this."`
	Metadata  jsonObject `json:"metadata,omitempty" doc:"Only documents whose metadata contains this object."`
}

// jsonObject is any JSON object, as the client sent it.
type jsonObject struct{ json.RawMessage }

// Schema implements huma.SchemaProvider.
func (jsonObject) Schema(huma.Registry) *huma.Schema {
	return &huma.Schema{Type: huma.TypeObject, AdditionalProperties: true}
}

func (s *server) routeSearch() {
	register(s, huma.Operation{
		OperationID: "search",
		Method:      http.MethodPost,
		Path:        "/v1/search",
		Summary:     "Search a collection",
	}, func(ctx context.Context, in *struct{ Body SearchBody }) (*output[document.SearchResult], error) {
		result, err := s.Searcher.Search(ctx, document.SearchRequest{
			Collection: in.Body.Collection,
			Query:      in.Body.Query,
			Mode:       in.Body.Mode,
			Limit:      in.Body.Limit,
			Threshold:  in.Body.Threshold,
			KeyPrefix:  document.NormaliseKey(in.Body.Filter.KeyPrefix),
			Metadata:   in.Body.Filter.Metadata.RawMessage,
		})
		if result.Hits == nil {
			result.Hits = []document.Hit{}
		}
		return itemOutput(result, err)
	})
}
