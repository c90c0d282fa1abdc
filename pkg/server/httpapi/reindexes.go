package httpapi

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"
	"github.com/google/uuid"
)

// Reindexer puts documents back on the path and says how many. An empty
// collection means all, a zero document every one of the collection.
type Reindexer interface {
	Reindex(ctx context.Context, collection string, document uuid.UUID) (int, error)
}

// ReindexBody says which documents to re-index.
type ReindexBody struct {
	Collection string    `json:"collection,omitempty" doc:"Only documents of this collection."`
	DocumentID uuid.UUID `json:"document_id,omitzero" format:"uuid" doc:"Only this document."`
}

// ReindexResult says what was begun.
type ReindexResult struct {
	Documents int `json:"documents" doc:"So many documents were given a job; those that had one already are not counted."`
}

func (s *server) routeReindexes() {
	register(s, huma.Operation{
		OperationID:   "reindex",
		Method:        http.MethodPost,
		Path:          "/v1/reindexes",
		Summary:       "Put documents back on the path",
		Description:   "Passages whose text, model and chunking are unchanged are not embedded again.",
		DefaultStatus: http.StatusAccepted,
	}, func(ctx context.Context, in *struct{ Body ReindexBody }) (*output[ReindexResult], error) {
		n, err := s.Reindexer.Reindex(ctx, in.Body.Collection, in.Body.DocumentID)
		return itemOutput(ReindexResult{Documents: n}, err)
	})
}
