package e2e_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/seed-7a112592/gristmill/internal/test/audit"
	"github.com/seed-7a112592/gristmill/internal/test/program"
	"github.com/seed-7a112592/gristmill/pkg/client"
	"github.com/seed-7a112592/gristmill/pkg/document"
)

const guide = "---\ntitle: The guide\n---\n# Milling\n\nGrain is ground between two stones.\n\n# Baking\n\nFlour, water, salt and time.\n"

// uploadOne uploads a document and waits until its job has succeeded.
func uploadOne(t *testing.T, c *client.Client, key, text string) document.Accepted {
	t.Helper()
	accepted, err := c.Upload(t.Context(), document.UploadRequest{Key: key}, strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	job, err := c.AwaitJob(timeoutContext(t), accepted.Job.ID, time.Second, nil)
	if err != nil || job.State != document.JobSucceeded {
		t.Fatalf("job of %s is %s: %s, %v", key, job.State, job.Error, err)
	}
	return accepted
}

// get sends a GET request with a header and returns the status and the body.
func get(t *testing.T, address string, header http.Header) (int, string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), "GET", address, nil)
	if err != nil {
		t.Fatal(err)
	}
	request.Header = header
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, string(body)
}

// Every program serves health, readiness and metrics, and logs the tenant, the document and the
// job.
func TestProgramsReportTheirState(t *testing.T) {
	t.Parallel()
	s := program.NewInstallation(t)
	programs := map[string]*program.Program{}
	addresses := map[string]string{}
	for _, name := range []string{"api", "worker-knowledge", "worker-summary"} {
		programs[name] = s.Start(name)
		addresses[name] = programs[name].URL()
	}
	c, err := client.New(addresses["api"], program.APIKey, nil)
	if err != nil {
		t.Fatal(err)
	}
	accepted := uploadOne(t, c, "guide.md", guide)

	for name, metrics := range map[string][]string{
		"api":              {`gristmill_http_requests_total{method="PUT"`, `gristmill_queue_tasks{queue="knowledge"}`},
		"worker-knowledge": {`gristmill_tasks_total{kind="knowledge",outcome="done"} 1`, `gristmill_passages_total{how="embedded"}`, `gristmill_stage_seconds_count{stage="write"}`},
		"worker-summary":   {`gristmill_tasks_total{kind="summary",outcome="done"} 1`},
	} {
		for _, path := range []string{"/healthz", "/readyz"} {
			if status, body := get(t, addresses[name]+path, nil); status != http.StatusOK {
				t.Errorf("%s %s: %d %s", name, path, status, body)
			}
		}
		_, body := get(t, addresses[name]+"/metrics", nil)
		for _, metric := range metrics {
			if !strings.Contains(body, metric) {
				t.Errorf("%s has no metric %s", name, metric)
			}
		}
	}
	for _, name := range []string{"worker-knowledge", "worker-summary"} {
		if !hasRecord(programs[name].Output(), map[string]string{
			"tenant": "default", "document": accepted.Document.ID.String(), "job": accepted.Job.ID.String(),
		}) {
			t.Errorf("%s does not log tenant, document and job:\n%s", name, programs[name].Output())
		}
	}
	if !strings.Contains(programs["api"].Output(), `"request`) {
		t.Errorf("api does not log requests:\n%s", programs["api"].Output())
	}
	if doctor := program.Start(t, s.Env(), "gristmill", "doctor"); doctor.Wait() != 0 {
		t.Errorf("gristmill doctor:\n%s", doctor.Output())
	}
	health := program.Start(t, nil, "gristmill", "doctor", "--health", addresses["api"]+"/healthz")
	if health.Wait() != 0 {
		t.Errorf("gristmill doctor --health:\n%s", health.Output())
	}
}

// An installation without a role for index builds works, and names the setting that is missing.
func TestWithoutIndexRole(t *testing.T) {
	t.Parallel()
	s := program.NewInstallation(t)
	s.IndexURL = ""
	const setting = "GRISTMILL_INDEX_DATABASE_URL"
	worker := s.Start("worker-knowledge")
	status, body := get(t, worker.URL()+"/readyz", http.Header{"Authorization": {"Bearer " + program.APIKey}})
	if status != http.StatusOK || !strings.Contains(body, `"degraded":["indexes"]`) || !strings.Contains(body, setting) {
		t.Errorf("readyz: %d %s", status, body)
	}
	if !strings.Contains(worker.Output(), setting) {
		t.Errorf("the log does not name %s:\n%s", setting, worker.Output())
	}
	doctor := program.Start(t, s.Env(), "gristmill", "doctor")
	if status := doctor.Wait(); status != 0 || !strings.Contains(doctor.Output(), "! indexes") || !strings.Contains(doctor.Output(), setting) {
		t.Errorf("doctor: %d\n%s", status, doctor.Output())
	}
}

// hasRecord reports whether a log has a record with the given attributes.
func hasRecord(log string, want map[string]string) bool {
	for line := range strings.Lines(log) {
		var record map[string]any
		if json.Unmarshal([]byte(line), &record) != nil {
			continue
		}
		found := true
		for name, value := range want {
			found = found && record[name] == value
		}
		if found {
			return true
		}
	}
	return false
}

