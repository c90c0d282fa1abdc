package e2e_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/seed-7a112592/gristmill/internal/test/audit"
	"github.com/seed-7a112592/gristmill/internal/test/corpus"
	"github.com/seed-7a112592/gristmill/internal/test/fakeprovider"
	"github.com/seed-7a112592/gristmill/internal/test/program"
	"github.com/seed-7a112592/gristmill/internal/upload"
	"github.com/seed-7a112592/gristmill/pkg/client"
	"github.com/seed-7a112592/gristmill/pkg/document"
)

// uploadAll uploads every file below dir. Fails the test if one is refused.
func uploadAll(t *testing.T, c *client.Client, dir string, follow bool) upload.Result {
	t.Helper()
	files, err := upload.Find([]string{dir})
	if err != nil {
		t.Fatal(err)
	}
	tally, err := upload.Run(timeoutContext(t), files, upload.Config{Client: c, AwaitJobs: follow})
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range tally.Failures {
		t.Errorf("%s: %s", f.Key, f.Reason)
	}
	return tally
}

func TestServersIngestOnlyChanges(t *testing.T) {
	t.Parallel()
	provider := fakeprovider.Start(t, fakeprovider.Options{Dimensions: 64, RecordTexts: true, Semantic: true})
	checkServers(t, program.NewInstallation(t, chatEnv(provider)...), provider)
}

// checkServers starts the programs of an installation. It checks that they ingest a corpus once,
// and later only what has changed, that searches find it, and that re-indexing sends nothing.
func checkServers(t *testing.T, s *program.Installation, provider *fakeprovider.Provider) {
	t.Helper()
	api, knowledge, summary := s.Start("api"), s.Start("worker-knowledge"), s.Start("worker-summary")
	c, dir := api.Client(program.APIKey), copyCorpus(t)

	documents := uploadAll(t, c, dir, true).Documents
	checkCorpus(t, c, dir)
	checkSections(t, c)
	if calls := provider.Counts().ChatRequests; calls == 0 || 213*calls > 300*documents {
		t.Errorf("%d chat requests for %d documents, want at most 300 for 213", calls, documents)
	}
	sent := provider.EmbeddedTexts()
	if len(embeddedTwice(sent)) > 0 {
		t.Errorf("embedded twice: %q", embeddedTwice(sent))
	}
	jobs := len(audit.Jobs(t, c))

	if tally := uploadAll(t, c, dir, true); tally.Unchanged != tally.Documents {
		t.Errorf("of %d documents uploaded again %d were unchanged", tally.Documents, tally.Unchanged)
	}
	if now := len(audit.Jobs(t, c)); now != jobs {
		t.Errorf("uploading the same again created %d jobs", now-jobs)
	}

	calls := provider.Counts().ChatRequests
	heading := edit(t, dir)
	uploadAll(t, c, dir, true)
	checkCorpus(t, c, dir)
	checkSections(t, c)
	checkEdit(t, sent, provider.EmbeddedTexts(), heading)
	if calls = provider.Counts().ChatRequests - calls; calls < 1 || calls > 2 {
		t.Errorf("%d chat requests for an edited paragraph, want 1 or 2", calls)
	}

	checkSearch(t, c)
	checkReindexSendsNothing(t, c, provider, dir)
	for _, p := range []*program.Program{api, knowledge, summary} {
		if status := p.Stop(); status != 0 {
			t.Errorf("%s exited with %d:\n%s", p.Name, status, p.Output())
		}
	}
}

// checkSections checks that all sections of all documents have a summary.
func checkSections(t *testing.T, c *client.Client) {
	t.Helper()
	for _, job := range audit.Jobs(t, c) {
		if p := job.Tasks.Summary; p.Sections == 0 || p.SectionsDone != p.Sections || p.SectionsRefused > 0 {
			t.Errorf("job %s of %s has summaries of %d of %d sections, %d were refused", job.ID, job.DocumentID, p.SectionsDone, p.Sections, p.SectionsRefused)
		}
	}
}

// checkSearch searches for the text of a passage of each document, and checks that it is found.
func checkSearch(t *testing.T, c *client.Client) {
	t.Helper()
	for key, d := range audit.Documents(t, c) {
		passages := audit.Passages(t, c, d.ID)
		want := passages[len(passages)/2]
		query := strings.Join(append(slices.Clone(want.HeadingPath), want.Content), "\n")
		result, err := c.Search(t.Context(), document.SearchRequest{Query: query[:min(len(query), 4000)], Limit: 10})
		if err != nil {
			t.Fatal(err)
		}
		if !slices.ContainsFunc(result.Hits, func(h document.Hit) bool { return h.Content == want.Content }) {
			t.Errorf("passage %d of %s is not among the %d hits for its own text", want.Ordinal, key, len(result.Hits))
		}
		for i, h := range result.Hits[1:] {
			if h.Score > result.Hits[i].Score {
				t.Errorf("hit %d scores more than the one before it", i+1)
			}
		}
	}
}

