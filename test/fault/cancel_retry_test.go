package fault_test

import (
	"hash/crc32"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/seed-7a112592/gristmill/internal/provider"
	"github.com/seed-7a112592/gristmill/internal/test/audit"
	"github.com/seed-7a112592/gristmill/internal/test/await"
	"github.com/seed-7a112592/gristmill/internal/test/fakeprovider"
	"github.com/seed-7a112592/gristmill/pkg/document"
)

// smallBatchEnv sets the number of passages in a request. It is small, so that a document needs
// many requests.
const smallBatchEnv = "GRISTMILL_EMBEDDING_BATCH=16"

// A job is cancelled while the provider does not answer. Within two seconds no request waits for
// the provider any more, with and without Redis, and readers still see the previous version. A
// retry continues where the job stopped.
func TestCancelStopsRequests(t *testing.T) {
	t.Parallel()
	for name, redis := range map[string]bool{"with Redis": true, "without Redis": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			const bound = 2 * time.Second
			m := newTestEnv(t, sharedServers(t), fakeprovider.Options{Latency: 200 * time.Millisecond}, smallBatchEnv)
			m.startAll()
			older := newFile(m.random, "cancelled.md", 2, 2)
			m.wantAccepted(older)
			audit.AwaitIdle(t, m.direct, time.Minute)
			newer := newFile(m.random, older.key, 8, 150)
			accepted, err := m.uploads.Upload(t.Context(), m.client(), newer.key, newer.text)
			if err != nil {
				t.Fatal(err)
			}
			stored := func() int { return m.direct.QueryInt(`SELECT count(*) FROM manifest WHERE version = 2`) }
			await.Until(t, "a part of the document is stored", func() bool { return stored() > 0 })
			m.gate.holdEmbeddings()
			await.Until(t, "the worker waits for the provider", func() bool { return m.gate.heldEmbeddings() > 1 })

			if !redis {
				m.redis.down()
			}
			began := time.Now()
			job, err := m.client().CancelJob(t.Context(), accepted.Job.ID)
			if err != nil || job.State != document.JobCancelled {
				t.Fatalf("cancel: %s, %v", job.State, err)
			}
			answered := time.Now()
			await.Within(t, bound, "the requests in flight are aborted", func() bool { return m.gate.heldEmbeddings()+m.provider.InFlight() == 0 })
			t.Logf("the cancel request took %s, the requests in flight ended another %s later; %d passages were stored",
				answered.Sub(began).Round(time.Millisecond), time.Since(answered).Round(time.Millisecond), stored())
			<-time.After(time.Until(answered.Add(bound)))
			sent := m.requests()
			m.gate.release()

			d, err := m.client().Document(t.Context(), accepted.Document.ID)
			if err != nil {
				t.Fatal(err)
			}
			audit.CheckDocument(t, m.client(), d, older.text)
			m.wantFound(older) // sends one request
			if n := m.requests() - sent; n != 1 {
				t.Errorf("%d requests were sent more than %s after the cancel request", n-1, bound)
			}

			if !redis {
				m.redis.up()
			}
			if _, err := m.client().RetryJob(t.Context(), job.ID); err != nil {
				t.Fatalf("retry: %v", err)
			}
			m.audit(2*time.Minute, 4*16) // allows for answers received before the worker noticed the cancellation
		})
	}
}

// requests returns the number of requests that the provider has received.
func (m *testEnv) requests() int {
	c := m.provider.Counts()
	return c.EmbeddingRequests + c.ChatRequests
}

// wantFound checks that a search finds passages of this file only.
func (m *testEnv) wantFound(f file) {
	m.t.Helper()
	result, err := m.client().Search(m.t.Context(), document.SearchRequest{Query: "Which grain does the mill grind?"})
	if err != nil || len(result.Hits) == 0 {
		m.t.Errorf("search: %d hits, %v", len(result.Hits), err)
	}
	for _, hit := range result.Hits {
		if hit.Key != f.key || hit.Content != f.text[hit.Start:hit.End] {
			m.t.Errorf("search found %s %d to %d: %.60q", hit.Key, hit.Start, hit.End, hit.Content)
		}
	}
}

// A job that failed in the middle continues there when it is retried: no text with a correct answer
// is sent again.
func TestRetryResumes(t *testing.T) {
	t.Parallel()
	m := newTestEnv(t, sharedServers(t), fakeprovider.Options{Latency: 50 * time.Millisecond}, smallBatchEnv)
	m.provider.SetScript(func(request fakeprovider.Request) fakeprovider.Fault {
		if slices.ContainsFunc(request.Texts, func(text string) bool { return text != provider.ProbeText && crc32.ChecksumIEEE([]byte(text))%16 == 0 }) {
			return fakeprovider.WrongCount
		}
		return nil
	})
	m.startAll()
	f := newFile(m.random, "resumed.md", sections, 2)
	accepted, err := m.uploads.Upload(t.Context(), m.client(), f.key, f.text)
	if err != nil {
		t.Fatal(err)
	}
	job, err := m.client().AwaitJob(t.Context(), accepted.Job.ID, 10*time.Second, nil)
	if err != nil || job.State != document.JobFailed || !strings.Contains(job.Error, "vectors for") {
		t.Fatalf("the job is %s: %q, %v; want it failed because of the vectors", job.State, job.Error, err)
	}
	answered := func() (times int) {
		for text, n := range m.provider.EmbeddedTexts() {
			if text != provider.ProbeText {
				times += n
			}
		}
		return times
	}
	done, all := answered(), countPassages(t, []file{f})
	if done == 0 || done >= all {
		t.Fatalf("%d of %d passages were embedded when the job failed; the test needs some, but not all", done, all)
	}

	m.provider.SetScript(nil)
	if job, err = m.client().RetryJob(t.Context(), job.ID); err != nil || job.State.Ended() {
		t.Fatalf("retry: %s, %v", job.State, err)
	}
	m.audit(time.Minute, 0)
	t.Logf("%d of %d passages were embedded before the retry", done, all)
	if answered := answered(); answered != all {
		t.Errorf("%d passages were embedded in total, want each of the %d once", answered, all)
	}
}
