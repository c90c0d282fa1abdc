package fault_test

import (
	"context"
	"net/http"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/seed-7a112592/gristmill/internal/test/audit"
	"github.com/seed-7a112592/gristmill/internal/test/await"
	"github.com/seed-7a112592/gristmill/internal/test/fakeprovider"
	"github.com/seed-7a112592/gristmill/internal/test/program"
	"github.com/seed-7a112592/gristmill/pkg/document"
)

const (
	// question is the query of the searches, which the provider has to embed.
	question = "which grain is ground twice?"

	// searchDeadline is the time limit for the answer to a search, whatever the provider does.
	searchDeadline = time.Second

	// inFlight is the maximum number of concurrent requests from a program to the provider.
	inFlight = 4

	// retryAfter is the Retry-After of a provider that limits the rate.
	retryAfter = 3 * time.Second
)

// newTestEnvWithModels returns an environment with different models for embeddings and summaries,
// so that each is held separately, and with short timeouts for requests.
func newTestEnvWithModels(t *testing.T, more ...string) *testEnv {
	t.Helper()
	m := newTestEnv(t, sharedServers(t), fakeprovider.Options{Latency: 100 * time.Millisecond}, append([]string{
		"GRISTMILL_SUMMARY_MODEL=fake-chat",
		"GRISTMILL_EMBEDDING_CONCURRENCY=4", // inFlight
		"GRISTMILL_PROVIDER_TIMEOUT=2s",
		// The value of the short form leaves more time to machines that run all tests in parallel.
		// The other one is the default.
		"GRISTMILL_SEARCH_TIMEOUT=" + ifShort(500*time.Millisecond, 800*time.Millisecond).String(),
	}, more...)...)
	return m
}

// outage is a way in which the provider cannot be used.
type outage struct {
	name       string
	begin, end func(m *testEnv)
	lasts      time.Duration
	tries      time.Duration // interval between requests during the outage; 0 if they are not counted
	lost       int           // number of passages that may be charged but not received
}

// The provider is unavailable for a while. Tasks wait for it without using up attempts, and
// everything that does not need it works.
func TestProviderOutage(t *testing.T) {
	t.Parallel()
	lasts := ifShort(5*time.Second, time.Minute)
	for _, o := range []outage{{
		name:  "rate limit",
		begin: func(m *testEnv) { m.provider.FailNext(fakeprovider.RateLimit("3"), -1) }, // retryAfter
		end:   func(m *testEnv) { m.provider.FailNext(nil, 0) },
		tries: retryAfter,
	}, {
		name:  "hangs",
		begin: func(m *testEnv) { m.provider.FailNext(fakeprovider.Hang, -1) },
		end:   func(m *testEnv) { m.provider.FailNext(nil, 0) },
	}, {
		name:  "unreachable",
		begin: func(m *testEnv) { m.providerProxy.down() },
		end:   func(m *testEnv) { m.providerProxy.up() },
		lost:  inFlight * maxBatchPassages,
	}} {
		t.Run(o.name, func(t *testing.T) {
			t.Parallel()
			o.lasts = lasts
			o.test(t)
		})
	}
}

func (o outage) test(t *testing.T) {
	m := newTestEnvWithModels(t)
	files := newFiles(m.random, ifShort(60, 200))
	late := files[len(files)-10:]
	m.start("api")
	m.start("worker-summary")
	m.uploadAll(files[:len(files)-len(late)])
	if status, _ := m.search(); status != http.StatusOK {
		t.Fatalf("search is answered %d before the outage", status)
	}
	m.start("worker-knowledge")
	ready := m.awaitFirstSuccess()

	o.begin(m)
	before, began := m.provider.Counts().RequestsRefused, time.Now()
	over := time.After(o.lasts)
	var slowest time.Duration
	for _, f := range late {
		status, took := m.search()
		if status != http.StatusServiceUnavailable {
			t.Errorf("search is answered %d", status)
		}
		slowest = max(slowest, took)
		m.wantAccepted(f)
		m.checkReadable(ready)
	}
	// Only some of the remaining tasks have been tried, because the queue is kept short.
	const left, waits = `SELECT count(*) FROM tasks WHERE kind = 'knowledge' AND state <> 'succeeded'`, ` AND attempt = 0 AND state = 'waiting' AND error <> ''`
	await.Within(t, time.Minute, "all tried tasks wait, except one that probes the provider", func() bool {
		return m.hasLogged("the model is held") && m.direct.QueryInt(left+waits) > 0 && m.direct.QueryInt(left+` AND attempt > 0`) <= 1
	})
	waiting, undone := m.direct.QueryInt(left+waits), m.direct.QueryInt(left)
	if undone < len(files)/4 {
		t.Fatalf("only %d of %d documents were left; the provider must be slower for this test", undone, len(files))
	}
	<-over
	refused, lasted := m.provider.Counts().RequestsRefused-before, time.Since(began)
	o.end(m)

	await.Within(t, 2*time.Minute, "a program logs that the provider answers again", func() bool { return m.hasLogged("answers again") })
	m.audit(2*time.Minute, o.lost)
	m.checkAttempts()
	m.checkCharged(o.lost)
	t.Logf("%d of %d remaining documents waited, %d requests were refused, the slowest search took %s", waiting, undone, refused, slowest.Round(time.Millisecond))
	if o.tries > 0 {
		// Requests in flight, one search before the model was held, and one per interval.
		if limit := inFlight + 1 + int(lasted/o.tries) + 1; refused > limit {
			t.Errorf("%d requests were refused in %s, want at most %d", refused, lasted, limit)
		}
	}
	if status, _ := m.search(); status != http.StatusOK {
		t.Errorf("search is answered %d after the outage", status)
	}
}

