package httpapi_test

import (
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"github.com/seed-7a112592/gristmill/pkg/document"
)

// begin begins a reindex of one collection.
func begin(t *testing.T, h http.Handler, body string) document.Reindex {
	t.Helper()
	w := do(h, "POST", "/v1/reindexes", "application/json", body)
	reindex := decode[document.Reindex](t, w)
	if want := "/v1/reindexes/" + reindex.ID.String(); w.Code != http.StatusAccepted || w.Header().Get("Location") != want {
		t.Fatalf("got %d %s with Location %q, want 202 and %q", w.Code, w.Body, w.Header().Get("Location"), want)
	}
	return reindex
}

// dryRun adds dry_run to the body of a request.
func dryRun(body string) string {
	return strings.Replace(strings.TrimSuffix(body, "}")+`,"dry_run":true}`, "{,", "{", 1)
}

func TestReindexRequests(t *testing.T) {
	t.Parallel()
	one, two := uuid.MustParse(aUUID), uuid.MustParse("0199c7a4-0000-7000-8000-000000000002")
	none := 0
	for name, test := range map[string]struct {
		body string
		want document.ReindexRequest
	}{
		"a collection": {`{"collection":"docs"}`, document.ReindexRequest{Collection: "docs"}},
		"all":          {`{}`, document.ReindexRequest{}},
		"another space": {
			`{"collection":"docs","model":"m","dimensions":1536,"chunk_tokens":200,"chunk_overlap":0}`,
			document.ReindexRequest{Collection: "docs", Model: document.Model{Name: "m", Dimensions: 1536}, Tokens: 200, Overlap: &none},
		},
		"part of it":                  {`{"key_prefix":"a/","force":true}`, document.ReindexRequest{KeyPrefix: "a/", Force: true}},
		"one document":                {`{"document_id":"` + aUUID + `"}`, document.ReindexRequest{Collection: "default", DocumentIDs: []uuid.UUID{one}}},
		"documents":                   {`{"document_ids":["` + one.String() + `","` + two.String() + `"]}`, document.ReindexRequest{Collection: "default", DocumentIDs: []uuid.UUID{one, two}}},
		"a document with the zero id": {`{"document_id":"` + uuid.Nil.String() + `"}`, document.ReindexRequest{Collection: "default", DocumentIDs: []uuid.UUID{uuid.Nil}}},
		"documents of a collection":   {`{"collection":"docs","document_ids":["` + aUUID + `"]}`, document.ReindexRequest{Collection: "docs", DocumentIDs: []uuid.UUID{one}}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFake()
			h := newHandler(t, configOf(t, f))
			do(h, "POST", "/v1/reindexes", "application/json", test.body)
			do(h, "POST", "/v1/reindexes", "application/json", dryRun(test.body))
			if diff := cmp.Diff([]document.ReindexRequest{test.want}, f.beginRequests); diff != "" {
				t.Errorf("begun (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff([]document.ReindexRequest{test.want}, f.estimateRequests); diff != "" {
				t.Errorf("estimated (-want +got):\n%s", diff)
			}
		})
	}
}

func TestReindexResponses(t *testing.T) {
	t.Parallel()
	f := newFake()
	h := newHandler(t, configOf(t, f))
	const another = `{"collection":"docs","model":"m","dimensions":1536}`

	dry := do(h, "POST", "/v1/reindexes", "application/json", dryRun(another))
	estimate := decode[document.ReindexEstimate](t, dry)
	if dry.Code != http.StatusOK || estimate.Collection != "docs" || estimate.Change != document.ChangeModel || len(f.reindexes) != 0 {
		t.Errorf("dry run: got %d %s and %d reindexes; want 200, the estimate and no reindex", dry.Code, dry.Body, len(f.reindexes))
	}
	dry = do(h, "POST", "/v1/reindexes", "application/json", dryRun(`{}`))
	if list := decode[document.List[document.ReindexEstimate]](t, dry); dry.Code != http.StatusOK || len(list.Items) != len(collections) || dry.Header().Get("Location") != "" {
		t.Errorf("dry run of all: got %d %s, want 200 and an estimate of each collection", dry.Code, dry.Body)
	}

	first := begin(t, h, another)
	wantProblem(t, do(h, "POST", "/v1/reindexes", "application/json", another), 409, "conflict", first.ID.String())
	f.setReindexState(first.ID, document.JobCancelled)
	all := do(h, "POST", "/v1/reindexes", "application/json", `{}`)
	if list := decode[document.List[document.Reindex]](t, all); all.Code != http.StatusAccepted || len(list.Items) != len(collections) || all.Header().Get("Location") != "" {
		t.Errorf("all: got %d %s, want 202 and a reindex of each collection", all.Code, all.Body)
	}

	wantProblem(t, do(h, "POST", "/v1/reindexes", "application/json", `{"collection":"none"}`), 404, "not_found", "none")
	wantProblem(t, do(h, "POST", "/v1/reindexes", "application/json", `{"model":"unknown"}`), 400, "bad_request", "unknown")
	wantProblem(t, do(h, "POST", "/v1/reindexes", "application/json", `{"model":"`+strings.Repeat("ü", 101)+`"}`), 400, "bad_request", "202 bytes")
	wantProblem(t, do(h, "POST", "/v1/reindexes", "application/json", `{"document_id":"`+aUUID+`","document_ids":["`+aUUID+`"]}`), 400, "bad_request", "not both")
	unavailable := do(h, "POST", "/v1/reindexes", "application/json", `{"model":"down"}`)
	wantProblem(t, unavailable, 503, "unavailable", "provider")
	if unavailable.Header().Get("Retry-After") == "" {
		t.Error("no Retry-After")
	}
}

