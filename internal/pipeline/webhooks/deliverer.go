// Package notify tells webhooks of jobs that have ended: it sends what the
// stores' outbox holds, at least once, until the receiver has it or a day is
// over.
package webhooks

import (
	"context"
	"log/slog"
	"maps"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/seed-7a112592/gristmill/internal/fault"
	"github.com/seed-7a112592/gristmill/internal/goroutine"
	"github.com/seed-7a112592/gristmill/internal/task"
	"github.com/seed-7a112592/gristmill/internal/telemetry"
	"github.com/seed-7a112592/gristmill/internal/tenant"
	"github.com/seed-7a112592/gristmill/pkg/document"
)

// Store is the outbox; see storetest.Outbox for the contract.
type Store interface {
	TenantsWithDeliveries(ctx context.Context) ([]string, error)
	ClaimDeliveries(ctx context.Context, busy []uuid.UUID, limit int, ttl time.Duration) ([]task.Delivery, error)
	RecordDeliveryOutcome(ctx context.Context, taken task.Delivery, outcome task.DeliveryOutcome) error
}

// Sender sends a delivery to its receiver, within a few seconds. It returns
// the HTTP status of the answer, 0 for none, and a fault.Error that says why
// the receiver does not have the delivery.
type Sender interface {
	Send(ctx context.Context, delivery task.Delivery) (status int, err error)
}

const (
	// pollInterval is the time between two looks for tenants that have deliveries.
	pollInterval = 5 * time.Second

	// hintDelay is how long hints are gathered before their tenants are looked
	// at, so that a busy tenant costs ten looks a second and not hundreds.
	hintDelay = 100 * time.Millisecond

	// maxPerWebhook is how many deliveries one webhook is sent at a time, and
	// maxBusy about how many webhooks are sent to at a time: a slow receiver
	// takes up its own places and nobody else's.
	maxPerWebhook   = 8
	maxBusyWebhooks = 64

	// leaseTTL is how long what was taken is left alone by others. It is longer
	// than sending and settling take.
	leaseTTL = 30 * time.Second

	// maxRecordTimeout bounds writing what became of an attempt, which is done while
	// the process is stopping, too.
	maxRecordTimeout = 5 * time.Second
)

// DelivererConfig is what a notifier needs.
type DelivererConfig struct {
	Store   Store
	Sender  Sender
	Metrics *telemetry.Metrics
	Log     *slog.Logger

	// DrainTimeout is how long after the end of its context Run returns at the
	// latest. The last quarter of it is for writing what became of what was cut
	// off.
	DrainTimeout time.Duration
}

// Deliverer sends what is due. Any number of processes may run one.
type Deliverer struct {
	DelivererConfig
	hints chan string // tenants
}

// NewDeliverer returns a notifier, which does nothing before Run.
func NewDeliverer(config DelivererConfig) *Deliverer {
	return &Deliverer{DelivererConfig: config, hints: make(chan string, 256)}
}

// Wake has Run look at the tenant in ctx soon: a job may have ended. It returns
// at once, and is only a hint; what it is not told of, Run finds on a timer.
func (n *Deliverer) Wake(ctx context.Context) {
	id, err := tenant.From(ctx)
	if err != nil {
		return
	}
	select {
	case n.hints <- id:
	default:
	}
}

// webhookBatch is deliveries of one webhook that are under way.
type webhookBatch struct {
	tenant  string
	webhook uuid.UUID
}

// tenantQueue is tenants in the order in which they came, each of them once.
type tenantQueue struct {
	order  []string
	queued map[string]bool
}

func (l *tenantQueue) push(id string) {
	if l.queued == nil {
		l.queued = map[string]bool{}
	}
	if !l.queued[id] {
		l.queued[id] = true
		l.order = append(l.order, id)
	}
}

func (l *tenantQueue) pop() string {
	id := l.order[0]
	l.order = l.order[1:]
	delete(l.queued, id)
	return id
}