// The provider answers 30 % of the requests with an error. All work is done, and nothing is charged
// twice.
func TestProviderFailsIntermittently(t *testing.T) {
	t.Parallel()
	m := newTestEnvWithModels(t)
	m.startAll()
	files := newFiles(m.random, ifShort(60, 300))
	m.provider.FailShare(fakeprovider.Status(http.StatusInternalServerError, "oops"), 0.3, m.random.Uint64())
	m.uploadAll(files)
	var slowest time.Duration
	for range 5 { // each is charged, and counts as not needed
		status, took := m.search()
		if status != http.StatusOK && status != http.StatusServiceUnavailable {
			t.Errorf("search is answered %d", status)
		}
		slowest = max(slowest, took)
	}
	m.provider.FailShare(nil, 0, 0)
	m.audit(2*time.Minute, 0)
	m.checkAttempts()
	m.checkCharged(0)
	t.Logf("%d requests were refused, the slowest search took %s", m.provider.Counts().RequestsRefused, slowest.Round(time.Millisecond))
}

// The provider returns invalid vectors for passages of some documents. None of these is stored; all
// other passages are, also those of the same answer. The job names the error and the passage.
func TestProviderReturnsInvalidAnswers(t *testing.T) {
	t.Parallel()
	m := newTestEnvWithModels(t)
	broken := map[string]*badAnswer{
		// NaN in the last passage, which is then sent once more in its own request.
		"nan.md": {fault: func(a *fakeprovider.Answer) {
			fakeprovider.NaN(a)
			a.Correct, a.InvalidVectors = true, []int{len(a.Vectors) - 1}
		}, reason: regexp.MustCompile(`1 of the document's passages.*; passage \d+ .*, bytes \d+ to \d+: .* a number that is not finite$`), requests: 2, lost: 1},
		"truncated.md": {fault: fakeprovider.TruncatedJSON, reason: regexp.MustCompile(`^given up after 3 attempts: `), requests: 9}, // three per attempt
	}
	var fixed atomic.Bool
	m.provider.SetScript(func(r fakeprovider.Request) fakeprovider.Fault {
		for key, n := range broken {
			if !fixed.Load() && !r.Chat && strings.Contains(r.Texts[0], key) {
				n.got.Add(1)
				return n.fault
			}
		}
		return nil
	})
	m.startAll()

	files := newFiles(m.random, ifShort(20, 100))
	want := countPassages(t, files)
	for key, n := range broken {
		f := newFile(m.random, key, 3, 6)
		if n.lost > 0 {
			want += countPassages(t, []file{f}) - n.lost
		}
		accepted, err := m.uploads.Upload(t.Context(), m.client(), f.key, f.text)
		if err != nil {
			t.Fatal(err)
		}
		n.job = accepted.Job.ID
	}
	m.uploadAll(files)
	await.Within(t, time.Minute, "the other documents are searchable, and the two broken ones have failed", func() bool {
		return m.direct.QueryInt(`SELECT count(*) FROM documents WHERE state = 'ready'`) == len(files) &&
			m.direct.QueryInt(`SELECT count(*) FROM tasks WHERE kind = 'knowledge' AND state = 'failed'`) == len(broken) &&
			m.direct.QueryInt(`SELECT count(*) FROM tasks WHERE kind = 'summary' AND state <> 'succeeded'`) == 0
	})
	if stored := m.direct.QueryInt(`SELECT count(*) FROM ` + program.AllPassagesSQL + ` p`); stored != want {
		t.Errorf("%d passages are stored, want the %d with correct answers", stored, want)
	}
	failed := map[uuid.UUID]document.Job{}
	for job, err := range m.client().AllJobs(t.Context(), document.JobFilter{State: document.JobFailed}) {
		if err != nil {
			t.Fatal(err)
		}
		failed[job.ID] = job
	}
	if len(failed) != len(broken) {
		t.Errorf("%d jobs are listed as failed, want %d", len(failed), len(broken))
	}
	for key, n := range broken {
		job, err := m.client().Job(t.Context(), n.job, 0)
		if err != nil {
			t.Fatal(err)
		}
		reason := job.Tasks.Knowledge.Error
		t.Logf("%s: %s after %d requests: %s", key, job.State, n.got.Load(), reason)
		if _, listed := failed[n.job]; !listed || !n.reason.MatchString(reason) {
			t.Errorf("%s: listed as failed: %t; error %q, want %q", key, listed, reason, n.reason)
		}
		if requests := n.got.Load(); requests != n.requests {
			t.Errorf("%s: %d requests got the invalid answer, want %d", key, requests, n.requests)
		}
	}

	fixed.Store(true)
	for id := range failed {
		if _, err := m.client().RetryJob(t.Context(), id); err != nil {
			t.Errorf("retry: %v", err)
		}
	}
	m.audit(time.Minute, 0)
}

