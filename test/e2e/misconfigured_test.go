package e2e_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/seed-7a112592/gristmill/internal/test/fakeprovider"
	"github.com/seed-7a112592/gristmill/internal/test/program"
	"github.com/seed-7a112592/gristmill/pkg/document"
)

// A wrong API key fails no job. Jobs wait, and readiness, doctor and the command line name the
// setting to change. With the right key, retrying one job makes all continue.
func TestJobsWaitForCorrectAPIKey(t *testing.T) {
	t.Parallel()
	provider := fakeprovider.Start(t, fakeprovider.Options{Dimensions: 64})
	s := program.NewInstallation(t, providerEnv(provider)...)
	api := s.Start("api")
	c := api.Client(program.APIKey)
	s.Start("worker-knowledge")
	s.Start("worker-summary")
	provider.FailNext(fakeprovider.Status(http.StatusUnauthorized, "Incorrect API key provided"), -1)
	const setting, jobs = "GRISTMILL_OPENAI_API_KEY", 12
	for i := range jobs {
		text := fmt.Sprintf("# Document %d\n\nIt waits for its key.\n", i)
		if _, err := c.Upload(t.Context(), document.UploadRequest{Key: fmt.Sprint(i, ".md")}, strings.NewReader(text)); err != nil {
			t.Fatal(err)
		}
	}
	var waiting []document.Job
	awaitJobs(t, c, func(list []document.Job) bool {
		waiting = list
		return len(list) == jobs && !slices.ContainsFunc(list, func(job document.Job) bool {
			if job.State == document.JobFailed {
				t.Fatalf("a job has failed: %s", job.Error)
			}
			k := job.Tasks.Knowledge
			return k.State != document.JobWaiting || k.Attempt != 0 || !strings.Contains(k.Error, setting)
		})
	})
	trusted := http.Header{"Authorization": {"Bearer " + program.APIKey}}
	if status, body := get(t, api.URL()+"/readyz", trusted); status != http.StatusOK || !strings.Contains(body, `"degraded":["models"]`) || !strings.Contains(body, setting) {
		t.Errorf("/readyz: %d %s", status, body)
	}
	if doctor := program.Start(t, s.Env(), "gristmill", "doctor"); doctor.Wait() == 0 || !strings.Contains(doctor.Output(), setting) {
		t.Errorf("gristmill doctor:\n%s", doctor.Output())
	}
	// Runs gristmill models as docs/operations.md describes, with only the setting that it needs.
	models := func(args ...string) string {
		t.Helper()
		models := program.Start(t, []string{"GRISTMILL_REDIS_URL=" + s.RedisURL}, "gristmill", append([]string{"models"}, args...)...)
		if status := models.Wait(); status != 0 {
			t.Errorf("gristmill models %v exited with %d", args, status)
		}
		return models.Output()
	}
	if output := models(); !strings.Contains(output, setting) || !strings.Contains(output, "misconfigured") {
		t.Errorf("gristmill models:\n%s", output)
	}

	provider.FailNext(nil, 0)
	retry := func(job uuid.UUID) {
		t.Helper()
		retry := program.Start(t, []string{"GRISTMILL_SERVER=" + api.URL(), "GRISTMILL_KEY=" + program.APIKey}, "gristmill", "retry", job.String())
		if status := retry.Wait(); status != 0 || !strings.Contains(retry.Output(), job.String()) {
			t.Errorf("gristmill retry exited with %d:\n%s", status, retry.Output())
		}
	}
	retry(waiting[0].ID)
	for _, job := range waiting {
		if done, err := c.AwaitJob(timeoutContext(t), job.ID, time.Second, nil); err != nil || done.State != document.JobSucceeded {
			t.Errorf("a job is %s: %s, %v", done.State, done.Error, err)
		}
	}
	if output := models(); !strings.Contains(output, "no model is held") {
		t.Errorf("gristmill models:\n%s", output)
	}

	// Lifting a hold takes effect with the next request. Waiting jobs continue by themselves after
	// about a minute, or immediately on a retry.
	provider.FailNext(fakeprovider.RateLimit("300"), -1)
	accepted, err := c.Upload(t.Context(), document.UploadRequest{Key: "late.md"}, strings.NewReader("# Late\n\nIt waits for the rate limit.\n"))
	if err != nil {
		t.Fatal(err)
	}
	awaitJobs(t, c, func(list []document.Job) bool {
		return slices.ContainsFunc(list, func(job document.Job) bool {
			return job.ID == accepted.Job.ID && job.Tasks.Knowledge.State == document.JobWaiting
		})
	})
	provider.FailNext(nil, 0)
	ask := func(want int) {
		t.Helper()
		status, _, answer, err := api.Send(t.Context(), http.MethodPost, "/v1/search", map[string]string{"query": "who waits?"})
		if err != nil || status != want {
			t.Errorf("a search was answered %d %s, error %v; want %d", status, answer, err, want)
		}
	}
	ask(http.StatusServiceUnavailable)
	if output := models("--lift"); !strings.Contains(output, "rate_limited") || !strings.Contains(output, "now") {
		t.Errorf("gristmill models --lift:\n%s", output)
	}
	ask(http.StatusOK)
	if job, err := c.Job(t.Context(), accepted.Job.ID, 0); err != nil || job.NextAttemptAt != nil && time.Until(*job.NextAttemptAt) > 80*time.Second {
		t.Errorf("the job waits until %v, error %v; want at most 80 s", job.NextAttemptAt, err)
	}
	retry(accepted.Job.ID)
	if done, err := c.AwaitJob(timeoutContext(t), accepted.Job.ID, time.Second, nil); err != nil || done.State != document.JobSucceeded {
		t.Errorf("the job is %s: %s, %v", done.State, done.Error, err)
	}
}
