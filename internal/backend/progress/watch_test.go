package progress_test

import (
	"context"
	"testing"

	"github.com/google/uuid"

	"github.com/seed-7a112592/gristmill/internal/backend/progress"
	"github.com/seed-7a112592/gristmill/internal/task"
	"github.com/seed-7a112592/gristmill/internal/test/await"
	"github.com/seed-7a112592/gristmill/pkg/document"
)

func mustWatch(t *testing.T, l *progress.Store, job uuid.UUID) (changes <-chan struct{}, stop func()) {
	t.Helper()
	changes, stop, err := l.Watch(t.Context(), job)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(stop)
	await.Receive(t, changes) // the watch is active
	return changes, stop
}

func wantNoSignal(t *testing.T, changes <-chan struct{}, why string) {
	t.Helper()
	select {
	case <-changes:
		t.Errorf("unexpected signal: %s", why)
	default:
	}
}

// Workers notify and servers watch in different processes, which are different clients here.
func TestWatchAcrossProcesses(t *testing.T) {
	onEachRedis(t, func(t *testing.T, url string) {
		worker, api, other := newStore(t, url), newStore(t, url), newStore(t, url)
		a, b := newWork(task.KindKnowledge), newWork(task.KindKnowledge)
		ofA, _ := mustWatch(t, api, a.JobID)
		ofAElsewhere, _ := mustWatch(t, other, a.JobID)
		ofB, _ := mustWatch(t, api, b.JobID)

		worker.NotifyChange(t.Context(), b.JobID)
		await.Receive(t, ofB)
		wantNoSignal(t, ofA, "of another job")
		worker.ReportProgress(t.Context(), a, document.KnowledgeProgress{BytesDone: 1})
		await.Receive(t, ofA)
		await.Receive(t, ofAElsewhere)
		if mustProgress(t, api, a.JobID).Knowledge == nil {
			t.Error("the signal arrived before the progress was written")
		}
		wantNoSignal(t, ofB, "of another job")
	})
}

func TestManyWatchersOfAJob(t *testing.T) {
	onEachRedis(t, func(t *testing.T, url string) {
		l, c := newStore(t, url), redisClient(t, url)
		job := uuid.Must(uuid.NewV7())
		name := "job:" + job.String()
		subscribers := func() int64 {
			n, err := c.PubSubNumSub(t.Context(), name).Result()
			if err != nil {
				t.Fatal(err)
			}
			return n[name]
		}
		first, stopFirst := mustWatch(t, l, job)
		second, stopSecond := mustWatch(t, l, job)
		await.Until(t, "the job's channel is subscribed", func() bool { return subscribers() > 0 })
		if n := subscribers(); n != 1 {
			t.Errorf("%d subscriptions for two watchers of a process, want 1", n)
		}
		l.NotifyChange(t.Context(), job)
		await.Receive(t, first)
		await.Receive(t, second)

		stopFirst()
		stopFirst() // a second call does nothing
		l.NotifyChange(t.Context(), job)
		await.Receive(t, second)
		wantNoSignal(t, first, "after stop")
		stopSecond()
		await.Until(t, "the subscription has ended", func() bool { return subscribers() == 0 })

		ctx, cancel := context.WithCancel(t.Context())
		if _, _, err := l.Watch(ctx, job); err != nil {
			t.Fatal(err)
		}
		await.Until(t, "the job's channel is subscribed", func() bool { return subscribers() == 1 })
		cancel()
		await.Until(t, "the subscription has ended with the context", func() bool { return subscribers() == 0 })
		mustWatch(t, l, job)
	})
}

// A slow watcher delays no other watcher, and finds one signal, not many.
func TestSignalsCoalesce(t *testing.T) {
	onEachRedis(t, func(t *testing.T, url string) {
		l := newStore(t, url)
		slow, quick := uuid.Must(uuid.NewV7()), uuid.Must(uuid.NewV7())
		ofSlow, _ := mustWatch(t, l, slow)
		ofQuick, _ := mustWatch(t, l, quick)
		c := redisClient(t, url)
		for range 1000 {
			if err := c.Publish(t.Context(), "job:"+slow.String(), "").Err(); err != nil {
				t.Fatal(err)
			}
		}
		if err := c.Publish(t.Context(), "job:"+quick.String(), "").Err(); err != nil {
			t.Fatal(err)
		}
		await.Receive(t, ofQuick) // arrives after all the others
		await.Receive(t, ofSlow)
		wantNoSignal(t, ofSlow, "more than one")
	})
}
