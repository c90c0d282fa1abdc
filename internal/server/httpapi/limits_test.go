package httpapi_test

import (
	"fmt"
	"testing"

	"github.com/seed-7a112592/gristmill/internal/vector"
	"github.com/seed-7a112592/gristmill/pkg/document"
)

// The tags of a struct cannot name constants, so the limits in them can differ from those that the
// steps check.
func TestOpenAPIHasTheLimitsThatAreChecked(t *testing.T) {
	t.Parallel()
	description := decode[map[string]any](t, do(newHandler(t, configOf(t, newFake())), "GET", "/openapi.json", "", ""))
	schemas := member(t, description, "components", "schemas")
	form := member(t, description, "paths", "/v1/documents", "post", "requestBody", "content", "multipart/form-data", "schema", "properties")
	put := map[string]any{}
	for _, p := range asList(member(t, description, "paths", "/v1/documents", "put")["parameters"]) {
		parameter := p.(map[string]any)
		put[parameter["name"].(string)] = parameter["schema"]
	}
	reindex := member(t, schemas, "ReindexBody", "properties")
	search := member(t, schemas, "SearchBody", "properties")
	for _, limit := range []struct {
		of      map[string]any
		field   string
		keyword string
		want    any
	}{
		{put, "collection", "pattern", document.CollectionPattern},
		{put, "collection", "default", document.DefaultCollection},
		{put, "key", "maxLength", document.MaxKeyBytes},
		{put, "title", "maxLength", document.MaxTitleBytes},
		{form, "collection", "pattern", document.CollectionPattern},
		{form, "collection", "default", document.DefaultCollection},
		{form, "key", "maxLength", document.MaxKeyBytes},
		{form, "title", "maxLength", document.MaxTitleBytes},
		{reindex, "collection", "pattern", document.CollectionPattern},
		{reindex, "model", "maxLength", document.MaxModelBytes},
		{reindex, "dimensions", "maximum", vector.MaxDimensions},
		{reindex, "chunk_tokens", "minimum", document.MinChunkTokens},
		{reindex, "chunk_tokens", "maximum", document.MaxChunkTokens},
		{reindex, "chunk_overlap", "maximum", document.MaxChunkTokens / 2},
		{reindex, "key_prefix", "maxLength", document.MaxKeyBytes},
		{reindex, "document_ids", "maxItems", document.MaxReindexDocuments},
		{search, "collection", "default", document.DefaultCollection},
		{search, "limit", "default", document.DefaultHits},
		{search, "limit", "maximum", document.MaxHits},
	} {
		// Numbers of JSON are float64.
		if got := member(t, limit.of, limit.field)[limit.keyword]; fmt.Sprint(got) != fmt.Sprint(limit.want) {
			t.Errorf("%s of %s is %v; want %v, as is checked", limit.keyword, limit.field, got, limit.want)
		}
	}
}

// member returns the object at the end of a path of names.
func member(t *testing.T, object map[string]any, path ...string) map[string]any {
	t.Helper()
	for i, name := range path {
		next, ok := object[name].(map[string]any)
		if !ok {
			t.Fatalf("the description has no object at %v", path[:i+1])
		}
		object = next
	}
	return object
}