func TestReindexes(t *testing.T) {
	t.Parallel()
	f := newFake()
	h := newHandler(t, configOf(t, f))
	if got, want := do(h, "GET", "/v1/reindexes", "", "").Body.String(), "{\"items\":[]}\n"; got != want {
		t.Errorf("no reindexes: got %q, want %q", got, want)
	}
	first, second := begin(t, h, `{"collection":"docs"}`), begin(t, h, `{"collection":"default"}`)
	first = f.setReindexState(first.ID, document.JobPaused)
	for query, want := range map[string][]document.Reindex{
		"":                                 {second, first},
		"?collection=docs":                 {first},
		"?state=paused":                    {first},
		"?state=queued&collection=docs":    {},
		"?collection=default&state=queued": {second},
	} {
		list := decode[document.List[document.Reindex]](t, do(h, "GET", "/v1/reindexes"+query, "", ""))
		if diff := cmp.Diff(want, list.Items); diff != "" {
			t.Errorf("reindexes%s (-want +got):\n%s", query, diff)
		}
	}
	if got := decode[document.Reindex](t, do(h, "GET", "/v1/reindexes/"+first.ID.String(), "", "")); !cmp.Equal(got, first) {
		t.Errorf("got %+v, want %+v", got, first)
	}
	wantProblem(t, do(h, "GET", "/v1/reindexes?state=unknown", "", ""), 400, "bad_request", "state")
	wantProblem(t, do(h, "GET", "/v1/reindexes?cursor=x", "", ""), 400, "bad_request", "cursor")
	wantProblem(t, do(h, "GET", "/v1/reindexes/"+aUUID, "", ""), 404, "not_found", aUUID)
	wantProblem(t, do(h, "GET", "/v1/reindexes/"+first.ID.String()+"?wait=soon", "", ""), 400, "bad_request", "query.wait")
}

func TestReindexControl(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		state  document.JobState
		call   string
		status int
		want   document.JobState
	}{
		"pause a running one":   {document.JobRunning, "pause", 200, document.JobPaused},
		"pause a finished one":  {document.JobSucceeded, "pause", 409, document.JobSucceeded},
		"resume a paused one":   {document.JobPaused, "resume", 200, document.JobQueued},
		"resume a failed one":   {document.JobFailed, "resume", 200, document.JobQueued},
		"resume a finished one": {document.JobSucceeded, "resume", 409, document.JobSucceeded},
		"cancel a paused one":   {document.JobPaused, "cancel", 200, document.JobCancelled},
		"cancel a finished one": {document.JobSucceeded, "cancel", 409, document.JobSucceeded},
		"revert a finished one": {document.JobSucceeded, "revert", 200, document.JobQueued},
		"revert a running one":  {document.JobRunning, "revert", 409, document.JobRunning},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFake()
			h := newHandler(t, configOf(t, f))
			id := begin(t, h, `{"collection":"docs"}`).ID
			f.setReindexState(id, test.state)
			w := do(h, "POST", "/v1/reindexes/"+id.String()+"/"+test.call, "", "")
			after := do(h, "GET", "/v1/reindexes/"+id.String(), "", "")
			if test.status != http.StatusOK {
				wantProblem(t, w, test.status, "conflict", id.String())
			} else if w.Code != http.StatusOK || w.Body.String() != after.Body.String() {
				t.Errorf("got %d %s, want 200 and the changed reindex: %s", w.Code, w.Body, after.Body)
			}
			if reindex := decode[document.Reindex](t, after); reindex.State != test.want {
				t.Errorf("the reindex is %s, want %s", reindex.State, test.want)
			}
		})
	}
	h := newHandler(t, configOf(t, newFake()))
	for _, call := range []string{"pause", "resume", "cancel", "revert"} {
		wantProblem(t, do(h, "POST", "/v1/reindexes/"+aUUID+"/"+call, "", ""), 404, "not_found", aUUID)
		wantProblem(t, do(h, "POST", "/v1/reindexes/x/"+call, "", ""), 400, "bad_request", "path.id")
	}
}

// A paused reindex has not ended, so a request that waits for it continues to wait.
func TestWaitForReindex(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		h := newHandler(t, configOf(t, f))
		id := begin(t, h, `{"collection":"docs"}`).ID
		start := time.Now()
		response := make(chan document.Reindex, 1)
		go func() {
			response <- decode[document.Reindex](t, do(h, "GET", "/v1/reindexes/"+id.String()+"?wait=30s", "", ""))
		}()
		for _, state := range []document.JobState{document.JobRunning, document.JobPaused, document.JobSucceeded} {
			<-time.After(500 * time.Millisecond)
			f.setReindexState(id, state)
			f.changes <- struct{}{}
		}
		if reindex := <-response; reindex.State != document.JobSucceeded || time.Since(start) != 1500*time.Millisecond {
			t.Errorf("got %s after %s, want succeeded after 1.5s", reindex.State, time.Since(start))
		}
	})
}
