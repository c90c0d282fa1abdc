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

// What cannot be done is refused with what is wrong, and changes nothing.
func TestBadRequests(t *testing.T) {
	t.Parallel()
	m := newTestEnv(t, 10*time.Millisecond)
	m.upload([]file{plainFile("a.md", 8, 6)})
	nobody := uuid.NewString()
	type body map[string]any

	for name, test := range map[string]struct {
		status int
		code   string
		body   body
		says   string
		asks   int // requests to the provider
	}{
		"a model that is not there":      {400, "bad_request", body{"model": "nobody", "dimensions": 64}, "`nobody` does not exist", 1},
		"a dimension it does not return": {400, "bad_request", body{"model": fixedModel.Name, "dimensions": 64}, "48", 1},
		"the same, to be reckoned only":  {400, "bad_request", body{"model": fixedModel.Name, "dimensions": 64, "dry_run": true}, "48", 1},
		"no such collection":             {404, "not_found", body{"collection": "elsewhere"}, "elsewhere", 0},
		"no such document":               {404, "not_found", body{"document_ids": []string{nobody}}, nobody, 0},
		"no such document, to be reckoned only": {404, "not_found",
			body{"document_ids": []string{nobody}, "dry_run": true}, nobody, 0},
		"a model for some keys":           {400, "bad_request", body{"model": largeModel.Name, "dimensions": 1536, "key_prefix": "a"}, "key_prefix", 0},
		"a chunking for some documents":   {400, "bad_request", body{"chunk_tokens": 200, "document_ids": []string{nobody}}, "document_ids", 0},
		"passages of no length":           {400, "bad_request", body{"chunk_tokens": -1}, "chunk_tokens", 0},
		"passages that are too long":      {400, "bad_request", body{"chunk_tokens": 100_000}, "chunk_tokens", 0},
		"an overlap that is too large":    {400, "bad_request", body{"chunk_overlap": 300}, "chunk_overlap", 0},
		"an overlap below nothing":        {400, "bad_request", body{"chunk_overlap": -1}, "chunk_overlap", 0},
		"vectors below nothing":           {400, "bad_request", body{"dimensions": -5}, "dimensions", 0},
		"vectors that are too long":       {400, "bad_request", body{"dimensions": 20_000}, "dimensions", 0},
		"a model that is no word":         {400, "bad_request", body{"model": "a\tb\n"}, "model", 0},
		"a model that is a number":        {400, "bad_request", body{"model": 7}, "model", 0},
		"a collection that is none":       {400, "bad_request", body{"collection": "../x"}, "collection", 0},
		"documents that are none":         {400, "bad_request", body{"document_ids": []string{"one"}}, "document_ids", 0},
		"one document and others":         {400, "bad_request", body{"document_id": nobody, "document_ids": []string{nobody}}, "document_id", 0},
		"something that is no part of it": {400, "bad_request", body{"modle": largeModel.Name}, "modle", 0},
	} {
		t.Run(name, func(t *testing.T) {
			if _, named := test.body["collection"]; !named {
				test.body["collection"] = collection
			}
			m.checkUnchanged(t, test.asks, func() {
				if says := m.wantRefused(test.status, test.code, "/v1/reindexes", test.body); !strings.Contains(says, test.says) {
					t.Errorf("refused with %q, want what names %q", says, test.says)
				}
			})
		})
	}
}

// Each state of a reindex allows some things and no others.
func TestReindexesThatAreInTheWay(t *testing.T) {
	t.Parallel()
	m := newTestEnv(t, 10*time.Millisecond)
	m.upload(corpusFiles(t, 8))
	ctx, c := t.Context(), m.client()
	refused := func(reindex document.Reindex, verbs ...string) {
		t.Helper()
		for _, verb := range verbs {
			m.checkUnchanged(t, 0, func() {
				says := m.wantRefused(http.StatusConflict, "conflict", "/v1/reindexes/"+reindex.ID.String()+"/"+verb, nil)
				t.Logf("%s of one that is %s: %s", verb, reindex.State, says)
			})
		}
	}

	first := m.begin(toModel(largeModel))
	first = m.must(c.PauseReindex(ctx, first.ID))
	for name, second := range map[string]map[string]any{
		"the same":      {"collection": collection, "model": largeModel.Name, "dimensions": largeModel.Dimensions},
		"another":       {"collection": collection, "chunk_tokens": 100},
		"one of itself": {"collection": collection, "force": true},
		"one of all":    {},
	} {
		m.checkUnchanged(t, 0, func() {
			if says := m.wantRefused(http.StatusConflict, "conflict", "/v1/reindexes", second); !strings.Contains(says, first.ID.String()) {
				t.Errorf("%s is refused with %q, want what names %s", name, says, first.ID)
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
	// What is live by now is not what the first one built.
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

// checkUnchanged does something that must change nothing that is stored, and ask the
// provider so many times.
func (m *testEnv) checkUnchanged(t *testing.T, asks int, do func()) {
	t.Helper()
	m.awaitIdle()
	before, requests := snapshot(m), m.provider.Counts().EmbeddingRequests
	do()
	m.awaitIdle()
	if diff := cmp.Diff(before, snapshot(m)); diff != "" {
		t.Errorf("what was refused changed (-before +after):\n%s", diff)
	}
	if n := m.provider.Counts().EmbeddingRequests - requests; n != asks {
		t.Errorf("the provider was asked %d times, want %d", n, asks)
	}
}

// awaitIdle waits until nothing goes on.
func (m *testEnv) awaitIdle() {
	m.t.Helper()
	audit.AwaitIdle(m.t, m.installation, time.Minute)
}
