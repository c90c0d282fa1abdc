package live_test

import (
	"context"
	"testing"

	"github.com/google/uuid"

	"github.com/seed-7a112592/gristmill/pkg/backend/live"
	"github.com/seed-7a112592/gristmill/pkg/document"
	"github.com/seed-7a112592/gristmill/test/await"
)

func watch(t *testing.T, l *live.Live, job uuid.UUID) (changes <-chan struct{}, stop func()) {
	t.Helper()
	changes, stop, err := l.Watch(t.Context(), job)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(stop)
	await.Value(t, changes) // in effect
	return changes, stop
}

func wantQuiet(t *testing.T, changes <-chan struct{}, why string) {
	t.Helper()
	select {
	case <-changes:
		t.Errorf("a signal %s", why)
	default:
	}
}

// Workers tell, servers watch: different processes, which here are different
// clients.
func TestWatchAcrossProcesses(t *testing.T) {
	onEachRedis(t, func(t *testing.T, url string) {
		worker, api, other := newLive(t, url), newLive(t, url), newLive(t, url)
		a, b := newWork(document.Knowledge), newWork(document.Knowledge)
		ofA, _ := watch(t, api, a.Job)
		ofAElsewhere, _ := watch(t, other, a.Job)
		ofB, _ := watch(t, api, b.Job)

		worker.Changed(t.Context(), b.Job)
		await.Value(t, ofB)
		wantQuiet(t, ofA, "about another job")
		worker.Report(t.Context(), a, document.KnowledgeProgress{BytesDone: 1})
		await.Value(t, ofA)
		await.Value(t, ofAElsewhere)
		if progress(t, api, a.Job).Knowledge == nil {
			t.Error("the signal came before what it is about")
		}
		wantQuiet(t, ofB, "about another job")
	})
}

func TestManyWatchersOfAJob(t *testing.T) {
	onEachRedis(t, func(t *testing.T, url string) {
		l, c := newLive(t, url), client(t, url)
		job := uuid.Must(uuid.NewV7())
		name := "job:" + job.String()
		subscribers := func() int64 {
			n, err := c.PubSubNumSub(t.Context(), name).Result()
			if err != nil {
				t.Fatal(err)
			}
			return n[name]
		}
		first, stopFirst := watch(t, l, job)
		second, stopSecond := watch(t, l, job)
		await.Until(t, "the job is subscribed to", func() bool { return subscribers() > 0 })
		if n := subscribers(); n != 1 {
			t.Errorf("%d subscriptions for two watchers of a process, want 1", n)
		}
		l.Changed(t.Context(), job)
		await.Value(t, first)
		await.Value(t, second)

		stopFirst()
		stopFirst() // twice is harmless
		l.Changed(t.Context(), job)
		await.Value(t, second)
		wantQuiet(t, first, "after stop")
		stopSecond()
		await.Until(t, "the subscription is gone", func() bool { return subscribers() == 0 })

		ctx, cancel := context.WithCancel(t.Context())
		if _, _, err := l.Watch(ctx, job); err != nil {
			t.Fatal(err)
		}
		await.Until(t, "the job is subscribed to", func() bool { return subscribers() == 1 })
		cancel()
		await.Until(t, "the subscription has ended with the context", func() bool { return subscribers() == 0 })
		watch(t, l, job)
	})
}

// A watcher that is slow holds nobody up and finds one signal, not many.
func TestSignalsCoalesce(t *testing.T) {
	onEachRedis(t, func(t *testing.T, url string) {
		l := newLive(t, url)
		slow, quick := uuid.Must(uuid.NewV7()), uuid.Must(uuid.NewV7())
		ofSlow, _ := watch(t, l, slow)
		ofQuick, _ := watch(t, l, quick)
		c := client(t, url)
		for range 1000 {
			if err := c.Publish(t.Context(), "job:"+slow.String(), "").Err(); err != nil {
				t.Fatal(err)
			}
		}
		if err := c.Publish(t.Context(), "job:"+quick.String(), "").Err(); err != nil {
			t.Fatal(err)
		}
		await.Value(t, ofQuick) // comes after all the others
		await.Value(t, ofSlow)
		wantQuiet(t, ofSlow, "too many")
	})
}
