package fault_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/seed-7a112592/gristmill/internal/test/fakeprovider"
	"github.com/seed-7a112592/gristmill/internal/test/program"
	"github.com/seed-7a112592/gristmill/pkg/document"
)

// Fifty parallel uploads of the same bytes to the same key create one document and one job, and
// leave one object.
func TestParallelUploads(t *testing.T) {
	t.Parallel()
	for name, idempotencyKey := range map[string]string{"without an idempotency key": "", "with one": "once"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := newTestEnv(t, sharedServers(t), fakeprovider.Options{})
			m.startAll()
			m.client() // waits until the API listens
			f := newFile(m.random, "same.md", 40, 3)
			var answers [50]uploadAnswer
			var uploads sync.WaitGroup
			for i := range answers {
				uploads.Go(func() { answers[i] = m.put(f, idempotencyKey) })
			}
			uploads.Wait()
			job := answers[0].accepted.Job.ID
			statuses := map[int]int{}
			for _, a := range answers {
				statuses[a.status]++
				if a.status/100 != 2 || a.accepted.Job.ID != job || job == uuid.Nil {
					t.Errorf("answers %d with job %s and %d with job %s", answers[0].status, job, a.status, a.accepted.Job.ID)
				}
			}
			t.Logf("statuses: %v", statuses)
			if n := statuses[http.StatusAccepted]; idempotencyKey == "" && n != 1 || idempotencyKey != "" && n != len(answers) {
				t.Errorf("%d of %d answers have status 202", n, len(answers))
			}

			if idempotencyKey != "" { // the same key with another body
				other := newFile(m.random, f.key, 1, 1)
				if a := m.put(other, idempotencyKey); a.status != http.StatusConflict || a.problem.Code != "conflict" {
					t.Errorf("another body with the same idempotency key: %d %+v", a.status, a.problem)
				}
			}
			if _, err := m.uploads.Upload(t.Context(), m.client(), f.key, f.text); err != nil { // for the audit
				t.Errorf("another upload of the same bytes: %v", err)
			}
			m.audit(time.Minute, 0)
			for table, want := range map[string]int{"documents": 1, "versions": 1, "jobs": 1, "tasks": 2} {
				if n := m.direct.QueryInt(`SELECT count(*) FROM ` + table); n != want {
					t.Errorf("%d %s, want %d", n, table, want)
				}
			}
		})
	}
}

// uploadAnswer is the answer to an upload.
type uploadAnswer struct {
	status   int
	accepted document.Accepted // if the status is 2xx
	problem  struct{ Code, Detail string }
}

// put uploads a file once, with an idempotency key unless it is empty.
func (m *testEnv) put(f file, idempotencyKey string) (a uploadAnswer) {
	m.t.Helper()
	request, err := http.NewRequestWithContext(m.t.Context(), http.MethodPut, m.api.URL()+"/v1/documents?key="+f.key, strings.NewReader(f.text))
	if err != nil {
		m.t.Error(err)
		return a
	}
	request.Header.Set("Authorization", "Bearer "+program.APIKey)
	if idempotencyKey != "" {
		request.Header.Set("Idempotency-Key", idempotencyKey)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		m.t.Error(err)
		return a
	}
	defer response.Body.Close()
	a.status = response.StatusCode
	var answer any = &a.accepted
	if a.status >= http.StatusBadRequest {
		answer = &a.problem
	}
	if err := json.NewDecoder(response.Body).Decode(answer); err != nil {
		m.t.Errorf("answer %d: %v", a.status, err)
	}
	return a
}
