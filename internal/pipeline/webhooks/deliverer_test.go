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

// startDeliverer runs a notifier in a bubble until stop is called, which returns how long
// the notifier took to stop.
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
		asked := time.Now()
		cancel()
		<-ended
		return time.Since(asked)
	}
}

// advanceClock lets time pass in the bubble.
func advanceClock(d time.Duration) {
	<-time.After(d) // of the bubble's clock
	synctest.Wait()
}

func TestDeliversOnceAndSoonWhenTold(t *testing.T) {
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

// Nobody tells of what other processes write, or of what was there before.
func TestDeliversWhatNobodyToldOf(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		n, store, all := newDeliverer(t, respondOK)
		before, later := uuid.New(), uuid.New()
		store.addDeliveries("a", before, 20)
		stop := startDeliverer(t, n)
		if got := len(all.attemptsAt(before)); got != 20 {
			t.Errorf("%d of 20 that were there were delivered at once", got)
		}
		store.addDeliveries("b", later, 1)
		advanceClock(6 * time.Second)
		stop()
		if got := all.attemptsAt(later); len(got) != 1 || got[0].tenant != "b" {
			t.Errorf("got attempts %+v, want one within 6 seconds, for tenant b", got)
		}
	})
}

// However often it is told, it looks about ten times a second, and it does.
func TestManyHintsAreFewLooks(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		n, store, all := newDeliverer(t, respondOK)
		stop := startDeliverer(t, n)
		before := store.takes
		store.addDeliveries("a", uuid.New(), 1)
		for range 200 {
			for range 1000 {
				n.Wake(tenant.With(t.Context(), "a"))
			}
			n.Wake(t.Context()) // for nobody
			advanceClock(10 * time.Millisecond)
		}
		stop()
		if got := store.takes - before; got < 10 || got > 25 {
			t.Errorf("looked %d times in 2 seconds", got)
		}
		if seen := all.attemptsAt(uuid.Nil); len(seen) != 1 || seen[0].at > 200*time.Millisecond {
			t.Errorf("got attempts %+v, want one soon", seen)
		}
	})
}

// One id and the same bytes over all attempts.
func TestReceiverThatIsDownForAMinute(t *testing.T) {
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
			t.Errorf("meanwhile: got %+v", row.Delivery)
		}
		advanceClock(130 * time.Second) // as long again as it was down, and a look
		stop()
		for _, row := range store.deliveriesOf(webhook) {
			if row.State != document.DeliveryDelivered || row.Attempts < 3 || row.Attempts > 40 {
				t.Errorf("got %+v", row.Delivery)
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
				t.Errorf("%d attempts were made, and %d counted", attempts, row.Attempts)
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
			t.Errorf("after 20 hours: got %+v", row.Delivery)
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
				t.Errorf("waited %s between two attempts", gap)
			}
			spread[gap < time.Minute]++
		}
		if last > 24*time.Hour || len(seen) < 20 || len(seen) > 120 || spread[true] < 2 || spread[false] < 15 {
			t.Errorf("%d attempts, the last after %s", len(seen), last)
		}
	})
}

func TestSlowReceiverHoldsUpNobodyElse(t *testing.T) {
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
		for name, webhook := range map[string]uuid.UUID{"of the same tenant": quick, "of another": other} {
			if got := len(all.attemptsAt(webhook)); got != 100 {
				t.Errorf("a quick receiver %s has %d of 100 while another hangs", name, got)
			}
		}
		store.addDeliveries("a", quick, 1)
		n.Wake(tenant.With(t.Context(), "a"))
		advanceClock(time.Second)
		if got := len(all.attemptsAt(quick)); got != 101 {
			t.Errorf("a quick receiver was not told of a new event while another hangs")
		}
		advanceClock(35 * time.Second)
		stop()
		if got := all.most[slow]; got != 8 {
			t.Errorf("the slow receiver was sent %d deliveries at a time, want 8", got)
		}
		if got := len(all.attemptsAt(slow)); got < 24 || got > 40 {
			t.Errorf("the slow receiver was sent %d deliveries in 36 seconds", got)
		}
	})
}

func TestSeveralProcessesDeliverOnce(t *testing.T) {
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
			t.Errorf("%d attempts at 100 deliveries", got)
		}
	})
}

// Whoever took a delivery has died, or could not write what became of it.
func TestUnsettledDeliveryIsSentAgain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		n, store, all := newDeliverer(t, respondOK)
		webhook := uuid.New()
		store.addDeliveries("a", webhook, 1)
		store.failSettling(errors.New("the database is down"))
		stop := startDeliverer(t, n)
		store.failSettling(nil)
		advanceClock(20 * time.Second)
		if got := len(all.attemptsAt(webhook)); got != 1 {
			t.Errorf("%d attempts within the time to live", got)
		}
		advanceClock(20 * time.Second)
		stop()
		seen := all.attemptsAt(webhook)
		if len(seen) != 2 || seen[0].delivery.ID != seen[1].delivery.ID {
			t.Errorf("got attempts %+v, want two at one delivery", seen)
		}
		if row := store.deliveriesOf(webhook)[0]; row.State != document.DeliveryDelivered {
			t.Errorf("got %+v", row.Delivery)
		}
	})
}

func TestStoppingFinishesWhatIsUnderWay(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		n, store, all := newDeliverer(t, func(context.Context, task.Delivery) (int, error) {
			<-time.After(9 * time.Second) // of the bubble's clock
			return 200, nil
		})
		webhook := uuid.New()
		store.addDeliveries("a", webhook, 20)
		stop := startDeliverer(t, n)
		if took := stop(); took != 9*time.Second {
			t.Errorf("stopped after %s, want when what was under way had ended, after 9s", took)
		}
		states := map[document.DeliveryState]int{}
		for _, row := range store.deliveriesOf(webhook) {
			states[row.State]++
		}
		if len(all.attemptsAt(webhook)) != 8 || states[document.DeliveryDelivered] != 8 || states[document.DeliveryPending] != 12 {
			t.Errorf("%d attempts, deliveries %v", len(all.attemptsAt(webhook)), states)
		}
	})
}

func TestStoppingGivesBackWhatTakesTooLong(t *testing.T) {
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
			t.Errorf("stopped after %s with %d deliveries under way, want after 20s with 3", took, waiting.Load())
		}
		for _, row := range store.deliveriesOf(webhook) {
			if row.State != document.DeliveryPending || row.NextAttemptAt.After(time.Now()) || row.Error != "" {
				t.Errorf("got %+v, want it due again", row.Delivery)
			}
		}
	})
}

// However many hang, all get their turn, and a process holds so many
// connections at most.
func TestManySlowReceiversTakeTurns(t *testing.T) {
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
			t.Errorf("%d of 200 receivers had an attempt", len(seen))
		}
	})
}
