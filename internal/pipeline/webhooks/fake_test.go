package webhooks_test

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/seed-7a112592/gristmill/internal/fault"
	"github.com/seed-7a112592/gristmill/internal/pipeline/webhooks"
	"github.com/seed-7a112592/gristmill/internal/task"
	"github.com/seed-7a112592/gristmill/internal/telemetry"
	"github.com/seed-7a112592/gristmill/internal/tenant"
	"github.com/seed-7a112592/gristmill/pkg/document"
)

// fakeOutbox is an outbox in memory.
type fakeOutbox struct {
	mu        sync.Mutex
	rows      map[string][]*task.Delivery // by tenant
	claims    int                         // number of calls of ClaimDeliveries
	recordErr error                       // error of RecordDeliveryOutcome, if set
}

func (m *fakeOutbox) TenantsWithDeliveries(context.Context) ([]string, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var ids []string
	for id := range m.rows {
		ids = append(ids, id)
	}
	return ids, nil
}

func (m *fakeOutbox) ClaimDeliveries(ctx context.Context, busy []uuid.UUID, limit int, ttl time.Duration) ([]task.Delivery, error) {
	id, err := tenant.From(ctx)
	if err != nil {
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.claims++
	var taken []task.Delivery
	count := map[uuid.UUID]int{}
	for _, row := range m.rows[id] {
		due := row.State == document.DeliveryPending && !row.NextAttemptAt.After(time.Now())
		if due && !slices.Contains(busy, row.WebhookID) && count[row.WebhookID] < limit {
			count[row.WebhookID]++
			row.Attempts++
			row.NextAttemptAt = new(time.Now().Add(ttl))
			taken = append(taken, *row)
		}
	}
	return taken, nil
}

func (m *fakeOutbox) RecordDeliveryOutcome(ctx context.Context, taken task.Delivery, outcome task.DeliveryOutcome) error {
	id, err := tenant.From(ctx)
	if err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.recordErr != nil {
		return m.recordErr
	}
	for _, row := range m.rows[id] {
		if row.ID == taken.ID && row.Attempts == taken.Attempts && row.State == document.DeliveryPending {
			row.State, row.Status, row.Error = outcome.State, outcome.Status, outcome.Error
			row.NextAttemptAt = new(time.Now().Add(outcome.Delay))
			if outcome.State != document.DeliveryPending {
				row.EndedAt = new(time.Now())
			}
			return nil
		}
	}
	return fault.New(fault.LeaseLost, "delivery %s was claimed again or has ended", taken.ID)
}

// addDeliveries adds n events for a webhook of a tenant.
func (m *fakeOutbox) addDeliveries(owner string, webhook uuid.UUID, n int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for range n {
		id := uuid.Must(uuid.NewV7())
		m.rows[owner] = append(m.rows[owner], &task.Delivery{
			Delivery: document.Delivery{ID: id, WebhookID: webhook, State: document.DeliveryPending, CreatedAt: time.Now(), NextAttemptAt: new(time.Now())},
			Body:     fmt.Appendf(nil, `{"id":%q}`, id),
		})
	}
}

// deliveriesOf returns the rows of a webhook.
func (m *fakeOutbox) deliveriesOf(webhook uuid.UUID) []task.Delivery {
	m.mu.Lock()
	defer m.mu.Unlock()
	var rows []task.Delivery
	for _, all := range m.rows {
		for _, row := range all {
			if row.WebhookID == webhook {
				rows = append(rows, *row)
			}
		}
	}
	return rows
}

func (m *fakeOutbox) failRecording(err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.recordErr = err
}

// attempt is an attempt at a delivery that a receiver has seen.
type attempt struct {
	delivery task.Delivery
	at       time.Duration // since the receivers were made
	tenant   string
}

// fakeReceivers are the receivers of all webhooks. They record all attempts.
type fakeReceivers struct {
	answer func(ctx context.Context, delivery task.Delivery) (int, error)
	start  time.Time

	mu       sync.Mutex
	attempts []attempt
	now      map[uuid.UUID]int // number of attempts under way, by webhook
	most     map[uuid.UUID]int // maximum of now, by webhook
}

func (r *fakeReceivers) Send(ctx context.Context, delivery task.Delivery) (int, error) {
	id, err := tenant.From(ctx)
	if err != nil {
		return 0, err
	}
	r.mu.Lock()
	r.attempts = append(r.attempts, attempt{delivery, time.Since(r.start), id})
	r.now[delivery.WebhookID]++
	r.most[delivery.WebhookID] = max(r.most[delivery.WebhookID], r.now[delivery.WebhookID])
	r.mu.Unlock()
	defer func() {
		r.mu.Lock()
		r.now[delivery.WebhookID]--
		r.mu.Unlock()
	}()
	return r.answer(ctx, delivery)
}

// attemptsAt returns the attempts at one webhook, or at all for the zero id.
func (r *fakeReceivers) attemptsAt(webhook uuid.UUID) []attempt {
	r.mu.Lock()
	defer r.mu.Unlock()
	var seen []attempt
	for _, a := range r.attempts {
		if webhook == uuid.Nil || a.delivery.WebhookID == webhook {
			seen = append(seen, a)
		}
	}
	return seen
}

func respondOK(context.Context, task.Delivery) (int, error) { return 200, nil }

func respondUnavailable(context.Context, task.Delivery) (int, error) {
	return 0, fault.New(fault.Unavailable, "the receiver cannot be reached")
}

// respondSlowly responds after ten seconds, like a sender whose receiver hangs.
func respondSlowly(ctx context.Context, _ task.Delivery) (int, error) {
	select {
	case <-ctx.Done():
		return 0, ctx.Err()
	case <-time.After(10 * time.Second): // on the bubble's clock
		return 0, fault.New(fault.Unavailable, "no answer")
	}
}

func newDeliverer(t *testing.T, answer func(context.Context, task.Delivery) (int, error)) (*webhooks.Deliverer, *fakeOutbox, *fakeReceivers) {
	t.Helper()
	store := &fakeOutbox{rows: map[string][]*task.Delivery{"a": nil, "b": nil}}
	all := &fakeReceivers{answer: answer, start: time.Now(), now: map[uuid.UUID]int{}, most: map[uuid.UUID]int{}}
	return newDelivererWith(t, store, all), store, all
}

func newDelivererWith(t *testing.T, store webhooks.Store, sender webhooks.Sender) *webhooks.Deliverer {
	t.Helper()
	n, err := webhooks.NewDeliverer(webhooks.DelivererConfig{
		Store: store, Sender: sender, Metrics: telemetry.NewMetrics(), DrainTimeout: 25 * time.Second,
		Log: slog.New(slog.NewTextHandler(t.Output(), nil)),
	})
	if err != nil {
		t.Fatal(err)
	}
	return n
}
