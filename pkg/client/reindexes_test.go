package client_test

import (
	"context"
	"fmt"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"github.com/seed-7a112592/gristmill/pkg/client"
	"github.com/seed-7a112592/gristmill/pkg/document"
)

func TestReindexCalls(t *testing.T) {
	t.Parallel()
	id, none := uuid.MustParse("0199c7a4-0000-7000-8000-000000000003"), 0
	const path = "/v1/reindexes/0199c7a4-0000-7000-8000-000000000003"
	for name, test := range map[string]exchange{
		"begin": {
			call: func(ctx context.Context, c *client.Client) (any, error) {
				return c.BeginReindex(ctx, document.ReindexRequest{
					Collection: "c", Model: document.Model{Name: "m", Dimensions: 3}, Tokens: 200, Overlap: &none,
					KeyPrefix: "a/", DocumentIDs: []uuid.UUID{docID}, Force: true,
				})
			},
			request: "POST /v1/reindexes", contentType: "application/json",
			body: `{"collection":"c","model":"m","dimensions":3,"chunk_tokens":200,"chunk_overlap":0,"key_prefix":"a/",` +
				`"document_ids":["` + docID.String() + `"],"force":true}`,
			answer: `{"collection":"c","state":"queued"}`,
			want:   []document.Reindex{{Collection: "c", State: document.JobQueued}},
		},
		"begin all": {
			call: func(ctx context.Context, c *client.Client) (any, error) {
				return c.BeginReindex(ctx, document.ReindexRequest{})
			},
			request: "POST /v1/reindexes", contentType: "application/json", body: `{}`,
			answer: `{"items":[{"collection":"a"},{"collection":"b"}]}`,
			want:   []document.Reindex{{Collection: "a"}, {Collection: "b"}},
		},
		"begin all without collections": {
			call: func(ctx context.Context, c *client.Client) (any, error) {
				return c.BeginReindex(ctx, document.ReindexRequest{})
			},
			request: "POST /v1/reindexes", contentType: "application/json", body: `{}`,
			answer: `{"items":[]}`, want: []document.Reindex{},
		},
		"estimate": {
			call: func(ctx context.Context, c *client.Client) (any, error) {
				return c.EstimateReindex(ctx, document.ReindexRequest{Collection: "c"})
			},
			request: "POST /v1/reindexes", contentType: "application/json", body: `{"collection":"c","dry_run":true}`,
			answer: `{"collection":"c","passages":7}`, want: []document.ReindexEstimate{{Collection: "c", Passages: 7}},
		},
		"list": {
			call: func(ctx context.Context, c *client.Client) (any, error) {
				return c.Reindexes(ctx, document.ReindexFilter{Collection: "c", State: document.JobPaused}, document.Page{Limit: 3, Cursor: "x"})
			},
			request: "GET /v1/reindexes?collection=c&cursor=x&limit=3&state=paused",
			answer:  `{"items":[{"collection":"c"}],"next_cursor":"y"}`,
			want:    document.List[document.Reindex]{Items: []document.Reindex{{Collection: "c"}}, NextCursor: "y"},
		},
		"one": {
			call:    func(ctx context.Context, c *client.Client) (any, error) { return c.Reindex(ctx, id, 90*time.Second) },
			request: "GET " + path + "?wait=1m30s", answer: `{"collection":"c"}`, want: document.Reindex{Collection: "c"},
		},
		"pause": {
			call:    func(ctx context.Context, c *client.Client) (any, error) { return c.PauseReindex(ctx, id) },
			request: "POST " + path + "/pause", answer: `{"state":"paused"}`, want: document.Reindex{State: document.JobPaused},
		},
		"resume": {
			call:    func(ctx context.Context, c *client.Client) (any, error) { return c.ResumeReindex(ctx, id) },
			request: "POST " + path + "/resume", answer: `{"state":"queued"}`, want: document.Reindex{State: document.JobQueued},
		},
		"cancel": {
			call:    func(ctx context.Context, c *client.Client) (any, error) { return c.CancelReindex(ctx, id) },
			request: "POST " + path + "/cancel", answer: `{"state":"cancelled"}`, want: document.Reindex{State: document.JobCancelled},
		},
		"revert": {
			call:    func(ctx context.Context, c *client.Client) (any, error) { return c.RevertReindex(ctx, id) },
			request: "POST " + path + "/revert", answer: `{"stage":"reverted"}`, want: document.Reindex{Stage: document.StageReverted},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test.run(t)
		})
	}
}

// TestAwaitReindex checks that neither a restart of the server nor a pause ends the wait.
func TestAwaitReindex(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		respondState := func(state document.JobState) func() (*http.Response, error) {
			return func() (*http.Response, error) {
				return newResponse(200, "application/json", fmt.Sprintf(`{"state":%q}`, state)), nil
			}
		}
		s := &scriptedTransport{steps: []func() (*http.Response, error){
			respondState(document.JobRunning), respondEOF, respondHalf, respondProblem(503, "3"),
			respondState(document.JobPaused), respondState(document.JobRunning), respondState(document.JobSucceeded),
		}}
		c := newClient(t, s)
		var seen []document.JobState
		reindex, err := c.AwaitReindex(t.Context(), jobID, time.Second, func(r document.Reindex) { seen = append(seen, r.State) })
		if err != nil || reindex.State != document.JobSucceeded {
			t.Errorf("got %s, %v; want succeeded", reindex.State, err)
		}
		if diff := cmp.Diff([]document.JobState{document.JobRunning, document.JobPaused, document.JobRunning}, seen); diff != "" {
			t.Errorf("reported (-want +got):\n%s", diff)
		}
	})
}
