package reindex

import (
	"cmp"
	"slices"

	"github.com/google/uuid"

	"github.com/seed-7a112592/gristmill/internal/fault"
	"github.com/seed-7a112592/gristmill/internal/vector"
	"github.com/seed-7a112592/gristmill/pkg/document"
)

// checkRequest returns the request with defaults filled in, or an error if it is invalid for every
// collection.
func checkRequest(request document.ReindexRequest) (document.ReindexRequest, error) {
	if len(request.DocumentIDs) > 0 {
		request.Collection = cmp.Or(request.Collection, document.DefaultCollection)
	}
	if request.Collection != "" {
		if err := document.CheckCollectionName(request.Collection); err != nil {
			return request, fault.New(fault.BadRequest, "%v", err)
		}
	}
	if err := document.CheckLine("model", request.Model.Name, document.MaxModelBytes); err != nil {
		return request, fault.New(fault.BadRequest, "%v", err)
	}
	if err := document.CheckLine("key_prefix", request.KeyPrefix, document.MaxKeyBytes); err != nil {
		return request, fault.New(fault.BadRequest, "%v", err)
	}
	if n := len(request.DocumentIDs); n > document.MaxReindexDocuments {
		return request, fault.New(fault.BadRequest, "%d document ids; the maximum is %d: use a key prefix, or several requests", n, document.MaxReindexDocuments)
	}
	if slices.Contains(request.DocumentIDs, uuid.Nil) {
		return request, fault.New(fault.BadRequest, "document id %s is not valid", uuid.Nil)
	}
	return request, nil
}

// check returns an error if the request is invalid for its collection.
func (p plan) check() error {
	if p.change == document.ChangeNothing {
		return nil
	}
	if p.request.KeyPrefix != "" || len(p.request.DocumentIDs) > 0 {
		return fault.New(fault.BadRequest,
			"a new model or chunking applies to all of collection %q: leave out key_prefix and document_ids, or the model and the chunking", p.request.Collection)
	}
	for _, field := range []struct {
		name             string
		value, low, high int
	}{
		{"dimensions", p.target.Model.Dimensions, 0, vector.MaxDimensions},
		{"chunk_tokens", p.target.Chunking.Tokens, document.MinChunkTokens, document.MaxChunkTokens},
		{"chunk_overlap", p.target.Chunking.Overlap, 0, p.target.Chunking.Tokens / 2},
	} {
		if field.value < field.low || field.value > field.high {
			return fault.New(fault.BadRequest, "%s is %d in collection %q; want %d to %d", field.name, field.value, p.request.Collection, field.low, field.high)
		}
	}
	return nil
}
