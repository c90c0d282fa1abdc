package providers_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/seed-7a112592/gristmill/internal/test/await"
	"github.com/seed-7a112592/gristmill/internal/test/fakeprovider"
	"github.com/seed-7a112592/gristmill/internal/test/program"
	"github.com/seed-7a112592/gristmill/pkg/client"
	"github.com/seed-7a112592/gristmill/pkg/document"
)

const (
	dimensions = 64

	// maxResendRatio limits how often a text is embedded, on average.
	maxResendRatio = 1.05

	waitTimeout = 4 * time.Minute

	question = "Which of the two stones turns?"
)

// Every behaviour has the result that its row in docs/providers.md states, and every row has a
// test.
func TestBehaviours(t *testing.T) {
	t.Parallel()
	rows := readTable(t)
	if len(rows) < 30 || len(rows) != len(behaviours) {
		t.Errorf("docs/providers.md has %d rows, but there are %d behaviours", len(rows), len(behaviours))
	}
	for _, b := range behaviours {
		row, ok := rows[b.name]
		if !ok {
			t.Errorf("docs/providers.md has no row %q", b.name)
			continue
		}
		t.Run(b.name, func(t *testing.T) {
			t.Parallel()
			newBehaviourTest(t, b, row).run()
		})
	}
}

// behaviourTest is the test of one behaviour.
type behaviourTest struct {
	*testing.T
	behaviour
	row          expectation
	uploads      int
	provider     *fakeprovider.Provider
	texts        *textCounter
	installation *program.Installation
	api          *program.Program
	c            *client.Client
	jobs         []document.Job // of the uploads
}

func newBehaviourTest(t *testing.T, b behaviour, row expectation) *behaviourTest {
	tr := &behaviourTest{T: t, behaviour: b, row: row, uploads: 100, texts: newTextCounter()}
	if testing.Short() {
		tr.uploads = 10
	}
	tr.provider = fakeprovider.Start(t, fakeprovider.Options{Dimensions: dimensions})
	tr.provider.SetScript(tr.texts.wrap(nil))
	tr.installation = program.NewInstallation(t, append([]string{
		"GRISTMILL_OPENAI_BASE_URL=" + tr.provider.URL(),
		"GRISTMILL_EMBEDDING_MODEL=fake",
		fmt.Sprint("GRISTMILL_EMBEDDING_DIMENSIONS=", dimensions),
		"GRISTMILL_SUMMARY_MODEL=fake-chat",
		"GRISTMILL_CHUNK_TOKENS=200",
		"GRISTMILL_PROVIDER_TIMEOUT=3s",
		"GRISTMILL_SEARCH_TIMEOUT=10s", // long, because the machine may be busy: the test checks only whether a search is answered
	}, b.env...)...)
	tr.api = tr.installation.Start("api")
	tr.installation.Start("worker-knowledge")
	tr.installation.Start("worker-summary")
	tr.c = tr.api.Client(program.APIKey)
	return tr
}

func (tr *behaviourTest) run() {
	// Uploads other documents first, which the searches find.
	for i := range 3 {
		tr.await(tr.upload(fmt.Sprintf("other-%d.md", i), text(fmt.Sprint("other ", i), "")))
	}
	tr.texts.reset()
	tr.provider.ResetCounts()
	tr.provider.SetScript(tr.texts.wrap(tr.script()))
	stop := tr.startSearches()

	for i := range tr.uploads {
		mark := ""
		if i == tr.uploads/2 {
			mark = marker
		}
		tr.jobs = append(tr.jobs, tr.upload(fmt.Sprintf("upload-%d.md", i), text(fmt.Sprint("upload ", i), mark)))
	}
	if tr.endsOnceWaiting {
		tr.endBehaviour()
	}
	for i := range tr.jobs {
		tr.jobs[i] = tr.await(tr.jobs[i])
	}
	tr.checkSearches(stop())
	tr.checkJobs()
	tr.checkSummaries()
	tr.checkTraffic()
}

