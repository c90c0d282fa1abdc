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
	// question is one that the provider has to embed.
	question = "which grain is ground twice?"

	// searchDeadline is within what time a search is answered, whatever the provider
	// does.
	searchDeadline = time.Second

	// inFlight is how many requests a program has at the provider at a time.
	inFlight = 4

	// retryAfter is what a provider that limits the rate asks for.
	retryAfter = 3 * time.Second
)

// newTestEnvWithModels returns an installation with all programs, whose embedding
// and summary models are held each for itself, and which does not wait
// long for an answer.
func newTestEnvWithModels(t *testing.T, more ...string) *testEnv {
	t.Helper()
	m := newTestEnv(t, sharedServers(t), fakeprovider.Options{Latency: 100 * time.Millisecond}, append([]string{
		"GRISTMILL_SUMMARY_MODEL=fake-chat",
		"GRISTMILL_EMBEDDING_CONCURRENCY=4", // inFlight
		"GRISTMILL_PROVIDER_TIMEOUT=2s",
		// That of the short form leaves more of the second to machines that run
		// all tests at once; the other is the default.
		"GRISTMILL_SEARCH_TIMEOUT=" + ifShort(500*time.Millisecond, 800*time.Millisecond).String(),
	}, more...)...)
	return m
}

// outage is a way for the provider to be of no use.
type outage struct {
	name       string
	begin, end func(m *testEnv)
	lasts      time.Duration
	tries      time.Duration // how often the provider is asked meanwhile; 0 where that is not counted
	lost       int           // passages that may be paid for and not received
}

// The provider is away for a while. Work waits for it without using up its
// attempts, and what does not need it goes on.
func TestProviderIsAway(t *testing.T) {
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
		t.Fatalf("search is answered %d while all is well", status)
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
	// Not all that is left has been tried: the queue is kept short.
	const left, waits = `SELECT count(*) FROM tasks WHERE kind = 'knowledge' AND state <> 'succeeded'`, ` AND attempt = 0 AND state = 'waiting' AND error <> ''`
	await.Within(t, time.Minute, "all that was tried waits, but for what tries the provider", func() bool {
		return m.hasLogged("the model is held") && m.direct.QueryInt(left+waits) > 0 && m.direct.QueryInt(left+` AND attempt > 0`) <= 1
	})
	waiting, undone := m.direct.QueryInt(left+waits), m.direct.QueryInt(left)
	if undone < len(files)/4 {
		t.Fatalf("only %d of %d documents were left; the test has to be slower", undone, len(files))
	}
	<-over
	refused, lasted := m.provider.Counts().RequestsRefused-before, time.Since(began)
	o.end(m)

	await.Within(t, 2*time.Minute, "the provider is found to answer again", func() bool { return m.hasLogged("answers again") })
	m.audit(2*time.Minute, o.lost)
	m.checkAttempts()
	m.checkCharged(o.lost)
	t.Logf("%d of %d documents waited, %d requests were refused, the slowest search took %s", waiting, undone, refused, slowest.Round(time.Millisecond))
	if o.tries > 0 {
		// What was in flight, a search that nobody had warned, and a try each time.
		if most := inFlight + 1 + int(lasted/o.tries) + 1; refused > most {
			t.Errorf("%d requests were refused in %s, want at most %d", refused, lasted, most)
		}
	}
	if status, _ := m.search(); status != http.StatusOK {
		t.Errorf("search is answered %d after the outage", status)
	}
}

