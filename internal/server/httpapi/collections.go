package httpapi

import (
	"cmp"
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"github.com/seed-7a112592/gristmill/internal/vector"
	"github.com/seed-7a112592/gristmill/pkg/document"
)

// Collections reads and changes the tenant's collections. Methods return fault.NotFound for a missing
// collection, and fault.BadRequest for an invalid cursor.
type Collections interface {
	Collection(ctx context.Context, name string) (vector.Collection, error)
	Collections(ctx context.Context, page document.Page) (document.List[vector.Collection], error)
	SetSummaryMode(ctx context.Context, name string, mode document.SummaryMode) (vector.Collection, error)
}

// CollectionPath has the name of a collection.
type CollectionPath struct {
	Name string `path:"name" doc:"The collection's name."`
}

// CollectionChange has the settings to change. Settings that are left out do not change.
type CollectionChange struct {
	Summaries document.SummaryMode `json:"summaries,omitempty" enum:"model,on_demand,off" doc:"When documents are summarised: model after each upload, on_demand on request, off never."`
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
		Description: "The first upload into a collection creates it. That upload is answered 409 if the tenant has reached its limit of collections.",
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
		Description: "Existing summaries stay. The new setting applies to later uploads and requests for summaries.",
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

// settingsOf returns the settings of a collection. Settings that the collection does not have come
// from the configuration.
func (s *server) settingsOf(c vector.Collection) document.CollectionSettings {
	return document.CollectionSettings{
		Name: c.Name, Model: c.ActiveSpace.Model.Name, Dimensions: c.ActiveSpace.Model.Dimensions,
		Tokens: c.ActiveSpace.Chunking.Tokens, Overlap: c.ActiveSpace.Chunking.Overlap, Summaries: cmp.Or(c.Summaries, s.DefaultSummaryMode),
	}
}