// endBehaviour waits until a job waits because of the behaviour, then ends the behaviour and
// retries the waiting jobs, as an operator would.
func (tr *behaviourTest) endBehaviour() {
	tr.Helper()
	var waiting []document.Job
	await.Within(tr, waitTimeout, "a job waits with the error: "+tr.row.errorText, func() bool {
		waiting = nil
		for _, job := range tr.jobs {
			job, err := tr.c.Job(tr.Context(), job.ID, 0)
			if err != nil {
				tr.Fatal(err)
			}
			for _, task := range []document.Task{job.Tasks.Knowledge.Task, job.Tasks.Summary.Task} {
				if task.State == document.JobWaiting && strings.Contains(task.Error, tr.row.errorText) {
					waiting = append(waiting, job)
				}
			}
		}
		return len(waiting) > 0
	})
	tr.provider.SetScript(tr.texts.wrap(nil))
	for _, job := range waiting {
		_, err := tr.c.RetryJob(tr.Context(), job.ID)
		if p, refused := errors.AsType[*client.Problem](err); err != nil && (!refused || p.Status != http.StatusConflict) { // a conflict is allowed: the first retry ends the wait of all jobs, and some succeed before their own
			tr.Errorf("retry a waiting job: %v", err)
		}
	}
}

// startSearches searches repeatedly until the returned function is called, which returns the number
// of answers by status.
func (tr *behaviourTest) startSearches() (stop func() map[int]int) {
	ctx, cancel := context.WithCancel(tr.Context())
	statuses := map[int]int{}
	var searching sync.WaitGroup
	searching.Go(func() {
		tick := time.NewTicker(100 * time.Millisecond)
		defer tick.Stop()
		for {
			status, _, answer, err := tr.api.Send(ctx, http.MethodPost, "/v1/search", map[string]any{"query": question, "filter": map[string]any{"key_prefix": "other-"}})
			if ctx.Err() != nil {
				return
			}
			if err != nil || status == http.StatusOK && !strings.Contains(string(answer), "other-") {
				tr.Errorf("search: %v, %d: %s", err, status, answer)
			}
			statuses[status]++
			select {
			case <-tick.C:
			case <-ctx.Done():
				return
			}
		}
	})
	return func() map[int]int {
		cancel()
		searching.Wait()
		return statuses
	}
}

func (tr *behaviourTest) checkSearches(statuses map[int]int) {
	tr.Helper()
	answered, unavailable := statuses[http.StatusOK], statuses[http.StatusServiceUnavailable]
	if len(statuses) == 0 {
		tr.Error("no search was answered")
	}
	for status, n := range statuses {
		if status != http.StatusOK && status != http.StatusServiceUnavailable {
			tr.Errorf("%d searches were answered %d", n, status)
		}
	}
	if tr.row.searches == "answered" && unavailable > 0 {
		tr.Errorf("%d of %d searches were answered 503", unavailable, answered+unavailable)
	}
	if tr.row.searches == "503" && unavailable == 0 {
		tr.Errorf("all %d searches were answered", answered)
	}
}

// passageErrorPattern matches the part of an error that names the refused passage.
var passageErrorPattern = regexp.MustCompile(`; passage \d+ .*, bytes \d+ to \d+: .+`)

