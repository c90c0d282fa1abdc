package webhooks_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"

	"github.com/seed-7a112592/gristmill/internal/pipeline/webhooks"
	"github.com/seed-7a112592/gristmill/internal/task"
	"github.com/seed-7a112592/gristmill/internal/tenant"
	"github.com/seed-7a112592/gristmill/pkg/document"
)

// startDeliverer runs a deliverer in a bubble until stop is called. stop returns how long the
// deliverer took to stop.
func startDeliverer(t *testing.T, n *webhooks.Deliverer) (stop func() time.Duration) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		n.Run(ctx)
		close(ended)
	}()
	synctest.Wait()
	return func() time.Duration {
		stopped := time.Now()
		cancel()
		<-ended
		return time.Since(stopped)
	}
}

// advanceClock lets time pass in the bubble.
func advanceClock(d time.Duration) {
	<-time.After(d) // on the bubble's clock
	synctest.Wait()
}

func TestHintedDeliveryIsSentOnceAndSoon(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		n, store, all := newDeliverer(t, respondOK)
		stop := startDeliverer(t, n)
		webhook := uuid.New()
		store.addDeliveries("a", webhook, 1)
		n.Wake(tenant.With(t.Context(), "a"))
		advanceClock(time.Minute)
		stop()
		seen := all.attemptsAt(webhook)
		if len(seen) != 1 || seen[0].at > time.Second || seen[0].tenant != "a" {
			t.Errorf("got attempts %+v, want one within a second, for tenant a", seen)
		}
		if row := store.deliveriesOf(webhook)[0]; row.State != document.DeliveryDelivered || row.Status != 200 || row.Error != "" {
			t.Errorf("got %+v, want it delivered", row.Delivery)
		}
	})
}

// There are no hints about deliveries of other processes, or from before the start.
func TestDeliveriesWithoutHints(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		n, store, all := newDeliverer(t, respondOK)
		before, later := uuid.New(), uuid.New()
		store.addDeliveries("a", before, 20)
		stop := startDeliverer(t, n)
		if got := len(all.attemptsAt(before)); got != 20 {
			t.Errorf("%d of 20 existing deliveries were sent immediately", got)
		}
		store.addDeliveries("b", later, 1)
		advanceClock(6 * time.Second)
		stop()
		if got := all.attemptsAt(later); len(got) != 1 || got[0].tenant != "b" {
			t.Errorf("got attempts %+v, want one within 6 seconds, for tenant b", got)
		}
	})
}

// Whatever the number of hints, a tenant is queried about ten times a second.
func TestManyHintsCauseFewQueries(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		n, store, all := newDeliverer(t, respondOK)
		stop := startDeliverer(t, n)
		before := store.claims
		store.addDeliveries("a", uuid.New(), 1)
		for range 200 {
			for range 1000 {
				n.Wake(tenant.With(t.Context(), "a"))
			}
			n.Wake(t.Context()) // without a tenant
			advanceClock(10 * time.Millisecond)
		}
		stop()
		if got := store.claims - before; got < 10 || got > 25 {
			t.Errorf("%d queries in 2 seconds, want 10 to 25", got)
		}
		if seen := all.attemptsAt(uuid.Nil); len(seen) != 1 || seen[0].at > 200*time.Millisecond {
			t.Errorf("got attempts %+v, want one soon", seen)
		}
	})
}

