package reindex_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"github.com/seed-7a112592/gristmill/internal/test/audit"
	"github.com/seed-7a112592/gristmill/pkg/document"
)

// Impossible requests are refused with the reason and change nothing.
func TestBadRequests(t *testing.T) {
	t.Parallel()
	m := newTestEnv(t, 10*time.Millisecond)
	m.upload([]file{plainFile("a.md", 8, 6)})
	unknownID := uuid.NewString()
	type body map[string]any

	for name, test := range map[string]struct {
		status   int
		code     string
		body     body
		detail   string
		requests int // number sent to the provider
	}{
		"an unknown model":                          {400, "bad_request", body{"model": "unknown", "dimensions": 64}, "`unknown` does not exist", 1},
		"dimensions that the model does not return": {400, "bad_request", body{"model": fixedModel.Name, "dimensions": 64}, "48", 1},
		"the same as a dry run":                     {400, "bad_request", body{"model": fixedModel.Name, "dimensions": 64, "dry_run": true}, "48", 1},
		"an unknown collection":                     {404, "not_found", body{"collection": "elsewhere"}, "elsewhere", 0},
		"an unknown document":                       {404, "not_found", body{"document_ids": []string{unknownID}}, unknownID, 0},
		"an unknown document, dry run": {404, "not_found",
			body{"document_ids": []string{unknownID}, "dry_run": true}, unknownID, 0},
		"a model for one key prefix":   {400, "bad_request", body{"model": largeModel.Name, "dimensions": 1536, "key_prefix": "a"}, "key_prefix", 0},
		"a chunking for one document":  {400, "bad_request", body{"chunk_tokens": 200, "document_ids": []string{unknownID}}, "document_ids", 0},
		"a negative passage length":    {400, "bad_request", body{"chunk_tokens": -1}, "chunk_tokens", 0},
		"passages that are too long":   {400, "bad_request", body{"chunk_tokens": 100_000}, "chunk_tokens", 0},
		"an overlap that is too large": {400, "bad_request", body{"chunk_overlap": 300}, "chunk_overlap", 0},
		"a negative overlap":           {400, "bad_request", body{"chunk_overlap": -1}, "chunk_overlap", 0},
		"negative dimensions":          {400, "bad_request", body{"dimensions": -5}, "dimensions", 0},
		"too many dimensions":          {400, "bad_request", body{"dimensions": 20_000}, "dimensions", 0},
		"an invalid model name":        {400, "bad_request", body{"model": "a\tb\n"}, "model", 0},
		"a model that is a number":     {400, "bad_request", body{"model": 7}, "model", 0},
		"an invalid collection name":   {400, "bad_request", body{"collection": "../x"}, "collection", 0},
		"an invalid document id":       {400, "bad_request", body{"document_ids": []string{"one"}}, "document_ids", 0},
		"document_id and document_ids": {400, "bad_request", body{"document_id": unknownID, "document_ids": []string{unknownID}}, "document_id", 0},
		"an unknown field":             {400, "bad_request", body{"modle": largeModel.Name}, "modle", 0},
	} {
		t.Run(name, func(t *testing.T) {
			if _, named := test.body["collection"]; !named {
				test.body["collection"] = collection
			}
			m.checkUnchanged(t, test.requests, func() {
				if detail := m.wantRefused(test.status, test.code, "/v1/reindexes", test.body); !strings.Contains(detail, test.detail) {
					t.Errorf("refused with %q, want a detail that contains %q", detail, test.detail)
				}
			})
		})
	}
}

// Each state of a reindex allows only some operations.
func TestConflictingReindexes(t *testing.T) {
	t.Parallel()
	m := newTestEnv(t, 10*time.Millisecond)
	m.upload(corpusFiles(t, 8))
	ctx, c := t.Context(), m.client()
	refused := func(reindex document.Reindex, verbs ...string) {
		t.Helper()
		for _, verb := range verbs {
			m.checkUnchanged(t, 0, func() {
				detail := m.wantRefused(http.StatusConflict, "conflict", "/v1/reindexes/"+reindex.ID.String()+"/"+verb, nil)
				t.Logf("%s a %s reindex: %s", verb, reindex.State, detail)
			})
		}
	}

	first := m.begin(toModel(largeModel))
	first = m.must(c.PauseReindex(ctx, first.ID))
	for name, second := range map[string]map[string]any{
		"the same model":   {"collection": collection, "model": largeModel.Name, "dimensions": largeModel.Dimensions},
		"a chunking":       {"collection": collection, "chunk_tokens": 100},
		"without a change": {"collection": collection, "force": true},
		"all collections":  {},
	} {
		m.checkUnchanged(t, 0, func() {
			if detail := m.wantRefused(http.StatusConflict, "conflict", "/v1/reindexes", second); !strings.Contains(detail, first.ID.String()) {
				t.Errorf("%s is refused with %q, want a detail that contains %s", name, detail, first.ID)
			}
		})
	}
	refused(first, "revert")
	first = m.must(c.CancelReindex(ctx, first.ID))
	refused(first, "revert", "pause", "resume")

	nothing := m.awaitSuccess(m.begin(document.ReindexRequest{Collection: collection}).ID)
	refused(nothing, "revert", "pause", "resume", "cancel")
	done := m.awaitSuccess(m.begin(toModel(largeModel)).ID)
	refused(done, "pause", "resume", "cancel")
	// After this, the active space is not the one that the first reindex built.
	last := m.awaitSuccess(m.begin(document.ReindexRequest{Collection: collection, Tokens: 200}).ID)
	refused(done, "revert")
	m.must(c.RevertReindex(ctx, last.ID))
	refused(last, "revert", "pause", "resume", "cancel")
	m.wantActiveModel(largeModel)

	unknown := "/v1/reindexes/" + uuid.NewString()
	for _, verb := range []string{"pause", "resume", "cancel", "revert"} {
		m.wantRefused(http.StatusNotFound, "not_found", unknown+"/"+verb, nil)
	}
	m.audit(10) // probes
}

// checkUnchanged checks that do changes no stored data and sends the given number of requests to
// the provider.
func (m *testEnv) checkUnchanged(t *testing.T, wantRequests int, do func()) {
	t.Helper()
	m.awaitIdle()
	before, requests := snapshot(m), m.provider.Counts().EmbeddingRequests
	do()
	m.awaitIdle()
	if diff := cmp.Diff(before, snapshot(m)); diff != "" {
		t.Errorf("a refused request changed stored data (-before +after):\n%s", diff)
	}
	if n := m.provider.Counts().EmbeddingRequests - requests; n != wantRequests {
		t.Errorf("the provider got %d requests, want %d", n, wantRequests)
	}
}

// awaitIdle waits until no task and no reindex is running.
func (m *testEnv) awaitIdle() {
	m.t.Helper()
	audit.AwaitIdle(m.t, m.installation, time.Minute)
}
