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

// ReindexBody says what to re-index, and how. Empty values are refused: they could be mistaken for
// "everything".
type ReindexBody struct {
	Collection   string      `json:"collection,omitempty" minLength:"1" pattern:"^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$" patternDescription:"1 to 128 letters, digits, '.', '_' and '-', beginning with a letter or digit" doc:"The collection to re-index. If left out: the collection default if documents are named, or else all collections."`
	Model        string      `json:"model,omitempty" minLength:"1" maxLength:"200" doc:"Embed with this model instead of the model of the active space; at most 200 bytes."`
	Dimensions   int         `json:"dimensions,omitempty" minimum:"1" maximum:"16000" doc:"Length of the model's vectors. If left out, a model other than that of the active space is asked for it."`
	ChunkTokens  int         `json:"chunk_tokens,omitempty" minimum:"16" maximum:"8192" doc:"Maximum number of tokens (cl100k_base) of a passage."`
	ChunkOverlap *int        `json:"chunk_overlap,omitempty" minimum:"0" maximum:"4096" doc:"Number of tokens that a passage repeats of the previous one; at most half of chunk_tokens."`
	KeyPrefix    string      `json:"key_prefix,omitempty" minLength:"1" maxLength:"1024" doc:"Only documents whose key begins with this. Not with a change of the model or the chunking, which applies to a complete collection."`
	DocumentIDs  []uuid.UUID `json:"document_ids,omitempty" format:"uuid" minItems:"1" maxItems:"100" doc:"Only these documents of the collection. Not with a change of the model or the chunking."`
	DocumentID   *uuid.UUID  `json:"document_id,omitempty" format:"uuid" doc:"Only this document; the same as document_ids with one id."`
	Force        bool        `json:"force,omitempty" doc:"Also redo documents that are complete. Passages with a vector are still not embedded again."`
	DryRun       bool        `json:"dry_run,omitempty" doc:"Only estimate the work and its cost."`
}

// request returns the request, after the checks that a schema cannot express.
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

// reindexOutput is a response with one reindex or estimate, or with a list of them.
type reindexOutput struct {
	Status   int
	Location string `header:"Location" doc:"The path of the reindex, if the response has one reindex."`
	Body     any
}

// oneOrAll returns a response with the only item if the request names a collection, and else with a
// list.
func oneOrAll[T any](status int, request document.ReindexRequest, items []T) *reindexOutput {
	if request.Collection != "" && len(items) == 1 {
		return &reindexOutput{Status: status, Body: items[0]}
	}
	return &reindexOutput{Status: status, Body: document.List[T]{Items: items}}
}

// oneOrAllContent describes both kinds of body.
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
		Summary:     "Re-index a collection, or all collections",
		Description: "If the model or the chunking changes, a new space is built. The active space answers searches until the new one is complete. " +
			"If neither changes, documents that are missing, failed or stale are redone. Passages with a vector of the model are not embedded again. " +
			"Without a collection and documents, every collection gets a reindex, and the response is {\"items\": […]}.",
		DefaultStatus: http.StatusAccepted,
		Responses: map[string]*huma.Response{
			"200": {Description: "With dry_run: the estimate; nothing has changed", Content: oneOrAllContent[document.ReindexEstimate](s)},
			"202": {Description: "Begun. Location is the path of the reindex, if the response has one reindex", Content: oneOrAllContent[document.Reindex](s)},
			"404": {Description: "The collection does not exist, or does not have the document", Content: problemContent(s)},
			"409": {Description: "Another reindex of the collection is running; the detail has its id", Content: problemContent(s)},
			"503": {Description: "The model cannot be reached; no reindex was begun", Content: problemContent(s),
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