// badAnswer is the provider's invalid answer for one document.
type badAnswer struct {
	fault    fakeprovider.Fault
	reason   *regexp.Regexp
	requests int64 // number of requests that get it until the document fails
	lost     int   // number of passages that are not stored; 0 for all of the document
	got      atomic.Int64
	job      uuid.UUID
}

// awaitFirstSuccess waits until a job succeeds, and returns it.
func (m *testEnv) awaitFirstSuccess() (done document.Job) {
	m.t.Helper()
	await.Within(m.t, time.Minute, "a document is done", func() bool {
		for job, err := range m.client().AllJobs(m.t.Context(), document.JobFilter{State: document.JobSucceeded}) {
			if err != nil {
				m.t.Fatal(err)
			}
			done = job
			return true
		}
		return false
	})
	return done
}

// search searches, and returns the status and the duration. The answer must arrive within
// searchDeadline; a 503 must have Retry-After.
func (m *testEnv) search() (status int, took time.Duration) {
	m.t.Helper()
	began := time.Now()
	status, header, body := m.send("POST", "/v1/search", map[string]string{"query": question})
	took = time.Since(began)
	if took > searchDeadline {
		m.t.Errorf("search is answered %d after %s, want at most %s", status, took, searchDeadline)
	}
	if status == http.StatusServiceUnavailable && header.Get("Retry-After") == "" {
		m.t.Errorf("search is answered 503 without Retry-After: %s", body)
	}
	return status, took
}

// send sends one request, with a JSON body or none.
func (m *testEnv) send(method, path string, body any) (status int, header http.Header, answer []byte) {
	m.t.Helper()
	status, header, answer, err := m.api.Send(m.t.Context(), method, path, body)
	if err != nil {
		m.t.Fatalf("%s %s: %v", method, path, err)
	}
	return status, header, answer
}

// checkReadable checks that everything about a document and its job can be read.
func (m *testEnv) checkReadable(job document.Job) {
	m.t.Helper()
	// The deadline is short, because the client retries after a 503, for which there is no time.
	ctx, cancel := context.WithTimeout(m.t.Context(), uploadDeadline)
	defer cancel()
	c := m.client()
	_, documentsErr := c.Documents(ctx, document.DocumentFilter{}, document.Page{})
	_, documentErr := c.Document(ctx, job.DocumentID)
	_, contentErr := content(ctx, c, job.DocumentID)
	_, passagesErr := c.Passages(ctx, job.DocumentID, document.Page{})
	_, summaryErr := c.Summary(ctx, job.DocumentID)
	_, jobErr := c.Job(ctx, job.ID, 0)
	_, jobsErr := c.Jobs(ctx, document.JobFilter{State: document.JobWaiting}, document.Page{})
	for what, err := range map[string]error{
		"documents": documentsErr, "document": documentErr, "content": contentErr, "passages": passagesErr,
		"summary": summaryErr, "job": jobErr, "jobs": jobsErr,
	} {
		if err != nil {
			m.t.Errorf("%s cannot be read: %v", what, err)
		}
	}
}

// hasLogged reports whether any program has logged a text.
func (m *testEnv) hasLogged(text string) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, p := range m.programs {
		if strings.Contains(p.Output(), text) {
			return true
		}
	}
	return false
}

// countLogged returns the number of times that the programs with this name have logged a text.
func (m *testEnv) countLogged(name, text string) (times int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, p := range m.programs {
		if p.Name == name {
			times += strings.Count(p.Output(), text)
		}
	}
	return times
}

// checkAttempts checks that no job used up an attempt by waiting.
func (m *testEnv) checkAttempts() {
	m.t.Helper()
	for _, job := range audit.Jobs(m.t, m.client()) {
		if k, s := job.Tasks.Knowledge.Attempt, job.Tasks.Summary.Attempt; k > 1 || s > 1 {
			m.t.Errorf("job %s took %d and %d attempts, want 1 each", job.ID, k, s)
		}
	}
}

// checkCharged compares the charged tokens with the needed ones: those of each passage once.
func (m *testEnv) checkCharged(lost int) {
	m.t.Helper()
	needed := 0
	for text := range m.provider.EmbeddedTexts() {
		if text != question {
			needed += (len(text) + 3) / 4 // the same count as the provider's
		}
	}
	charged := m.provider.Counts().TokensCharged
	m.t.Logf("%d tokens were charged, %d needed: %.4f", charged, needed, float64(charged)/float64(needed))
	const maxTokens = 400 // in a passage
	if charged > needed+needed/20+lost*maxTokens {
		m.t.Errorf("%d tokens were charged, but only %d were needed", charged, needed)
	}
}
