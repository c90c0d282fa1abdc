package reindex_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	"github.com/google/uuid"

	"github.com/seed-7a112592/gristmill/internal/test/await"
	"github.com/seed-7a112592/gristmill/pkg/client"
	"github.com/seed-7a112592/gristmill/pkg/document"
)

// toModel returns a request for a reindex with another model.
func toModel(model document.Model) document.ReindexRequest {
	return document.ReindexRequest{Collection: collection, Model: model}
}

// begin starts a reindex of the collection.
func (m *testEnv) begin(request document.ReindexRequest) document.Reindex {
	m.t.Helper()
	started, err := m.client().BeginReindex(m.t.Context(), request)
	if err != nil || len(started) != 1 {
		m.t.Fatalf("begin %+v: %+v, %v", request, started, err)
	}
	return started[0]
}

// estimate does a dry run.
func (m *testEnv) estimate(request document.ReindexRequest) document.ReindexEstimate {
	m.t.Helper()
	estimates, err := m.client().EstimateReindex(m.t.Context(), request)
	if err != nil || len(estimates) != 1 {
		m.t.Fatalf("estimate %+v: %+v, %v", request, estimates, err)
	}
	return estimates[0]
}

// reindex returns a reindex in its current state.
func (m *testEnv) reindex(id uuid.UUID) document.Reindex {
	m.t.Helper()
	return m.must(m.client().Reindex(m.t.Context(), id, 0))
}

// must returns reindex, and fails the test if err is not nil.
func (m *testEnv) must(reindex document.Reindex, err error) document.Reindex {
	m.t.Helper()
	if err != nil {
		m.t.Fatal(err)
	}
	return reindex
}

// awaitSuccess waits until a reindex has ended. It must have succeeded.
func (m *testEnv) awaitSuccess(id uuid.UUID) document.Reindex {
	m.t.Helper()
	ctx, cancel := context.WithTimeout(m.t.Context(), 4*time.Minute)
	defer cancel()
	reindex, err := m.client().AwaitReindex(ctx, id, 10*time.Second, nil)
	if err != nil || reindex.State != document.JobSucceeded {
		m.t.Fatalf("reindex %s is %+v, %v; read again: %+v", id, reindex, err, m.reindex(id))
	}
	m.t.Logf("reindex of %s to %s with %d dimensions: %+v", reindex.Change, reindex.Model, reindex.Dimensions, reindex.Progress)
	return reindex
}

// awaitProgress waits until a share of the documents' bytes is done.
func (m *testEnv) awaitProgress(id uuid.UUID, share float64) {
	m.t.Helper()
	var reindex document.Reindex
	await.Within(m.t, 4*time.Minute, "the reindex reaches the progress", func() bool {
		reindex = m.reindex(id)
		if reindex.State.Ended() {
			m.t.Fatalf("the reindex has ended before %.0f %%: %+v", share*100, reindex)
		}
		p := reindex.Progress
		return p.Bytes > 0 && float64(p.BytesDone) >= share*float64(p.Bytes)
	})
	m.t.Logf("at %.0f %%: %+v", share*100, reindex.Progress)
}

// wantRefused sends a request that must be refused with the given status and code. It returns the
// detail and the errors of the problem.
func (m *testEnv) wantRefused(status int, code, path string, body map[string]any) string {
	m.t.Helper()
	got, _, text, err := m.program("api").Send(m.t.Context(), http.MethodPost, path, body)
	if err != nil {
		m.t.Fatal(err)
	}
	var problem client.Problem
	if err := json.Unmarshal(text, &problem); err != nil || got != status || problem.Code != code || problem.Detail == "" {
		m.t.Errorf("POST %s %v answered %d %s, want %d with code %s (%v)", path, body, got, text, status, code, err)
	}
	return problem.Detail + fmt.Sprint(problem.Errors)
}

// wantActiveModel checks that the active space of the collection has the given model.
func (m *testEnv) wantActiveModel(model document.Model) {
	m.t.Helper()
	if m.installation.QueryInt(`SELECT count(*) FROM collections c JOIN spaces s ON s.id = c.active_space
	                 WHERE c.name = $1 AND s.model = $2 AND s.dimensions = $3`, collection, model.Name, model.Dimensions) != 1 {
		m.t.Errorf("the active space of %s does not have the model %s", collection, model.Name)
	}
}
