package httpapi_test

import (
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"github.com/seed-7a112592/gristmill/internal/server/httpapi"
	"github.com/seed-7a112592/gristmill/pkg/document"
)

func TestJobs(t *testing.T) {
	t.Parallel()
	f := newFake()
	f.overlay = func(job *document.Job) { job.Tasks.Knowledge.Passages = 7 }
	h := newHandler(t, configOf(t, f))
	if got, want := do(h, "GET", "/v1/jobs", "", "").Body.String(), "{\"items\":[]}\n"; got != want {
		t.Errorf("no jobs: got %q, want %q", got, want)
	}
	first, second := put(t, h, "a.md", "# a"), put(t, h, "b.md", "# b")
	f.setJobState(second.Job.ID, document.JobSucceeded)

	for query, want := range map[string]uuid.UUID{
		"state=succeeded": second.Job.ID,
		"state=queued":    first.Job.ID,
		"document_id=" + first.Document.ID.String(): first.Job.ID,
	} {
		list := decode[document.List[document.Job]](t, do(h, "GET", "/v1/jobs?"+query, "", ""))
		if len(list.Items) != 1 || list.Items[0].ID != want {
			t.Errorf("jobs with %s: got %+v, want only %s", query, list.Items, want)
		}
	}
	// Only a job that has not ended gets progress that is not in the database.
	for id, want := range map[uuid.UUID]int64{first.Job.ID: 7, second.Job.ID: 0} {
		job := decode[document.Job](t, do(h, "GET", "/v1/jobs/"+id.String(), "", ""))
		if job.Tasks.Knowledge.Passages != want {
			t.Errorf("job %s has %d passages, want %d", job.State, job.Tasks.Knowledge.Passages, want)
		}
	}
	wantProblem(t, do(h, "GET", "/v1/jobs/"+first.Document.ID.String()+"?wait=1s", "", ""), 404, "not_found", "")
}

// The list of failed jobs has the error of each.
func TestFailedJobsHaveTheirError(t *testing.T) {
	t.Parallel()
	f := newFake()
	h := newHandler(t, configOf(t, f))
	put(t, h, "a.md", "# a")
	failed := f.setJobState(put(t, h, "b.md", "# b").Job.ID, document.JobFailed)
	list := decode[document.List[document.Job]](t, do(h, "GET", "/v1/jobs?state=failed", "", ""))
	if diff := cmp.Diff([]document.Job{failed}, list.Items); failed.Error == "" || diff != "" {
		t.Errorf("failed jobs (-want +got):\n%s", diff)
	}
}

func TestJobControl(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		state  document.JobState
		call   string
		status int
		want   document.JobState
	}{
		"cancel a queued job":    {document.JobQueued, "cancel", 200, document.JobCancelled},
		"cancel a running job":   {document.JobRunning, "cancel", 200, document.JobCancelled},
		"cancel a cancelled job": {document.JobCancelled, "cancel", 200, document.JobCancelled},
		"cancel a finished job":  {document.JobSucceeded, "cancel", 409, document.JobSucceeded},
		"retry a failed job":     {document.JobFailed, "retry", 200, document.JobQueued},
		"retry a cancelled job":  {document.JobCancelled, "retry", 200, document.JobQueued},
		"retry a running job":    {document.JobRunning, "retry", 200, document.JobRunning},
		"retry a finished job":   {document.JobSucceeded, "retry", 409, document.JobSucceeded},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFake()
			f.overlay = func(job *document.Job) { job.Tasks.Knowledge.Passages = 7 }
			h := newHandler(t, configOf(t, f))
			id := put(t, h, "a.md", "# a").Job.ID
			f.setJobState(id, test.state)
			w := do(h, "POST", "/v1/jobs/"+id.String()+"/"+test.call, "", "")
			after := do(h, "GET", "/v1/jobs/"+id.String(), "", "")
			if test.status != http.StatusOK {
				wantProblem(t, w, test.status, "conflict", id.String())
			} else if w.Code != http.StatusOK || w.Body.String() != after.Body.String() {
				t.Errorf("got %d %s, want 200 and the changed job: %s", w.Code, w.Body, after.Body)
			}
			if job := decode[document.Job](t, after); job.State != test.want {
				t.Errorf("the job is %s, want %s", job.State, test.want)
			}
		})
	}
	h := newHandler(t, configOf(t, newFake()))
	wantProblem(t, do(h, "POST", "/v1/jobs/0199c7a4-0000-7000-8000-000000000000/cancel", "", ""), 404, "not_found", "0199c7a4")
	wantProblem(t, do(h, "POST", "/v1/jobs/0199c7a4-0000-7000-8000-000000000000/retry", "", ""), 404, "not_found", "0199c7a4")
	wantProblem(t, do(h, "POST", "/v1/jobs/x/retry", "", ""), 400, "bad_request", "path.id")
}

