package progress_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/redis/go-redis/v9"

	"github.com/seed-7a112592/gristmill/internal/backend/progress"
	"github.com/seed-7a112592/gristmill/internal/task"
	"github.com/seed-7a112592/gristmill/internal/tenant"
	"github.com/seed-7a112592/gristmill/internal/test/await"
	"github.com/seed-7a112592/gristmill/pkg/document"
)

func TestProgress(t *testing.T) {
	onEachRedis(t, func(t *testing.T, url string) {
		worker, api := newStore(t, url), newStore(t, url)
		knowledge := newWork(task.KindKnowledge)
		knowledge.Attempt = 2
		summary := newWork(task.KindSummary)
		summary.JobID = knowledge.JobID
		want := progress.Snapshot{
			Knowledge: &progress.TaskProgress[document.KnowledgeProgress]{
				Attempt:  2,
				Progress: document.KnowledgeProgress{Stage: "streaming", BytesDone: 1, BytesTotal: 2, Passages: 3, Embedded: 4, Reused: 5},
			},
			Summary: &progress.TaskProgress[document.SummaryProgress]{
				Attempt:  1,
				Progress: document.SummaryProgress{Sections: 1, SectionsDone: 2, SectionsReused: 3},
			},
		}
		if diff := cmp.Diff(progress.Snapshot{}, mustProgress(t, api, knowledge.JobID)); diff != "" {
			t.Errorf("before any report (-want +got):\n%s", diff)
		}
		worker.ReportProgress(t.Context(), knowledge, want.Knowledge.Progress)
		await.Until(t, "knowledge is reported", func() bool { return mustProgress(t, api, knowledge.JobID).Knowledge != nil })
		if s := mustProgress(t, api, knowledge.JobID); s.Summary != nil {
			t.Errorf("summary = %+v before any report", s.Summary)
		}
		worker.ReportProgress(t.Context(), summary, want.Summary.Progress)
		await.Until(t, "both are reported", func() bool { return mustProgress(t, api, knowledge.JobID).Summary != nil })
		if diff := cmp.Diff(want, mustProgress(t, api, knowledge.JobID)); diff != "" {
			t.Errorf("progress (-want +got):\n%s", diff)
		}

		foreign, err := api.Progress(tenant.With(t.Context(), "other"), knowledge.JobID)
		if diff := cmp.Diff(progress.Snapshot{}, foreign); err != nil || diff != "" {
			t.Errorf("another tenant's job: %v (-want +got):\n%s", err, diff)
		}
		if _, err := api.Progress(t.Context(), knowledge.JobID); err == nil {
			t.Error("Progress without a tenant succeeded")
		}
	})
}

// Reports are written a few times a second, however many there are, and the last one is kept.
func TestReportsAreThrottled(t *testing.T) {
	onEachRedis(t, func(t *testing.T, url string) {
		l, work := newStore(t, url), newWork(task.KindKnowledge)
		c := redisClient(t, url)
		listener := c.Subscribe(t.Context(), "job:"+work.JobID.String())
		t.Cleanup(func() { _ = listener.Close() })
		if _, err := listener.Receive(t.Context()); err != nil {
			t.Fatal(err)
		}
		published := listener.Channel()

		const last = 100_000
		start := time.Now()
		for done := range int64(last + 1) {
			l.ReportProgress(t.Context(), work, document.KnowledgeProgress{BytesDone: done})
		}
		await.Until(t, "the last report is written", func() bool {
			s := mustProgress(t, l, work.JobID)
			return s.Knowledge != nil && s.Knowledge.Progress.BytesDone == last
		})
		if n, most := len(published), 2+int(time.Since(start)/(200*time.Millisecond)); n > most {
			t.Errorf("%d writes in %s, want at most %d", n, time.Since(start), most)
		}
		ttl, err := c.TTL(t.Context(), "job:"+work.JobID.String()).Result()
		if err != nil || ttl > time.Hour || ttl < 59*time.Minute {
			t.Errorf("the progress expires after %s, %v, want an hour", ttl, err)
		}
	})
}

// A change of state is not throttled.
func TestChangesAreNotThrottled(t *testing.T) {
	onEachRedis(t, func(t *testing.T, url string) {
		l, work := newStore(t, url), newWork(task.KindKnowledge)
		changes, stop, err := l.Watch(t.Context(), work.JobID)
		if err != nil {
			t.Fatal(err)
		}
		defer stop()
		await.Receive(t, changes)
		const rounds = 20
		start := time.Now()
		for range rounds {
			l.NotifyChange(t.Context(), work.JobID)
			await.Receive(t, changes)
		}
		if each := time.Since(start) / rounds; each > 100*time.Millisecond {
			t.Errorf("a change was seen after %s on average", each)
		}
	})
}

func redisClient(t *testing.T, url string) *redis.Client {
	t.Helper()
	opt, err := redis.ParseURL(url)
	if err != nil {
		t.Fatal(err)
	}
	c := redis.NewClient(opt)
	t.Cleanup(func() { _ = c.Close() })
	return c
}
