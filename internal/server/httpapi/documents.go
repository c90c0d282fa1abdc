package httpapi

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"
	"github.com/google/uuid"

	"github.com/seed-7a112592/gristmill/pkg/document"
)

// Documents reads and deletes the tenant's documents. Methods return fault.NotFound for a missing
// document, and fault.BadRequest for an invalid cursor.
type Documents interface {
	Document(ctx context.Context, id uuid.UUID) (document.Document, error)
	Documents(ctx context.Context, filter document.DocumentFilter, page document.Page) (document.List[document.Document], error)
	Passages(ctx context.Context, id uuid.UUID, page document.Page) (document.List[document.Passage], error)
	Summary(ctx context.Context, id uuid.UUID) (document.Summary, error)
	DeleteDocument(ctx context.Context, id uuid.UUID, conditions ...document.Condition) error
}

// PageParams has the parameters of every list. It is exported because huma finds parameters only in
// exported fields.
type PageParams struct {
	Limit  int    `query:"limit" default:"100" minimum:"1" maximum:"1000" doc:"Maximum number of items."`
	Cursor string `query:"cursor" doc:"The next_cursor of the previous page."`
}

func (p PageParams) page() document.Page {
	return document.Page{Limit: p.Limit, Cursor: p.Cursor}
}

type documentsInput struct {
	PageParams
	Collection string                 `query:"collection" doc:"Only documents of this collection."`
	KeyPrefix  string                 `query:"key_prefix" doc:"Only documents whose key begins with this."`
	State      document.DocumentState `query:"state" enum:"pending,ready,failed,deleting" doc:"Only documents in this state."`
}

// DocumentPath has the id of a document.
type DocumentPath struct {
	ID uuid.UUID `path:"id" format:"uuid" doc:"The document's id."`
}

type deleteInput struct {
	DocumentPath
	IfMatch     string `header:"If-Match" doc:"ETags, or *. The newest version must have one of them; else 412."`
	IfNoneMatch string `header:"If-None-Match" doc:"ETags, or *. The newest version must have none of them; else 412."`

	ifMatch, ifNoneMatch []string // all lines of the headers
}

// Resolve implements huma.Resolver. It reads all lines of the headers; huma reads only the first.
func (in *deleteInput) Resolve(ctx huma.Context) []error {
	ctx.EachHeader(func(name, value string) {
		switch name {
		case "If-Match":
			in.ifMatch = append(in.ifMatch, value)
		case "If-None-Match":
			in.ifNoneMatch = append(in.ifNoneMatch, value)
		}
	})
	return nil
}

type passagesInput struct {
	DocumentPath
	PageParams
}

// output is a response with a JSON body.
type output[T any] struct{ Body T }

// acceptedJob is a response with a job that has been accepted.
type acceptedJob struct {
	Location string `header:"Location"`
	Body     document.Job
}

// listOutput returns the response with a page. The items of an empty page are [], not null.
func listOutput[T any](list document.List[T], err error) (*output[document.List[T]], error) {
	if err != nil {
		return nil, err
	}
	if list.Items == nil {
		list.Items = []T{}
	}
	return &output[document.List[T]]{Body: list}, nil
}

func itemOutput[T any](item T, err error) (*output[T], error) {
	if err != nil {
		return nil, err
	}
	return &output[T]{Body: item}, nil
}

func (s *server) routeDocuments() {
	register(s, huma.Operation{
		OperationID: "list-documents",
		Method:      http.MethodGet,
		Path:        "/v1/documents",
		Summary:     "List documents, newest first",
		Description: "With key_prefix, the order is by key, bytewise.",
	}, func(ctx context.Context, in *documentsInput) (*output[document.List[document.Document]], error) {
		filter := document.DocumentFilter{Collection: in.Collection, KeyPrefix: document.NormaliseKey(in.KeyPrefix), State: in.State}
		return listOutput(s.Documents.Documents(ctx, filter, in.page()))
	})
	register(s, huma.Operation{
		OperationID: "get-document",
		Method:      http.MethodGet,
		Path:        "/v1/documents/{id}",
		Summary:     "Get a document",
	}, func(ctx context.Context, in *DocumentPath) (*output[document.Document], error) {
		return itemOutput(s.Documents.Document(ctx, in.ID))
	})
	register(s, huma.Operation{
		OperationID: "list-passages",
		Method:      http.MethodGet,
		Path:        "/v1/documents/{id}/passages",
		Summary:     "List the passages of the published version, in order",
	}, func(ctx context.Context, in *passagesInput) (*output[document.List[document.Passage]], error) {
		return listOutput(s.Documents.Passages(ctx, in.ID, in.page()))
	})
	register(s, huma.Operation{
		OperationID: "get-summary",
		Method:      http.MethodGet,
		Path:        "/v1/documents/{id}/summary",
		Summary:     "Get a document's summary",
	}, func(ctx context.Context, in *DocumentPath) (*output[document.Summary], error) {
		return itemOutput(s.Documents.Summary(ctx, in.ID))
	})
	register(s, huma.Operation{
		OperationID:   "ask-summary",
		Method:        http.MethodPost,
		Path:          "/v1/documents/{id}/summary",
		Summary:       "Request the summary of a document, in a collection with summaries on demand",
		Description:   "The newest version is summarised, unless it has a summary or is being summarised. 409 if the summaries of the collection are off.",
		DefaultStatus: http.StatusAccepted,
	}, func(ctx context.Context, in *DocumentPath) (*acceptedJob, error) {
		job, err := s.JobController.RequestSummary(ctx, in.ID)
		if err != nil {
			return nil, err
		}
		return &acceptedJob{Location: "/v1/jobs/" + job.ID.String(), Body: s.withProgress(ctx, job)}, nil
	})
	register(s, huma.Operation{
		OperationID:   "delete-document",
		Method:        http.MethodDelete,
		Path:          "/v1/documents/{id}",
		Summary:       "Delete a document",
		DefaultStatus: http.StatusNoContent,
		Responses: map[string]*huma.Response{
			"412": {Description: "If-Match or If-None-Match does not hold", Content: problemContent(s)},
		},
	}, func(ctx context.Context, in *deleteInput) (*struct{}, error) {
		condition, err := parseCondition(in.ifMatch, in.ifNoneMatch)
		if err != nil {
			return nil, err
		}
		return nil, s.Documents.DeleteDocument(ctx, in.ID, condition)
	})
}