// waiter is a running request for a job in a synctest bubble.
type waiter struct {
	response chan *httptest.ResponseRecorder
	start    time.Time
}

// startWaiting requests a job with a wait, in the background.

func startWaiting(t *testing.T, f *fake, config httpapi.Config, id uuid.UUID, wait string) *waiter {
	t.Helper()
	w := &waiter{response: make(chan *httptest.ResponseRecorder, 1), start: time.Now()}
	f.changes = make(chan struct{}) // channels belong to a bubble
	h := newHandler(t, config)
	go func() { w.response <- do(h, "GET", "/v1/jobs/"+id.String()+"?wait="+wait, "", "") }()
	synctest.Wait()
	return w
}

// want checks the response and its delay.
func (w *waiter) want(t *testing.T, state document.JobState, delay time.Duration) {
	t.Helper()
	job := decode[document.Job](t, <-w.response)
	if got := time.Since(w.start); job.State != state || got != delay {
		t.Errorf("got %s after %s, want %s after %s", job.State, got, state, delay)
	}
}

func TestWaitForJob(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		wait  string
		then  func(f *fake, id uuid.UUID) // after the request has begun
		state document.JobState
		delay time.Duration
	}{
		"a change is notified": {"30s", func(f *fake, id uuid.UUID) {
			<-time.After(500 * time.Millisecond)
			f.setJobState(id, document.JobSucceeded)
			f.changes <- struct{}{}
		}, document.JobSucceeded, 500 * time.Millisecond},
		"a notification without the end": {"30s", func(f *fake, id uuid.UUID) {
			f.changes <- struct{}{}
			<-time.After(100 * time.Millisecond)
			f.setJobState(id, document.JobSucceeded)
			f.changes <- struct{}{}
		}, document.JobSucceeded, 100 * time.Millisecond},
		"without a notification, the job is polled": {"30s", func(f *fake, id uuid.UUID) {
			<-time.After(4500 * time.Millisecond)
			f.setJobState(id, document.JobSucceeded)
		}, document.JobSucceeded, 5 * time.Second},
		"changes cannot be watched": {"30s", func(f *fake, id uuid.UUID) {
			close(f.changes)
			<-time.After(1500 * time.Millisecond)
			f.setJobState(id, document.JobSucceeded)
		}, document.JobSucceeded, 2 * time.Second},
		"the wait is over":     {"1500ms", func(*fake, uuid.UUID) {}, document.JobQueued, 1500 * time.Millisecond},
		"the wait has a limit": {"24h", func(*fake, uuid.UUID) {}, document.JobQueued, 5 * time.Minute},
		"no wait":              {"0s", func(*fake, uuid.UUID) {}, document.JobQueued, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				f := newFake()
				config := configOf(t, f)
				id := put(t, newHandler(t, config), "a.md", "# a").Job.ID
				w := startWaiting(t, f, config, id, test.wait)
				test.then(f, id)
				w.want(t, test.state, test.delay)
			})
		})
	}
}

func TestWaitEndsWhenServerStops(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		config := configOf(t, f)
		stopping := make(chan struct{})
		config.Stopping = stopping
		id := put(t, newHandler(t, config), "a.md", "# a").Job.ID
		w := startWaiting(t, f, config, id, "5m")
		close(stopping)
		w.want(t, document.JobQueued, 0)
	})
}