func (tr *behaviourTest) checkJobs() {
	tr.Helper()
	failed, warnings := 0, 0
	for _, job := range tr.jobs {
		taskErrors := job.Tasks.Knowledge.Error + job.Tasks.Summary.Error
		for _, w := range job.Warnings {
			if strings.Contains(w.Code+" "+w.Detail, tr.row.errorText) {
				warnings++
			} else {
				tr.Errorf("%s has the warning %s: %s", job.ID, w.Code, w.Detail)
			}
		}
		if job.State == document.JobSucceeded {
			continue
		}
		failed++
		if !strings.Contains(taskErrors, tr.row.errorText) || taskErrors == "" {
			tr.Errorf("job %s is %s with error %q, want %q", job.ID, job.State, taskErrors, tr.row.errorText)
		}
		if tr.row.uploads == outcomeFailed && !passageErrorPattern.MatchString(taskErrors) {
			tr.Errorf("the error of job %s does not name the passage: %s", job.ID, taskErrors)
		}
		tr.Log(taskErrors)
	}
	wantFailed := 0
	if tr.row.uploads == outcomeFailed {
		wantFailed = 1
	}
	if failed != wantFailed {
		tr.Errorf("%d jobs have failed, want %d", failed, wantFailed)
	}
	if (warnings > 0) != (tr.row.uploads == outcomeWarned || tr.row.uploads == outcomeExtractive) {
		tr.Errorf("there are %d warnings, but the row says %q", warnings, tr.row.uploads)
	}
	if used := tr.installation.QueryInt(`SELECT count(*) FROM tasks WHERE attempt > 1`); used > 0 && tr.row.uploads != outcomeFailed {
		tr.Errorf("%d tasks used more than one attempt", used)
	}
}

// checkSummaries checks that the model summarised all documents, or that at least one summary is
// extractive where the row says so.
func (tr *behaviourTest) checkSummaries() {
	tr.Helper()
	extractive := 0
	for _, job := range tr.jobs {
		if job.Tasks.Summary.State != document.JobSucceeded {
			continue
		}
		summary, err := tr.c.Summary(tr.Context(), job.DocumentID)
		switch {
		case err != nil && job.Tasks.Knowledge.State == document.JobSucceeded:
			tr.Errorf("summary of %s: %v", job.DocumentID, err)
		case strings.Contains(summary.Summary, "think"):
			tr.Errorf("the summary of %s contains the model's reasoning: %s", job.DocumentID, summary.Summary)
		case summary.Model == "extractive":
			extractive++
		}
	}
	if (extractive > 0) != (tr.row.uploads == outcomeExtractive) {
		tr.Errorf("%d summaries are extractive, but the row says %q", extractive, tr.row.uploads)
	}
}

// checkTraffic checks the number of texts that the provider was sent, and the number of stored
// passages.
func (tr *behaviourTest) checkTraffic() {
	tr.Helper()
	sent, answered, needed := tr.texts.counts()
	counts := tr.provider.Counts()
	sentRatio, answeredRatio := float64(sent)/float64(needed), float64(answered)/float64(needed)
	tr.Logf("%d requests, %d refused; texts sent ÷ needed %.3f, answered ÷ needed %.3f", counts.EmbeddingRequests, counts.RequestsRefused, sentRatio, answeredRatio)
	if counts.RequestsRefused == 0 && tr.row.uploads == outcomeReady && sentRatio > maxResendRatio {
		tr.Errorf("texts sent ÷ needed is %.3f, want at most %.2f", sentRatio, maxResendRatio)
	}
	if answeredRatio > maxResendRatio {
		tr.Errorf("texts answered ÷ needed is %.3f, want at most %.2f", answeredRatio, maxResendRatio)
	}
	stored := tr.installation.QueryInt(`SELECT count(*) FROM ` + program.AllPassagesSQL + ` p WHERE p.content LIKE '%upload %'`)
	lost := 0
	if tr.row.uploads == outcomeFailed {
		lost = 1 // the refused passage
	}
	if want := tr.uploads*sections - lost; stored != want {
		tr.Errorf("%d passages are stored, want %d", stored, want)
	}
}

func (tr *behaviourTest) upload(key, text string) document.Job {
	tr.Helper()
	accepted, err := tr.c.Upload(tr.Context(), document.UploadRequest{Key: key}, strings.NewReader(text))
	if err != nil {
		tr.Fatalf("upload %s: %v", key, err)
	}
	return accepted.Job
}

func (tr *behaviourTest) await(job document.Job) document.Job {
	tr.Helper()
	ctx, cancel := context.WithTimeout(tr.Context(), waitTimeout)
	defer cancel()
	ended, err := tr.c.AwaitJob(ctx, job.ID, 10*time.Second, nil)
	if err != nil {
		tr.Fatalf("job %s: %v", job.ID, err)
	}
	return ended
}