// All attempts at a delivery have the same id and the same bytes.
func TestReceiverIsDownForAMinute(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		up := time.Now().Add(time.Minute)
		n, store, all := newDeliverer(t, func(ctx context.Context, d task.Delivery) (int, error) {
			if time.Now().Before(up) {
				return respondUnavailable(ctx, d)
			}
			return 204, nil
		})
		webhook := uuid.New()
		store.addDeliveries("a", webhook, 10)
		stop := startDeliverer(t, n)
		if row := store.deliveriesOf(webhook)[0]; row.State != document.DeliveryPending || row.Error != "the receiver cannot be reached" {
			t.Errorf("while the receiver is down: got %+v, want a pending delivery with the error", row.Delivery)
		}
		advanceClock(130 * time.Second) // as long again as the receiver was down, and one poll
		stop()
		for _, row := range store.deliveriesOf(webhook) {
			if row.State != document.DeliveryDelivered || row.Attempts < 3 || row.Attempts > 40 {
				t.Errorf("got %+v, want it delivered after 3 to 40 attempts", row.Delivery)
			}
			attempts := 0
			for _, a := range all.attemptsAt(webhook) {
				if a.delivery.ID == row.ID {
					attempts++
					if string(a.delivery.Body) != string(row.Body) {
						t.Errorf("attempt %d sent %s, want %s", attempts, a.delivery.Body, row.Body)
					}
				}
			}
			if attempts != row.Attempts {
				t.Errorf("%d attempts were made, but %d counted", attempts, row.Attempts)
			}
		}
	})
}

func TestGivesUpAfterADay(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		n, store, all := newDeliverer(t, respondUnavailable)
		webhook := uuid.New()
		store.addDeliveries("a", webhook, 1)
		stop := startDeliverer(t, n)
		advanceClock(20 * time.Hour)
		if row := store.deliveriesOf(webhook)[0]; row.State != document.DeliveryPending {
			t.Errorf("after 20 hours: got %+v, want it pending", row.Delivery)
		}
		advanceClock(6 * time.Hour)
		stop()
		row := store.deliveriesOf(webhook)[0]
		if row.State != document.DeliveryFailed || row.Error != "the receiver cannot be reached" {
			t.Errorf("after 26 hours: got %+v, want it failed, with the last error", row.Delivery)
		}
		seen := all.attemptsAt(webhook)
		last, spread := seen[len(seen)-1].at, map[bool]int{}
		for i := 1; i < len(seen); i++ {
			gap := seen[i].at - seen[i-1].at
			if gap > time.Hour+10*time.Second {
				t.Errorf("%s between two attempts, want at most an hour", gap)
			}
			spread[gap < time.Minute]++
		}
		if last > 24*time.Hour || len(seen) < 20 || len(seen) > 120 || spread[true] < 2 || spread[false] < 15 {
			t.Errorf("%d attempts, the last after %s, %v of them soon after another; want 20 to 120 within 24 hours", len(seen), last, spread)
		}
	})
}

func TestSlowReceiverDoesNotDelayOthers(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		slow, quick, other := uuid.New(), uuid.New(), uuid.New()
		n, store, all := newDeliverer(t, func(ctx context.Context, d task.Delivery) (int, error) {
			if d.WebhookID == slow {
				return respondSlowly(ctx, d)
			}
			return respondOK(ctx, d)
		})
		store.addDeliveries("a", slow, 100)
		store.addDeliveries("a", quick, 100)
		store.addDeliveries("b", other, 100)
		stop := startDeliverer(t, n)
		for name, webhook := range map[string]uuid.UUID{"the same tenant": quick, "another tenant": other} {
			if got := len(all.attemptsAt(webhook)); got != 100 {
				t.Errorf("a quick receiver of %s has %d of 100 deliveries while another one hangs", name, got)
			}
		}
		store.addDeliveries("a", quick, 1)
		n.Wake(tenant.With(t.Context(), "a"))
		advanceClock(time.Second)
		if got := len(all.attemptsAt(quick)); got != 101 {
			t.Errorf("a quick receiver did not get a new delivery while another one hangs")
		}
		advanceClock(35 * time.Second)
		stop()
		if got := all.most[slow]; got != 8 {
			t.Errorf("%d concurrent deliveries to the slow receiver, want 8", got)
		}
		if got := len(all.attemptsAt(slow)); got < 24 || got > 40 {
			t.Errorf("%d deliveries to the slow receiver in 36 seconds, want 24 to 40", got)
		}
	})
}

func TestSeveralProcessesSendEachDeliveryOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		one, store, all := newDeliverer(t, respondOK)
		two := newDelivererWith(t, store, all)
		store.addDeliveries("a", uuid.New(), 50)
		store.addDeliveries("b", uuid.New(), 50)
		stopOne, stopTwo := startDeliverer(t, one), startDeliverer(t, two)
		advanceClock(time.Minute)
		stopOne()
		stopTwo()
		if got := len(all.attemptsAt(uuid.Nil)); got != 100 {
			t.Errorf("%d attempts at 100 deliveries, want 100", got)
		}
	})
}

// The process that claimed a delivery has died, or could not record the outcome.
func TestDeliveryWithoutOutcomeIsSentAgain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		n, store, all := newDeliverer(t, respondOK)
		webhook := uuid.New()
		store.addDeliveries("a", webhook, 1)
		store.failRecording(errors.New("the database is down"))
		stop := startDeliverer(t, n)
		store.failRecording(nil)
		advanceClock(20 * time.Second)
		if got := len(all.attemptsAt(webhook)); got != 1 {
			t.Errorf("%d attempts before the lease expired, want 1", got)
		}
		advanceClock(20 * time.Second)
		stop()
		seen := all.attemptsAt(webhook)
		if len(seen) != 2 || seen[0].delivery.ID != seen[1].delivery.ID {
			t.Errorf("got attempts %+v, want two at the same delivery", seen)
		}
		if row := store.deliveriesOf(webhook)[0]; row.State != document.DeliveryDelivered {
			t.Errorf("got %+v, want it delivered", row.Delivery)
		}
	})
}

func TestStopWaitsForAttemptsUnderWay(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		n, store, all := newDeliverer(t, func(context.Context, task.Delivery) (int, error) {
			<-time.After(9 * time.Second) // on the bubble's clock
			return 200, nil
		})
		webhook := uuid.New()
		store.addDeliveries("a", webhook, 20)
		stop := startDeliverer(t, n)
		if took := stop(); took != 9*time.Second {
			t.Errorf("stopped after %s, want 9s, when the attempts under way had ended", took)
		}
		states := map[document.DeliveryState]int{}
		for _, row := range store.deliveriesOf(webhook) {
			states[row.State]++
		}
		if len(all.attemptsAt(webhook)) != 8 || states[document.DeliveryDelivered] != 8 || states[document.DeliveryPending] != 12 {
			t.Errorf("%d attempts, states %v; want 8 delivered and 12 pending", len(all.attemptsAt(webhook)), states)
		}
	})
}

func TestStopCutsOffLongAttempts(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var waiting atomic.Int32
		n, store, _ := newDeliverer(t, func(ctx context.Context, _ task.Delivery) (int, error) {
			waiting.Add(1)
			<-ctx.Done()
			return 0, ctx.Err()
		})
		webhook := uuid.New()
		store.addDeliveries("a", webhook, 3)
		stop := startDeliverer(t, n)
		if took := stop(); took != 20*time.Second || waiting.Load() != 3 {
			t.Errorf("stopped after %s with %d attempts under way, want after 20s with 3", took, waiting.Load())
		}
		for _, row := range store.deliveriesOf(webhook) {
			if row.State != document.DeliveryPending || row.NextAttemptAt.After(time.Now()) || row.Error != "" {
				t.Errorf("got %+v, want it due again without an error", row.Delivery)
			}
		}
	})
}

// If many receivers hang, all get an attempt in turn, and the number of connections of a process is
// bounded.
func TestSlowReceiversTakeTurns(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		n, store, all := newDeliverer(t, respondSlowly)
		for range 200 {
			store.addDeliveries(uuid.NewString(), uuid.New(), 1)
		}
		stop := startDeliverer(t, n)
		if got := len(all.attemptsAt(uuid.Nil)); got != 64 {
			t.Errorf("%d receivers at a time, want 64", got)
		}
		advanceClock(35 * time.Second)
		stop()
		seen := map[uuid.UUID]bool{}
		for _, a := range all.attemptsAt(uuid.Nil) {
			seen[a.delivery.WebhookID] = true
		}
		if len(seen) != 200 {
			t.Errorf("%d of 200 receivers got an attempt", len(seen))
		}
	})
}
