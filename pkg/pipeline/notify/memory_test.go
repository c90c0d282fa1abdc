package notify_test

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/seed-7a112592/gristmill/pkg/document"
	"github.com/seed-7a112592/gristmill/pkg/fault"
	"github.com/seed-7a112592/gristmill/pkg/pipeline/notify"
	"github.com/seed-7a112592/gristmill/pkg/telemetry"
	"github.com/seed-7a112592/gristmill/pkg/tenant"
)

// memory is an outbox.
type memory struct {
	mu       sync.Mutex
	rows     map[string][]*document.Outgoing // by tenant
	takes    int
	settling error // what SettleDelivery answers, if set
}

func (m *memory) TenantsWithDeliveries(context.Context) ([]string, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var ids []string
	for id := range m.rows {
		ids = append(ids, id)
	}
	return ids, nil
}

func (m *memory) TakeDeliveries(ctx context.Context, busy []uuid.UUID, limit int, ttl time.Duration) ([]document.Outgoing, error) {
	id, err := tenant.From(ctx)
	if err != nil {
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.takes++
	var taken []document.Outgoing
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

func (m *memory) SettleDelivery(ctx context.Context, taken document.Outgoing, outcome document.DeliveryOutcome) error {
	id, err := tenant.From(ctx)
	if err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.settling != nil {
		return m.settling
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
	return fault.New(fault.LeaseLost, "delivery %s is not ours", taken.ID)
}

// add adds n events for a webhook of a tenant.
func (m *memory) add(owner string, webhook uuid.UUID, n int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for range n {
		id := uuid.Must(uuid.NewV7())
		m.rows[owner] = append(m.rows[owner], &document.Outgoing{
			Delivery: document.Delivery{ID: id, WebhookID: webhook, State: document.DeliveryPending, CreatedAt: time.Now(), NextAttemptAt: new(time.Now())},
			Body:     fmt.Appendf(nil, `{"id":%q}`, id),
		})
	}
}

// of returns the rows of a webhook as they are.
func (m *memory) of(webhook uuid.UUID) []document.Outgoing {
	m.mu.Lock()
	defer m.mu.Unlock()
	var rows []document.Outgoing
	for _, all := range m.rows {
		for _, row := range all {
			if row.WebhookID == webhook {
				rows = append(rows, *row)
			}
		}
	}
	return rows
}

func (m *memory) failSettling(err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.settling = err
}

// attempt is one that a receiver has seen.
type attempt struct {
	delivery document.Outgoing
	at       time.Duration // since the receivers were made
	tenant   string
}

// receivers are all receivers there are, and what they have seen.
type receivers struct {
	answer func(ctx context.Context, delivery document.Outgoing) (int, error)
	start  time.Time

	mu       sync.Mutex
	attempts []attempt
	now      map[uuid.UUID]int // attempts under way, by webhook
	most     map[uuid.UUID]int
}

func (r *receivers) Send(ctx context.Context, delivery document.Outgoing) (int, error) {
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

// seen returns the attempts at a webhook, or at all.
func (r *receivers) seen(webhook uuid.UUID) []attempt {
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

func accepts(context.Context, document.Outgoing) (int, error) { return 200, nil }

func isDown(context.Context, document.Outgoing) (int, error) {
	return 0, fault.New(fault.Unavailable, "the receiver cannot be reached")
}

// slowly answers after ten seconds, as the sender does for a receiver that
// hangs.
func slowly(ctx context.Context, _ document.Outgoing) (int, error) {
	select {
	case <-ctx.Done():
		return 0, ctx.Err()
	case <-time.After(10 * time.Second): // of the bubble's clock
		return 0, fault.New(fault.Unavailable, "no answer")
	}
}

func newNotifier(t *testing.T, answer func(context.Context, document.Outgoing) (int, error)) (*notify.Notifier, *memory, *receivers) {
	t.Helper()
	store := &memory{rows: map[string][]*document.Outgoing{"a": nil, "b": nil}}
	all := &receivers{answer: answer, start: time.Now(), now: map[uuid.UUID]int{}, most: map[uuid.UUID]int{}}
	return notifierOf(t, store, all), store, all
}

func notifierOf(t *testing.T, store notify.Store, sender notify.Sender) *notify.Notifier {
	t.Helper()
	return notify.New(notify.Config{
		Store: store, Sender: sender, Metrics: telemetry.NewMetrics(), Grace: 25 * time.Second,
		Log: slog.New(slog.NewTextHandler(t.Output(), nil)),
	})
}
