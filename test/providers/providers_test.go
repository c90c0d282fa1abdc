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

	"github.com/seed-7a112592/gristmill/pkg/client"
	"github.com/seed-7a112592/gristmill/pkg/document"
	"github.com/seed-7a112592/gristmill/test/await"
	"github.com/seed-7a112592/gristmill/test/fakeprovider"
	"github.com/seed-7a112592/gristmill/test/program"
)

const (
	dimensions = 64

	// resend bounds how often a text is embedded, on average.
	resend = 1.05

	patience = 4 * time.Minute

	question = "Which of the two stones turns?"
)

// Every behaviour ends as its row says, and every row is tried.
func TestBehaviours(t *testing.T) {
	t.Parallel()
	rows := readTable(t)
	if len(rows) < 30 || len(rows) != len(behaviours) {
		t.Errorf("docs/providers.md has %d rows, and there are %d behaviours", len(rows), len(behaviours))
	}
	for _, b := range behaviours {
		row, ok := rows[b.name]
		if !ok {
			t.Errorf("docs/providers.md has no row %q", b.name)
			continue
		}
		t.Run(b.name, func(t *testing.T) {
			t.Parallel()
			newTrial(t, b, row).run()
		})
	}
}

// trial is one behaviour under test.
type trial struct {
	*testing.T
	behaviour
	row      expectation
	uploads  int
	provider *fakeprovider.Provider
	traffic  *traffic
	site     *program.Site
	api      *program.Program
	c        *client.Client
	jobs     []document.Job // as accepted
}

func newTrial(t *testing.T, b behaviour, row expectation) *trial {
	tr := &trial{T: t, behaviour: b, row: row, uploads: 100, traffic: newTraffic()}
	if testing.Short() {
		tr.uploads = 10
	}
	tr.provider = fakeprovider.Start(t, fakeprovider.Options{Dimensions: dimensions})
	tr.provider.Follow(tr.traffic.watch(nil))
	tr.site = program.NewSite(t, append([]string{
		"GRISTMILL_OPENAI_BASE_URL=" + tr.provider.URL(),
		"GRISTMILL_EMBEDDING_MODEL=fake",
		fmt.Sprint("GRISTMILL_EMBEDDING_DIMENSIONS=", dimensions),
		"GRISTMILL_SUMMARY_MODEL=fake-chat",
		"GRISTMILL_CHUNK_TOKENS=200",
		"GRISTMILL_PROVIDER_TIMEOUT=3s",
		"GRISTMILL_SEARCH_TIMEOUT=10s", // the machine may be busy: what matters is whether a search is answered
	}, b.env...)...)
	tr.api = tr.site.Start("api")
	tr.site.Start("worker-knowledge")
	tr.site.Start("worker-summary")
	tr.c = tr.api.Client(program.Key)
	return tr
}

func (tr *trial) run() {
	// What others have uploaded before.
	for i := range 3 {
		tr.await(tr.upload(fmt.Sprintf("other-%d.md", i), text(fmt.Sprint("other ", i), "")))
	}
	tr.traffic.forget()
	tr.provider.Forget()
	tr.provider.Follow(tr.traffic.watch(tr.script()))
	stop := tr.searching()

	for i := range tr.uploads {
		mark := ""
		if i == tr.uploads/2 {
			mark = marker
		}
		tr.jobs = append(tr.jobs, tr.upload(fmt.Sprintf("upload-%d.md", i), text(fmt.Sprint("upload ", i), mark)))
	}
	if tr.mends {
		tr.mend()
	}
	for i := range tr.jobs {
		tr.jobs[i] = tr.await(tr.jobs[i])
	}
	tr.checkSearches(stop())
	tr.checkJobs()
	tr.checkSummaries()
	tr.checkTraffic()
}

// mend ends the behaviour once work waits for it, and has the model tried again
// at once, as an operator would.
func (tr *trial) mend() {
	tr.Helper()
	var waiting []document.Job
	await.Within(tr, patience, "a job waits and says: "+tr.row.says, func() bool {
		waiting = nil
		for _, job := range tr.jobs {
			job, err := tr.c.Job(tr.Context(), job.ID, 0)
			if err != nil {
				tr.Fatal(err)
			}
			for _, task := range []document.Task{job.Tasks.Knowledge.Task, job.Tasks.Summary.Task} {
				if task.State == document.Waiting && strings.Contains(task.Error, tr.row.says) {
					waiting = append(waiting, job)
				}
			}
		}
		return len(waiting) > 0
	})
	tr.provider.Follow(tr.traffic.watch(nil))
	for _, job := range waiting {
		_, err := tr.c.Retry(tr.Context(), job.ID)
		if p, refused := errors.AsType[*client.Problem](err); err != nil && (!refused || p.Status != http.StatusConflict) { // some have succeeded by now, since one retry lifts the wait of all
			tr.Errorf("retry of a job that waits: %v", err)
		}
	}
}