// A program whose servers are down reports them and keeps running.
func TestProgramsWaitForServers(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"api", "worker-knowledge", "worker-summary"} {
		p := program.Start(t, []string{
			"GRISTMILL_DATABASE_URL=postgres://u:secret-password@127.0.0.1:1/d",
			"GRISTMILL_REDIS_URL=redis://127.0.0.1:1",
			"GRISTMILL_S3_ENDPOINT=http://127.0.0.1:1", "GRISTMILL_S3_ACCESS_KEY=k", "GRISTMILL_S3_SECRET_KEY=s",
			"GRISTMILL_ADDR=127.0.0.1:0", "GRISTMILL_API_KEY=right",
		}, name)
		address := p.URL()
		for _, key := range []string{"", "wrong"} {
			status, body := get(t, address+"/readyz", http.Header{"Authorization": {"Bearer " + key}})
			if status != http.StatusServiceUnavailable || strings.Contains(body, "127.0.0.1") || strings.Contains(body, "gristmill") {
				t.Errorf("%s answers a request with key %q: %d %s", name, key, status, body)
			}
		}
		status, body := get(t, address+"/readyz", http.Header{"Authorization": {"Bearer right"}})
		if !strings.Contains(body, "127.0.0.1:1") {
			t.Errorf("%s does not show the server's address to a request with the key: %s", name, body)
		}
		if status != http.StatusServiceUnavailable {
			t.Errorf("%s is ready without servers: %d %s", name, status, body)
		}
		for _, dependency := range []string{"database", "objects", "redis"} {
			if !strings.Contains(body, dependency) {
				t.Errorf("%s does not name the %s: %s", name, dependency, body)
			}
		}
		if status, _ := get(t, address+"/healthz", nil); status != http.StatusOK {
			t.Errorf("%s is not alive", name)
		}
		if status := p.Stop(); status != 0 {
			t.Errorf("%s exited with %d", name, status)
		}
		if strings.Contains(body+p.Output(), "secret-password") {
			t.Errorf("%s shows a password:\n%s\n%s", name, body, p.Output())
		}
	}
}

func TestContentSupportsRanges(t *testing.T) {
	t.Parallel()
	s := program.NewInstallation(t)
	api := s.Start("api")
	s.Start("worker-knowledge")
	s.Start("worker-summary")
	base := api.URL()
	c, err := client.New(base, program.APIKey, nil)
	if err != nil {
		t.Fatal(err)
	}
	id := uploadOne(t, c, "guide.md", guide).Document.ID
	for _, p := range audit.Passages(t, c, id) {
		status, body := get(t, fmt.Sprintf("%s/v1/documents/%s/content", base, id), http.Header{
			"Authorization": {"Bearer " + program.APIKey},
			"Range":         {fmt.Sprintf("bytes=%d-%d", p.Start, p.End-1)},
		})
		if status != http.StatusPartialContent || body != p.Content {
			t.Errorf("bytes %d to %d: %d %q, want %q", p.Start, p.End, status, body, p.Content)
		}
	}
}

// A deleted document is immediately invisible to readers and soon removed from every server, except
// its passages, which are removed when they are a day old.
func TestDeletedDocumentsAreRemoved(t *testing.T) {
	t.Parallel()
	s := program.NewInstallation(t)
	c := s.Start("api").Client(program.APIKey)
	s.Start("worker-knowledge")
	s.Start("worker-summary")
	uploadOne(t, c, "kept.md", guide)
	deleted := uploadOne(t, c, "deleted.md", guide+"\n# Only here\n\nNo other document has this passage.\n")
	if err := c.DeleteDocument(t.Context(), deleted.Document.ID); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Document(t.Context(), deleted.Document.ID); err == nil {
		t.Error("the document still exists")
	}
	result, err := c.Search(t.Context(), document.SearchRequest{Query: "No other document has this passage", Limit: 100})
	if err != nil {
		t.Fatal(err)
	}
	for _, hit := range result.Hits {
		if hit.DocumentID == deleted.Document.ID || strings.Contains(hit.Content, "No other document") {
			t.Errorf("search finds %+v", hit)
		}
	}
	s.Exec(`UPDATE passages SET created_at = created_at - interval '1 day'`)
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for deadline := timeoutContext(t); ; {
		snapshot := audit.Snapshot(t, s)
		objects := 0
		for name := range snapshot {
			if strings.HasPrefix(name, "object ") {
				objects++
			}
		}
		left := s.QueryInt("SELECT count(*) FROM " + program.AllPassagesSQL + " p WHERE content LIKE '%No other document%'")
		if objects == 1 && left == 0 && snapshot["table public.documents"] == "1" {
			break
		}
		select {
		case <-deadline.Done():
			t.Fatalf("%d objects, %d passages and these rows are left: %v", objects, left, snapshot)
		case <-tick.C:
		}
	}
	audit.CheckDocument(t, c, audit.Documents(t, c)["kept.md"], guide)
}
