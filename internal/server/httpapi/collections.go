package httpapi

import (
	"cmp"
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"github.com/seed-7a112592/gristmill/internal/vector"
	"github.com/seed-7a112592/gristmill/pkg/document"
)

// Collections reads and changes the tenant's collections. What is not there is
// fault.NotFound, a cursor that is not ours fault.BadRequest.
type Collections interface {
	Collection(ctx context.Context, name string) (vector.Collection, error)
	Collections(ctx context.Context, page document.Page) (document.List[vector.Collection], error)
	SetSummaryMode(ctx context.Context, name string, mode document.SummaryMode) (vector.Collection, error)
}

// CollectionPath names a collection.
type CollectionPath struct {
	Name string `path:"name" doc:"The collection's name."`
}

// CollectionChange says what to change; what is left out stays.
type CollectionChange struct {
	Summaries document.SummaryMode `json:"summaries,omitempty" enum:"model,on_demand,off" doc:"When documents are summarised: after each upload, once somebody asks for it, or never."`
}

type collectionsInput struct{ PageParams }

type changeCollectionInput struct {
	CollectionPath
	Body CollectionChange
}

func (s *server) routeCollections() {
	register(s, huma.Operation{
		OperationID: "list-collections",
		Method:      http.MethodGet,
		Path:        "/v1/collections",
		Summary:     "List collections with their settings, newest first",
		Description: "A collection is made by the first upload into it, which is 409 when there are as many as a tenant may have.",
	}, func(ctx context.Context, in *collectionsInput) (*output[document.List[document.CollectionSettings]], error) {
		list, err := s.Collections.Collections(ctx, in.page())
		settings := document.List[document.CollectionSettings]{NextCursor: list.NextCursor}
		for _, c := range list.Items {
			settings.Items = append(settings.Items, s.settingsOf(c))
		}
		return listOutput(settings, err)
	})
	register(s, huma.Operation{
		OperationID: "get-collection",
		Method:      http.MethodGet,
		Path:        "/v1/collections/{name}",
		Summary:     "Get a collection's settings",
	}, func(ctx context.Context, in *CollectionPath) (*output[document.CollectionSettings], error) {
		c, err := s.Collections.Collection(ctx, in.Name)
		return itemOutput(s.settingsOf(c), err)
	})
	register(s, huma.Operation{
		OperationID: "change-collection",
		Method:      http.MethodPatch,
		Path:        "/v1/collections/{name}",
		Summary:     "Change a collection's settings",
		Description: "Summaries that are there stay. What is uploaded, or asked for, from then on follows the new setting.",
	}, func(ctx context.Context, in *changeCollectionInput) (*output[document.CollectionSettings], error) {
		change := s.Collections.Collection
		if mode := in.Body.Summaries; mode != "" {
			change = func(ctx context.Context, name string) (vector.Collection, error) {
				return s.Collections.SetSummaryMode(ctx, name, mode)
			}
		}
		c, err := change(ctx, in.Name)
		return itemOutput(s.settingsOf(c), err)
	})
}

// settingsOf returns what holds for a collection, by itself or as configured.
func (s *server) settingsOf(c vector.Collection) document.CollectionSettings {
	return document.CollectionSettings{
		Name: c.Name, Model: c.ActiveSpace.Model.Name, Dimensions: c.ActiveSpace.Model.Dimensions,
		Tokens: c.ActiveSpace.Chunking.Tokens, Overlap: c.ActiveSpace.Chunking.Overlap, Summaries: cmp.Or(c.Summaries, s.DefaultSummaryMode),
	}
}