// searching searches until the function that it returns is called, which
// returns how often each status was answered.
func (tr *trial) searching() (stop func() map[int]int) {
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

func (tr *trial) checkSearches(statuses map[int]int) {
	tr.Helper()
	answered, unavailable := statuses[http.StatusOK], statuses[http.StatusServiceUnavailable]
	if len(statuses) == 0 {
		tr.Error("nothing was searched")
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

// namesPassage is how an error names what the provider does not take.
var namesPassage = regexp.MustCompile(`; passage \d+ .*, bytes \d+ to \d+: .+`)

func (tr *trial) checkJobs() {
	tr.Helper()
	failed, warnings := 0, 0
	for _, job := range tr.jobs {
		says := job.Tasks.Knowledge.Error + job.Tasks.Summary.Error
		for _, w := range job.Warnings {
			if strings.Contains(w.Code+" "+w.Detail, tr.row.says) {
				warnings++
			} else {
				tr.Errorf("%s has the warning %s: %s", job.ID, w.Code, w.Detail)
			}
		}
		if job.State == document.Succeeded {
			continue
		}
		failed++
		if !strings.Contains(says, tr.row.says) || says == "" {
			tr.Errorf("job %s is %s and says %q, want %q", job.ID, job.State, says, tr.row.says)
		}
		if tr.row.uploads == failing && !namesPassage.MatchString(says) {
			tr.Errorf("job %s does not name the passage: %s", job.ID, says)
		}
		tr.Log(says)
	}
	wantFailed := 0
	if tr.row.uploads == failing {
		wantFailed = 1
	}
	if failed != wantFailed {
		tr.Errorf("%d jobs have failed, want %d", failed, wantFailed)
	}
	if (warnings > 0) != (tr.row.uploads == warned || tr.row.uploads == extract) {
		tr.Errorf("there are %d warnings and the row says %q", warnings, tr.row.uploads)
	}
	if used := tr.site.Count(`SELECT count(*) FROM tasks WHERE attempt > 1`); used > 0 && tr.row.uploads != failing {
		tr.Errorf("%d tasks have used up attempts", used)
	}
}

// checkSummaries checks that documents were summarised by the model, or one of
// them at least by extraction where the row says so.
func (tr *trial) checkSummaries() {
	tr.Helper()
	extractive := 0
	for _, job := range tr.jobs {
		if job.Tasks.Summary.State != document.Succeeded {
			continue
		}
		summary, err := tr.c.Summary(tr.Context(), job.DocumentID)
		switch {
		case err != nil && job.Tasks.Knowledge.State == document.Succeeded:
			tr.Errorf("summary of %s: %v", job.DocumentID, err)
		case strings.Contains(summary.Summary, "think"):
			tr.Errorf("%s is summarised with thoughts: %s", job.DocumentID, summary.Summary)
		case summary.Model == "extractive":
			extractive++
		}
	}
	if (extractive > 0) != (tr.row.uploads == extract) {
		tr.Errorf("%d summaries are extractive, and the row says %q", extractive, tr.row.uploads)
	}
}

// checkTraffic checks what the provider was sent and what was stored of it.
func (tr *trial) checkTraffic() {
	tr.Helper()
	sent, answered, needed := tr.traffic.counts()
	counts := tr.provider.Counts()
	ratio, paid := float64(sent)/float64(needed), float64(answered)/float64(needed)
	tr.Logf("%d requests, %d refused; texts sent ÷ needed %.3f, answered ÷ needed %.3f", counts.Requests, counts.Refused, ratio, paid)
	if counts.Refused == 0 && tr.row.uploads == ready && ratio > resend {
		tr.Errorf("texts sent ÷ needed is %.3f, want at most %.2f", ratio, resend)
	}
	if paid > resend {
		tr.Errorf("texts answered ÷ needed is %.3f, want at most %.2f", paid, resend)
	}
	stored := tr.site.Count(`SELECT count(*) FROM ` + program.Passages + ` p WHERE p.content LIKE '%upload %'`)
	lost := 0
	if tr.row.uploads == failing {
		lost = 1 // the passage
	}
	if want := tr.uploads*sections - lost; stored != want {
		tr.Errorf("%d passages are stored, want %d", stored, want)
	}
}

func (tr *trial) upload(key, text string) document.Job {
	tr.Helper()
	accepted, err := tr.c.Upload(tr.Context(), document.UploadRequest{Key: key}, strings.NewReader(text))
	if err != nil {
		tr.Fatalf("upload %s: %v", key, err)
	}
	return accepted.Job
}

func (tr *trial) await(job document.Job) document.Job {
	tr.Helper()
	ctx, cancel := context.WithTimeout(tr.Context(), patience)
	defer cancel()
	ended, err := tr.c.Await(ctx, job.ID, 10*time.Second, nil)
	if err != nil {
		tr.Fatalf("job %s: %v", job.ID, err)
	}
	return ended
}