// checkReindexSendsNothing re-indexes without and with force, which both send nothing to the
// provider. Only with force does every document get a new version.
func checkReindexSendsNothing(t *testing.T, c *client.Client, provider *fakeprovider.Provider, dir string) {
	t.Helper()
	before := provider.Counts()
	documents := audit.Documents(t, c)
	for _, force := range []bool{false, true} {
		reindex(t, c, document.ReindexRequest{Force: force})
		checkCorpus(t, c, dir)
		for key, d := range audit.Documents(t, c) {
			want := documents[key].Version
			if force {
				want++
			}
			if d.Version != want {
				t.Errorf("force %v: %s is at version %d, want %d", force, key, d.Version, want)
			}
		}
	}
	// The searches of checkSearch were sent before.
	after := provider.Counts()
	if texts, calls := after.TextsAnswered-before.TextsAnswered, after.ChatRequests-before.ChatRequests; texts != 0 || calls != 0 {
		t.Errorf("re-indexing sent %d texts and %d chat requests", texts, calls)
	}
}

// reindex begins reindexes and waits until all have succeeded.
func reindex(t *testing.T, c *client.Client, request document.ReindexRequest) {
	t.Helper()
	started, err := c.BeginReindex(t.Context(), request)
	if err != nil || len(started) == 0 {
		t.Fatalf("begin the reindex: %+v, %v", started, err)
	}
	for _, r := range started {
		ended, err := c.AwaitReindex(timeoutContext(t), r.ID, time.Second, nil)
		if err != nil || ended.State != document.JobSucceeded {
			t.Fatalf("reindex %s of %s is %s: %s, %v", r.ID, r.Collection, ended.State, ended.Error, err)
		}
	}
}

func TestServersFinishAfterSIGKILL(t *testing.T) {
	t.Parallel()
	provider := fakeprovider.Start(t, fakeprovider.Options{Dimensions: 64, RecordTexts: true, Latency: 20 * time.Millisecond})
	s := program.NewInstallation(t, providerEnv(provider)...)
	api, knowledge, summary := s.Start("api"), s.Start("worker-knowledge"), s.Start("worker-summary")
	c, dir := api.Client(program.APIKey), corpus.Dir(t)
	release := hangEveryNth(t, provider, dir)
	uploadAll(t, c, dir, false)
	awaitPartlyDone(t, c)
	knowledge.Kill()
	summary.Kill()
	release()
	s.Start("worker-knowledge")
	s.Start("worker-summary")
	awaitJobs(t, c, func(jobs []document.Job) bool {
		return !slices.ContainsFunc(jobs, func(j document.Job) bool { return !j.State.Ended() })
	})
	checkCorpus(t, c, dir)
	checkInFlight(t, provider)
}

// While a model gives invalid answers to everything, jobs wait with an error that describes the
// answers. Nothing of them is stored, and the jobs continue when the answers are valid.
func TestInvalidAnswersWaitAndWriteNothing(t *testing.T) {
	t.Parallel()
	provider := fakeprovider.Start(t, fakeprovider.Options{Dimensions: 64})
	s := program.NewInstallation(t, providerEnv(provider)...)
	c := s.Start("api").Client(program.APIKey)
	s.Start("worker-knowledge")
	s.Start("worker-summary")
	for name, test := range map[string]struct {
		fault fakeprovider.Fault
		error string
	}{
		"count": {fakeprovider.WrongCount, "vectors"},
		"NaN": {func(a *fakeprovider.Answer) { // in every vector, because valid vectors of an answer are stored
			for i := range a.Vectors {
				fakeprovider.NaN(&fakeprovider.Answer{Vectors: a.Vectors[:i+1]})
			}
		}, "number"},
	} {
		written := s.QueryInt("SELECT count(*) FROM " + program.AllPassagesSQL + " p")
		provider.FailNext(test.fault, -1)
		text := fmt.Sprintf("# Wrong %s\n\nThe answer to this is wrong.\n\n# Another\n\nThe answer to this is wrong too. %s\n", name, strings.Repeat("Grist. ", 300))
		accepted, err := c.Upload(t.Context(), document.UploadRequest{Key: name + ".md"}, strings.NewReader(text))
		if err != nil {
			t.Fatal(err)
		}
		var job document.Job
		awaitJobs(t, c, func([]document.Job) bool {
			if job, err = c.Job(t.Context(), accepted.Job.ID, 0); err != nil {
				t.Fatal(err)
			}
			return job.Tasks.Knowledge.State == document.JobWaiting
		})
		if knowledge := job.Tasks.Knowledge; !strings.Contains(knowledge.Error, test.error) || knowledge.Attempt > 1 {
			t.Errorf("%s: after attempt %d the job is %s: %q, want waiting with %q", name, knowledge.Attempt, job.State, knowledge.Error, test.error)
		}
		if n := s.QueryInt("SELECT count(*) FROM "+program.AllPassagesSQL+" p") - written; n != 0 {
			t.Errorf("%s: %d passages were written", name, n)
		}
		provider.FailNext(nil, 0)
		if _, err := c.RetryJob(t.Context(), accepted.Job.ID); err != nil {
			t.Fatal(err)
		}
		if job, err := c.AwaitJob(timeoutContext(t), accepted.Job.ID, time.Second, nil); err != nil || job.State != document.JobSucceeded {
			t.Errorf("%s: afterwards the job is %s: %s, %v", name, job.State, job.Error, err)
		}
	}
}