// The provider answers three requests in ten with an error. Work gets done,
// and nothing is paid for twice.
func TestProviderFailsNowAndThen(t *testing.T) {
	t.Parallel()
	m := newTestEnvWithModels(t)
	m.startAll()
	files := newFiles(m.random, ifShort(60, 300))
	m.provider.FailShare(fakeprovider.Status(http.StatusInternalServerError, "oops"), 0.3, m.random.Uint64())
	m.uploadAll(files)
	var slowest time.Duration
	for range 5 { // each of which is paid for, and counts as not needed
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

// The provider answers nonsense to passages of some documents. Nothing of it is
// stored, all other passages are, those of the same answer too, and the job says
// what was wrong, and with which passage.
func TestProviderAnswersNonsense(t *testing.T) {
	t.Parallel()
	m := newTestEnvWithModels(t)
	broken := map[string]*badAnswer{
		// Its last passage, which is sent once more by itself.
		"nan.md": {fault: func(a *fakeprovider.Answer) {
			fakeprovider.NaN(a)
			a.Correct, a.InvalidVectors = true, []int{len(a.Vectors) - 1}
		}, reason: regexp.MustCompile(`1 of the document's passages.*; passage \d+ .*, bytes \d+ to \d+: .* a number that is not finite$`), requests: 2, lost: 1},
		"truncated.md": {fault: fakeprovider.TruncatedJSON, reason: regexp.MustCompile(`^given up after 3 attempts: `), requests: 9}, // three for each
	}
	var mended atomic.Bool
	m.provider.SetScript(func(r fakeprovider.Request) fakeprovider.Fault {
		for key, n := range broken {
			if !mended.Load() && !r.Chat && strings.Contains(r.Texts[0], key) {
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
	await.Within(t, time.Minute, "the other documents are searchable, and nonsense is noticed", func() bool {
		return m.direct.QueryInt(`SELECT count(*) FROM documents WHERE state = 'ready'`) == len(files) &&
			m.direct.QueryInt(`SELECT count(*) FROM tasks WHERE kind = 'knowledge' AND state = 'failed'`) == len(broken) &&
			m.direct.QueryInt(`SELECT count(*) FROM tasks WHERE kind = 'summary' AND state <> 'succeeded'`) == 0
	})
	if stored := m.direct.QueryInt(`SELECT count(*) FROM ` + program.AllPassagesSQL + ` p`); stored != want {
		t.Errorf("%d passages are stored, want the %d that were answered well", stored, want)
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
			t.Errorf("%s: listed as failed: %t; for the reason %q, want %q", key, listed, reason, n.reason)
		}
		if requests := n.got.Load(); requests != n.requests {
			t.Errorf("%s: %d requests got the same nonsense, want %d", key, requests, n.requests)
		}
	}

	mended.Store(true)
	for id := range failed {
		if _, err := m.client().RetryJob(t.Context(), id); err != nil {
			t.Errorf("retry: %v", err)
		}
	}
	m.audit(time.Minute, 0)
}

// badAnswer is what the provider answers to one document.
type badAnswer struct {
	fault    fakeprovider.Fault
	reason   *regexp.Regexp
	requests int64 // that get it until the document is given up
	lost     int   // passages of the document; 0 for all
	got      atomic.Int64
	job      uuid.UUID
}

// awaitFirstSuccess waits until some document is all done, and returns its job.
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

// search searches, and returns the status and how long the answer took. It must
// have come in time, and one that puts off must say until when.
func (m *testEnv) search() (status int, took time.Duration) {
	m.t.Helper()
	began := time.Now()
	status, header, body := m.send("POST", "/v1/search", map[string]string{"query": question})
	took = time.Since(began)
	if took > searchDeadline {
		m.t.Errorf("search is answered %d after %s", status, took)
	}
	if status == http.StatusServiceUnavailable && header.Get("Retry-After") == "" {
		m.t.Errorf("search is put off without saying until when: %s", body)
	}
	return status, took
}

// send makes a request, once, with a body in JSON or none.
func (m *testEnv) send(method, path string, body any) (status int, header http.Header, answer []byte) {
	m.t.Helper()
	status, header, answer, err := m.api.Send(m.t.Context(), method, path, body)
	if err != nil {
		m.t.Fatalf("%s %s: %v", method, path, err)
	}
	return status, header, answer
}

// checkReadable checks that all can be read of a document and of its job.
func (m *testEnv) checkReadable(job document.Job) {
	m.t.Helper()
	// The client comes back when it is put off, for which there is no time.
	ctx, cancel := context.WithTimeout(m.t.Context(), uploadDeadline)
	defer cancel()
	c := m.client()
	_, listing := c.Documents(ctx, document.DocumentFilter{}, document.Page{})
	_, getting := c.Document(ctx, job.DocumentID)
	_, reading := content(ctx, c, job.DocumentID)
	_, cutting := c.Passages(ctx, job.DocumentID, document.Page{})
	_, summing := c.Summary(ctx, job.DocumentID)
	_, asking := c.Job(ctx, job.ID, 0)
	_, queueing := c.Jobs(ctx, document.JobFilter{State: document.JobWaiting}, document.Page{})
	for what, err := range map[string]error{
		"documents": listing, "document": getting, "content": reading, "passages": cutting,
		"summary": summing, "job": asking, "jobs": queueing,
	} {
		if err != nil {
			m.t.Errorf("%s cannot be read: %v", what, err)
		}
	}
}

// hasLogged reports whether a program has logged a text.
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

// countLogged returns how often a program has logged a text.
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

// checkAttempts checks that no job has used up an attempt by waiting.
func (m *testEnv) checkAttempts() {
	m.t.Helper()
	for _, job := range audit.Jobs(m.t, m.client()) {
		if k, s := job.Tasks.Knowledge.Attempt, job.Tasks.Summary.Attempt; k > 1 || s > 1 {
			m.t.Errorf("job %s took %d and %d attempts, want 1 each", job.ID, k, s)
		}
	}
}

// checkCharged holds the tokens that the provider was paid for against those
// that were needed: of each passage once.
func (m *testEnv) checkCharged(lost int) {
	m.t.Helper()
	needed := 0
	for text := range m.provider.EmbeddedTexts() {
		if text != question {
			needed += (len(text) + 3) / 4 // as the provider counts
		}
	}
	charged := m.provider.Counts().TokensCharged
	m.t.Logf("%d tokens were charged, %d needed: %.4f", charged, needed, float64(charged)/float64(needed))
	const most = 400 // tokens in a passage
	if charged > needed+needed/20+lost*most {
		m.t.Errorf("%d tokens were charged, and %d needed", charged, needed)
	}
}
