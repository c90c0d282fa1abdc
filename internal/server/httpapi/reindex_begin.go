package httpapi

import (
	"cmp"
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"
	"github.com/google/uuid"

	"github.com/seed-7a112592/gristmill/internal/fault"
	"github.com/seed-7a112592/gristmill/pkg/document"
)

// ReindexBody says what to re-index, and how. What is empty is refused rather
// than taken for everything.
type ReindexBody struct {
	Collection   string      `json:"collection,omitempty" minLength:"1" pattern:"^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$" patternDescription:"1 to 128 letters, digits, '.', '_' and '-', beginning with a letter or digit" doc:"Only this collection; every one if left out, unless documents are named."`
	Model        string      `json:"model,omitempty" minLength:"1" maxLength:"200" doc:"Embed with this model, in place of the one that the collection is served with; at most 200 bytes."`
	Dimensions   int         `json:"dimensions,omitempty" minimum:"1" maximum:"16000" doc:"Length of the model's vectors; another model than the live one is asked for it when it is left out."`
	ChunkTokens  int         `json:"chunk_tokens,omitempty" minimum:"16" maximum:"8192" doc:"Most tokens (cl100k_base) of a passage."`
	ChunkOverlap *int        `json:"chunk_overlap,omitempty" minimum:"0" maximum:"4096" doc:"Tokens that a passage repeats of the one before it: at most half of chunk_tokens."`
	KeyPrefix    string      `json:"key_prefix,omitempty" minLength:"1" maxLength:"1024" doc:"Only documents whose key begins so. Not where the model or the chunking changes: that is of a whole collection."`
	DocumentIDs  []uuid.UUID `json:"document_ids,omitempty" format:"uuid" minItems:"1" maxItems:"100" doc:"Only these documents, as with key_prefix; of the collection default if none is named."`
	DocumentID   *uuid.UUID  `json:"document_id,omitempty" format:"uuid" doc:"Only this document: the same as document_ids with one."`
	Force        bool        `json:"force,omitempty" doc:"Redo documents that are whole too. What has a vector is not embedded again all the same."`
	DryRun       bool        `json:"dry_run,omitempty" doc:"Only say what would be done and what it would cost."`
}

// request checks what a schema cannot say.
func (b ReindexBody) request() (document.ReindexRequest, error) {
	if err := document.CheckLine("body.model", b.Model, document.MaxModelBytes); err != nil {
		return document.ReindexRequest{}, fault.New(fault.BadRequest, "%v", err)
	}
	documents := b.DocumentIDs
	if b.DocumentID != nil {
		if len(documents) > 0 {
			return document.ReindexRequest{}, fault.New(fault.BadRequest, "body.document_id: give document_id or document_ids, not both")
		}
		documents = []uuid.UUID{*b.DocumentID}
	}
	collection := b.Collection
	if len(documents) > 0 {
		collection = cmp.Or(collection, document.DefaultCollection)
	}
	return document.ReindexRequest{
		Collection:  collection,
		Model:       document.Model{Name: b.Model, Dimensions: b.Dimensions},
		Tokens:      b.ChunkTokens,
		Overlap:     b.ChunkOverlap,
		KeyPrefix:   document.NormaliseKey(b.KeyPrefix),
		DocumentIDs: documents,
		Force:       b.Force,
	}, nil
}

// reindexOutput answers with one reindex or estimate, or with a list of them.
type reindexOutput struct {
	Status   int
	Location string `header:"Location" doc:"Of the reindex, where it is one."`
	Body     any
}

// oneOrAll answers with the only item where one collection was named, and with
// a list where none was.
func oneOrAll[T any](status int, request document.ReindexRequest, items []T) *reindexOutput {
	if request.Collection != "" && len(items) == 1 {
		return &reindexOutput{Status: status, Body: items[0]}
	}
	return &reindexOutput{Status: status, Body: document.List[T]{Items: items}}
}

// oneOrAllContent describes either body.
func oneOrAllContent[T any](s *server) map[string]*huma.MediaType {
	return map[string]*huma.MediaType{"application/json": {Schema: &huma.Schema{
		OneOf: []*huma.Schema{schemaOf[T](s), schemaOf[document.List[T]](s)},
	}}}
}

func (s *server) routeBeginReindex() {
	register(s, huma.Operation{
		OperationID: "reindex",
		Method:      http.MethodPost,
		Path:        "/v1/reindexes",
		Summary:     "Re-index a collection, or all",
		Description: "Where the model or the chunking changes, a new space is built beside the live one, which answers searches until the new one is complete. " +
			"Where neither does, documents that are missing, failed or stale are redone. What has a vector of the model is not embedded again. " +
			"Without a collection, and without documents, every collection gets a reindex, and the answer is {\"items\": […]}.",
		DefaultStatus: http.StatusAccepted,
		Responses: map[string]*huma.Response{
			"200": {Description: "What would be done, as dry_run asked; nothing has changed", Content: oneOrAllContent[document.ReindexEstimate](s)},
			"202": {Description: "Begun; Location names the reindex, where it is one", Content: oneOrAllContent[document.Reindex](s)},
			"404": {Description: "There is no such collection, or no such document in it", Content: problemContent(s)},
			"409": {Description: "The collection is being re-indexed already; the detail names that reindex by its id", Content: problemContent(s)},
			"503": {Description: "The model could not be asked whether it is there; nothing was begun", Content: problemContent(s),
				Headers: map[string]*huma.Param{"Retry-After": {Description: "Seconds to wait", Schema: &huma.Schema{Type: huma.TypeInteger}}}},
		},
	}, func(ctx context.Context, in *struct{ Body ReindexBody }) (*reindexOutput, error) {
		request, err := in.Body.request()
		if err != nil {
			return nil, err
		}
		if in.Body.DryRun {
			estimates, err := s.Reindexer.Estimate(ctx, request)
			if err != nil {
				return nil, err
			}
			return oneOrAll(http.StatusOK, request, estimates), nil
		}
		begun, err := s.Reindexer.Begin(ctx, request)
		if err != nil {
			return nil, err
		}
		answer := oneOrAll(http.StatusAccepted, request, begun)
		if one, ok := answer.Body.(document.Reindex); ok {
			answer.Location = "/v1/reindexes/" + one.ID.String()
		}
		return answer, nil
	})
}
