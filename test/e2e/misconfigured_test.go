package e2e_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/seed-7a112592/gristmill/pkg/document"
	"github.com/seed-7a112592/gristmill/test/fakeprovider"
	"github.com/seed-7a112592/gristmill/test/program"
)

// A key that is wrong for a while fails no job: they wait, and every door says
// what to set. When it is right a retry of one of them has all go on.
func TestWrongKeyWaits(t *testing.T) {
	t.Parallel()
	provider := fakeprovider.Start(t, fakeprovider.Options{Dimensions: 64})
	s := program.NewSite(t, providerEnv(provider)...)
	api := s.Start("api")
	c := api.Client(program.Key)
	s.Start("worker-knowledge")
	s.Start("worker-summary")
	provider.Fail(fakeprovider.Status(http.StatusUnauthorized, "Incorrect API key provided"), -1)
	const setting, jobs = "GRISTMILL_OPENAI_API_KEY", 12
	for i := range jobs {
		text := fmt.Sprintf("# Document %d\n\nIt waits for its key.\n", i)
		if _, err := c.Upload(t.Context(), document.UploadRequest{Key: fmt.Sprint(i, ".md")}, strings.NewReader(text)); err != nil {
			t.Fatal(err)
		}
	}
	var waiting []document.Job
	await(t, c, func(list []document.Job) bool {
		waiting = list
		return len(list) == jobs && !slices.ContainsFunc(list, func(job document.Job) bool {
			if job.State == document.JobFailed {
				t.Fatalf("a job has failed: %s", job.Error)
			}
			k := job.Tasks.Knowledge
			return k.State != document.Waiting || k.Attempt != 0 || !strings.Contains(k.Error, setting)
		})
	})
	trusted := http.Header{"Authorization": {"Bearer " + program.Key}}
	if status, body := get(t, api.URL()+"/readyz", trusted); status != http.StatusOK || !strings.Contains(body, `"degraded":["models"]`) || !strings.Contains(body, setting) {
		t.Errorf("/readyz: %d %s", status, body)
	}
	if doctor := program.Start(t, s.Env(), "gristmill", "doctor"); doctor.Wait() == 0 || !strings.Contains(doctor.Output(), setting) {
		t.Errorf("gristmill doctor:\n%s", doctor.Output())
	}
	if models := program.Start(t, s.Env(), "gristmill", "models"); models.Wait() != 0 || !strings.Contains(models.Output(), setting) {
		t.Errorf("gristmill models:\n%s", models.Output())
	}

	provider.Fail(nil, 0)
	if _, err := c.Retry(t.Context(), waiting[0].ID); err != nil {
		t.Fatal(err)
	}
	for _, job := range waiting {
		if done, err := c.Await(within(t), job.ID, time.Second, nil); err != nil || done.State != document.Succeeded {
			t.Errorf("a job is %s: %s, %v", done.State, done.Error, err)
		}
	}
	if models := program.Start(t, s.Env(), "gristmill", "models"); models.Wait() != 0 || !strings.Contains(models.Output(), "no model is held") {
		t.Errorf("gristmill models:\n%s", models.Output())
	}
}