// Run sends what is due of every tenant until ctx ends and what was under way
// is over, or is given up when the grace is over: it is due again then.
func (n *Deliverer) Run(ctx context.Context) {
	sending, giveUp := context.WithCancel(context.WithoutCancel(ctx))
	defer giveUp()
	var (
		busy     = map[uuid.UUID]bool{} // webhooks with a batch under way
		wanted   tenantQueue            // tenants to be looked at
		hinted   = map[string]bool{}    // those that are wanted soon
		soon     <-chan time.Time       // nil while there are none
		finished = make(chan webhookBatch)
	)
	ticker := time.NewTicker(pollInterval)
	defer ticker.Stop()
	n.queueTenants(ctx, &wanted)
	for ctx.Err() == nil {
		for len(wanted.order) > 0 && len(busy) < maxBusyWebhooks {
			id := wanted.pop()
			for webhook, deliveries := range n.takeDue(ctx, id, busy) {
				busy[webhook] = true
				goroutine.Go(n.Log, "deliveries", func() {
					defer func() { finished <- webhookBatch{id, webhook} }()
					n.deliverAll(tenant.With(sending, id), deliveries)
				})
			}
		}
		select {
		case <-ctx.Done():
		case id := <-n.hints:
			hinted[id] = true
			if soon == nil {
				soon = time.After(hintDelay)
			}
		case <-soon:
			for id := range hinted {
				wanted.push(id)
			}
			clear(hinted)
			soon = nil
		case b := <-finished:
			delete(busy, b.webhook)
			wanted.push(b.tenant) // there may be more, or more since
		case <-ticker.C:
			n.queueTenants(ctx, &wanted)
		}
	}
	over := time.NewTimer(n.DrainTimeout - n.recordTimeout())
	defer over.Stop()
	for len(busy) > 0 {
		select {
		case b := <-finished:
			delete(busy, b.webhook)
		case <-over.C:
			giveUp()
		}
	}
}

// recordTimeout is how long writing what became of an attempt may take.
func (n *Deliverer) recordTimeout() time.Duration { return min(n.DrainTimeout/4, maxRecordTimeout) }

// queueTenants adds every tenant that has deliveries to those wanted.
func (n *Deliverer) queueTenants(ctx context.Context, wanted *tenantQueue) {
	tenants, err := n.Store.TenantsWithDeliveries(ctx)
	if err != nil && ctx.Err() == nil {
		n.Log.WarnContext(ctx, "no webhooks looked at; trying again soon", "error", err)
	}
	for _, id := range tenants {
		wanted.push(id)
	}
}

// takeDue takes what is due of a tenant, by webhook.
func (n *Deliverer) takeDue(ctx context.Context, id string, busy map[uuid.UUID]bool) map[uuid.UUID][]task.Delivery {
	taken, err := n.Store.ClaimDeliveries(tenant.With(ctx, id), slices.Collect(maps.Keys(busy)), maxPerWebhook, leaseTTL)
	if err != nil && ctx.Err() == nil {
		n.Log.WarnContext(ctx, "no deliveries taken; trying again soon", "tenant", id, "error", err)
	}
	byWebhook := map[uuid.UUID][]task.Delivery{}
	for _, delivery := range taken {
		byWebhook[delivery.WebhookID] = append(byWebhook[delivery.WebhookID], delivery)
	}
	return byWebhook
}

// deliverAll sends deliveries at once, and returns when all are settled.
func (n *Deliverer) deliverAll(ctx context.Context, deliveries []task.Delivery) {
	group := goroutine.NewGroup()
	for _, delivery := range deliveries {
		group.Go(func() error { n.attemptDelivery(ctx, delivery); return nil })
	}
	if err := group.Wait(); err != nil { // they are due again after their time to live
		n.Log.ErrorContext(ctx, "deliveries not made", "error", err)
	}
}

// attemptDelivery makes one attempt and settles it.
func (n *Deliverer) attemptDelivery(ctx context.Context, delivery task.Delivery) {
	status, err := n.Sender.Send(ctx, delivery)
	outcome := DecideOutcome(delivery, status, err, ctx.Err() != nil)
	n.Metrics.ObserveDelivery(string(outcome.State))
	log := n.Log.With("webhook", delivery.WebhookID, "delivery", delivery.ID, "job", delivery.JobID, "attempt", delivery.Attempts)
	switch outcome.State {
	case document.DeliveryDelivered:
		log.DebugContext(ctx, "delivered", "status", status)
	case document.DeliveryPending:
		log.InfoContext(ctx, "not delivered; trying again later", "delay", outcome.Delay, "error", err)
	case document.DeliveryFailed:
		log.WarnContext(ctx, "delivery given up", "error", err)
	}

	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), n.recordTimeout())
	defer cancel()
	err = n.Store.RecordDeliveryOutcome(ctx, delivery, outcome)
	switch {
	case fault.Is(err, fault.LeaseLost):
		log.InfoContext(ctx, "delivery is another's by now, or deleted")
	case err != nil:
		// It is due again after its time to live.
		log.WarnContext(ctx, "outcome of a delivery not recorded", "error", err)
	}
}
