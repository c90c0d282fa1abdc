package e2e_test

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/seed-7a112592/gristmill/internal/test/fakeprovider"
	"github.com/seed-7a112592/gristmill/internal/test/program"
	"github.com/seed-7a112592/gristmill/pkg/document"
)

// A model whose dimensions are not configured is asked for them when it first answers.
func TestDevModeLearnsDimensions(t *testing.T) {
	t.Parallel()
	provider := fakeprovider.Start(t, fakeprovider.Options{Dimensions: 48})
	provider.FailNext(fakeprovider.Status(http.StatusServiceUnavailable, "Loading model"), -1)
	env := []string{"GRISTMILL_OPENAI_BASE_URL=" + provider.URL(), "GRISTMILL_EMBEDDING_MODEL=fake"}
	data := t.TempDir()
	dev := program.Start(t, env, "gristmill", "dev", "--addr", "127.0.0.1:0", "--data", data)
	c := dev.Client("")
	accepted, err := c.Upload(t.Context(), document.UploadRequest{Key: "a.md"}, strings.NewReader("# Rye\n\nRye is ground in autumn.\n"))
	if err != nil {
		t.Fatalf("an upload failed because the model does not answer yet: %v", err)
	}
	if found, err := c.Search(timeoutContext(t), document.SearchRequest{Query: "rye"}); err != nil || len(found.Hits) > 0 {
		t.Errorf("a search without documents found %v, error %v", found.Hits, err)
	}
	provider.FailNext(nil, 0)
	if job, err := c.AwaitJob(timeoutContext(t), accepted.Job.ID, time.Second, nil); err != nil || job.State != document.JobSucceeded {
		t.Errorf("the job is %s: %q, %v", job.State, job.Error, err)
	}
	if found, err := c.Search(timeoutContext(t), document.SearchRequest{Query: "rye"}); err != nil || len(found.Hits) != 1 {
		t.Errorf("a search found %v, error %v", found.Hits, err)
	}
	dev.Stop()
	requests := provider.Counts().EmbeddingRequests
	again := program.Start(t, env, "gristmill", "dev", "--addr", "127.0.0.1:0", "--data", data)
	again.URL()
	again.Stop()
	if !strings.Contains(again.Output(), "fake (48 dimensions)") || provider.Counts().EmbeddingRequests != requests {
		t.Errorf("the second start sent %d requests and printed:\n%s", provider.Counts().EmbeddingRequests-requests, again.Output())
	}
}

// A common mistake of new users: wrong dimensions for the model. Every message about it gives the
// right value. With that value everything works.
func TestDevModeReportsCorrectDimensions(t *testing.T) {
	t.Parallel()
	const right = "GRISTMILL_EMBEDDING_DIMENSIONS=48"
	provider := fakeprovider.Start(t, fakeprovider.Options{Dimensions: 48})
	env := []string{"GRISTMILL_OPENAI_BASE_URL=" + provider.URL(), "GRISTMILL_EMBEDDING_MODEL=fake"}
	wrong := append(slices.Clone(env), "GRISTMILL_EMBEDDING_DIMENSIONS=64")
	data := t.TempDir()
	dev := program.Start(t, wrong, "gristmill", "dev", "--addr", "127.0.0.1:0", "--data", data)
	c := dev.Client("")
	accepted, err := c.Upload(t.Context(), document.UploadRequest{Key: "a.md"}, strings.NewReader("# Rye\n\nRye is ground in autumn.\n"))
	if err != nil {
		t.Fatal(err)
	}
	var job document.Job
	awaitJobs(t, c, func(jobs []document.Job) bool {
		job = jobs[0]
		return job.Tasks.Knowledge.State == document.JobWaiting
	})
	if !strings.Contains(job.Tasks.Knowledge.Error, right) || job.Tasks.Knowledge.Attempt > 1 {
		t.Errorf("the job waits after attempt %d with error %q, want %s", job.Tasks.Knowledge.Attempt, job.Tasks.Knowledge.Error, right)
	}
	var ready struct {
		Status   string
		Degraded []string
		Checks   map[string]string
	}
	status, body := get(t, dev.URL()+"/readyz", nil)
	if json.Unmarshal([]byte(body), &ready) != nil || status != http.StatusOK ||
		!slices.Contains(ready.Degraded, "models") || !strings.Contains(ready.Checks["models"], right) {
		t.Errorf("/readyz answers %d %s; want degraded with %s", status, body, right)
	}
	if status := dev.Stop(); status != 0 || strings.Count(dev.Output(), "!  ") != 1 || !strings.Contains(dev.Output(), right) {
		t.Errorf("dev exited with %d:\n%s", status, dev.Output())
	}
	once := program.Start(t, wrong, "gristmill", "dev", "--once", "--addr", "127.0.0.1:0", "--data", t.TempDir(), "../../testdata/corpus")
	if status := once.Wait(); status != 1 || !strings.Contains(once.Output(), right) {
		t.Errorf("dev --once exited with %d:\n%s", status, once.Output())
	}
	c = program.Start(t, env, "gristmill", "dev", "--addr", "127.0.0.1:0", "--data", data).Client("")
	if job, err = c.AwaitJob(timeoutContext(t), accepted.Job.ID, time.Second, nil); err != nil || job.State != document.JobSucceeded {
		t.Errorf("with the right dimensions the job is %s: %q, %v", job.State, job.Error, err)
	}
	if found, err := c.Search(timeoutContext(t), document.SearchRequest{Query: "rye"}); err != nil || len(found.Hits) != 1 {
		t.Errorf("a search found %v, error %v", found.Hits, err)
	}
}
