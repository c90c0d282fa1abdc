package e2e_test

import (
	"bufio"
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/seed-7a112592/gristmill/internal/test/fakeprovider"
	"github.com/seed-7a112592/gristmill/internal/test/program"
	"github.com/seed-7a112592/gristmill/pkg/document"
)

// events requests the event stream of a job.
func events(t *testing.T, base string, job uuid.UUID, lastEventID string) *http.Response {
	t.Helper()
	request, err := http.NewRequestWithContext(timeoutContext(t), "GET", base+"/v1/jobs/"+job.String()+"/events", nil)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Authorization", "Bearer "+program.APIKey)
	request.Header.Set("Last-Event-ID", lastEventID)
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = response.Body.Close() })
	return response
}

// readEvents reads events until enough returns true or the stream ends. It returns the job in the
// last event and the event's id.
func readEvents(t *testing.T, lines *bufio.Scanner, enough func(document.Job) bool) (job document.Job, id string) {
	t.Helper()
	for lines.Scan() {
		if value, ok := strings.CutPrefix(lines.Text(), "id: "); ok {
			id = value
		}
		if data, ok := strings.CutPrefix(lines.Text(), "data: "); ok {
			job = document.Job{}
			if err := json.Unmarshal([]byte(data), &job); err != nil {
				t.Fatalf("event %s: %v", data, err)
			}
			if enough(job) {
				return job, id
			}
		}
	}
	if err := lines.Err(); err != nil {
		t.Fatal(err)
	}
	return job, id
}

func TestJobsAreFollowedCancelledAndRetried(t *testing.T) {
	t.Parallel()
	provider := fakeprovider.Start(t, fakeprovider.Options{Dimensions: 64})
	s := program.NewInstallation(t, providerEnv(provider)...)
	api := s.Start("api")
	s.Start("worker-knowledge")
	s.Start("worker-summary")
	c := api.Client(program.APIKey)

	// Waits for the first job, because the probe for the model's dimensions is not cancelled with a
	// job.
	first, err := c.Upload(t.Context(), document.UploadRequest{Key: "first.md"}, strings.NewReader(guide))
	if err != nil {
		t.Fatal(err)
	}
	if job, err := c.AwaitJob(timeoutContext(t), first.Job.ID, time.Second, nil); err != nil || job.State != document.JobSucceeded {
		t.Fatalf("the first job is %s: %q, %v", job.State, job.Error, err)
	}

	provider.FailNext(fakeprovider.Hang, -1)
	accepted, err := c.Upload(t.Context(), document.UploadRequest{Key: "guide.md"}, strings.NewReader("# Oats\n\nOats are rolled.\n"))
	if err != nil {
		t.Fatal(err)
	}
	id := accepted.Job.ID
	response := events(t, api.URL(), id, "")
	lines := bufio.NewScanner(response.Body)
	readEvents(t, lines, func(job document.Job) bool { return job.Tasks.Knowledge.State == document.JobRunning })
	if job, err := c.CancelJob(t.Context(), id); err != nil || job.State != document.JobCancelled {
		t.Fatalf("cancelled: %s, %v", job.State, err)
	}
	job, seen := readEvents(t, lines, func(document.Job) bool { return false })
	if job.State != document.JobCancelled || job.Error == "" {
		t.Errorf("the job in the last event is %s: %q, want cancelled with a reason", job.State, job.Error)
	}
	if again := events(t, api.URL(), id, seen); again.StatusCode != http.StatusNoContent {
		t.Errorf("a client that has seen the last event gets %s, want 204", again.Status)
	}

	provider.FailNext(nil, 0)
	if job, err := c.RetryJob(t.Context(), id); err != nil || job.State.Ended() {
		t.Fatalf("retry: %s, %v", job.State, err)
	}
	// After the retry, a client that saw the end gets new events.
	job, _ = readEvents(t, bufio.NewScanner(events(t, api.URL(), id, seen).Body), func(document.Job) bool { return false })
	if job.State != document.JobSucceeded || job.Error != "" {
		t.Errorf("after the retry the job is %s: %q, want succeeded", job.State, job.Error)
	}
}
