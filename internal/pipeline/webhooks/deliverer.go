// Package webhooks registers webhooks and notifies them of jobs that have ended. It sends the
// deliveries in the store's outbox at least once: until the receiver has accepted them, or for a
// day.
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
	"github.com/seed-7a112592/gristmill/internal/required"
	"github.com/seed-7a112592/gristmill/internal/task"
	"github.com/seed-7a112592/gristmill/internal/telemetry"
	"github.com/seed-7a112592/gristmill/internal/tenant"
	"github.com/seed-7a112592/gristmill/pkg/document"
)

// Store is the outbox; see storetest.Outbox and Sweeping for the contract.
type Store interface {
	TenantsWithDeliveries(ctx context.Context) ([]string, error)
	ClaimDeliveries(ctx context.Context, busy []uuid.UUID, limit int, ttl time.Duration) ([]task.Delivery, error)
	RecordDeliveryOutcome(ctx context.Context, taken task.Delivery, outcome task.DeliveryOutcome) error
}

// Sender sends a delivery to its receiver within a few seconds. It returns the HTTP status of the
// response, 0 for none, and a fault.Error if the receiver has not accepted the delivery.
type Sender interface {
	Send(ctx context.Context, delivery task.Delivery) (status int, err error)
}

const (
	// pollInterval is the time between two looks for tenants with due deliveries.
	pollInterval = 5 * time.Second

	// hintDelay is how long hints are collected before their tenants are queried, so that a busy
	// tenant causes ten queries a second and not hundreds.
	hintDelay = 100 * time.Millisecond

	// maxPerWebhook is the maximum number of concurrent deliveries to one webhook.
	// maxBusyWebhooks is the approximate number of webhooks with deliveries under way. So a slow
	// receiver takes up only its own share.
	maxPerWebhook   = 8
	maxBusyWebhooks = 64

	// leaseTTL is how long other processes leave a claimed delivery alone. It is longer than it
	// takes to send a delivery and to record the outcome.
	leaseTTL = 30 * time.Second

	// maxRecordTimeout bounds the time to record the outcome of an attempt, which also happens
	// while the process stops.
	maxRecordTimeout = 5 * time.Second
)

// DelivererConfig holds what a Deliverer needs.
type DelivererConfig struct {
	Store   Store
	Sender  Sender
	Metrics *telemetry.Metrics
	Log     *slog.Logger

	// DrainTimeout is the maximum time that Run takes to return after its context has ended. Its
	// last quarter is for recording the outcomes of attempts that were cut off.
	DrainTimeout time.Duration
}

// Deliverer sends due deliveries. Any number of processes may run one.
type Deliverer struct {
	DelivererConfig
	hints chan string // tenants
}

// NewDeliverer returns a Deliverer, which does nothing before Run, or an error that names what
// config lacks.
func NewDeliverer(config DelivererConfig) (*Deliverer, error) {
	if err := required.Fields(config); err != nil {
		return nil, err
	}
	return &Deliverer{DelivererConfig: config, hints: make(chan string, 256)}, nil
}

// Wake makes Run look for deliveries of ctx's tenant soon, because a job may have ended. It does not
// block, and is only a hint: without it, Run finds deliveries on a timer.
func (d *Deliverer) Wake(ctx context.Context) {
	id, err := tenant.From(ctx)
	if err != nil {
		return
	}
	select {
	case d.hints <- id:
	default:
	}
}

// webhookBatch is a batch of deliveries to one webhook that is under way.
type webhookBatch struct {
	tenant  string
	webhook uuid.UUID
}

// tenantQueue is a queue of tenants without duplicates.
type tenantQueue struct {
	order  []string
	queued map[string]bool
}

func (q *tenantQueue) push(id string) {
	if q.queued == nil {
		q.queued = map[string]bool{}
	}
	if !q.queued[id] {
		q.queued[id] = true
		q.order = append(q.order, id)
	}
}

func (q *tenantQueue) pop() string {
	id := q.order[0]
	q.order = q.order[1:]
	delete(q.queued, id)
	return id
}

// Run sends the due deliveries of every tenant until ctx ends. It then waits for the attempts that
// are under way, and cuts them off shortly before DrainTimeout has passed: these deliveries become
// due again.
func (d *Deliverer) Run(ctx context.Context) {
	sending, cutOff := context.WithCancel(context.WithoutCancel(ctx))
	defer cutOff()
	var (
		busy     = map[uuid.UUID]bool{} // webhooks with a batch under way
		wanted   tenantQueue            // tenants to look at
		hinted   = map[string]bool{}    // tenants of the hints since the last hintDelay
		soon     <-chan time.Time       // end of the hintDelay; nil without hints
		finished = make(chan webhookBatch)
	)
	ticker := time.NewTicker(pollInterval)
	defer ticker.Stop()
	d.queueTenants(ctx, &wanted)
	for ctx.Err() == nil {
		for len(wanted.order) > 0 && len(busy) < maxBusyWebhooks {
			id := wanted.pop()
			for webhook, deliveries := range d.takeDue(ctx, id, busy) {
				busy[webhook] = true
				goroutine.Go(d.Log, "deliveries", func() {
					defer func() { finished <- webhookBatch{id, webhook} }()
					d.deliverAll(tenant.With(sending, id), deliveries)
				})
			}
		}
		select {
		case <-ctx.Done():
		case id := <-d.hints:
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
			wanted.push(b.tenant) // it may have more due deliveries
		case <-ticker.C:
			d.queueTenants(ctx, &wanted)
		}
	}
	over := time.NewTimer(d.DrainTimeout - d.recordTimeout())
	defer over.Stop()
	for len(busy) > 0 {
		select {
		case b := <-finished:
			delete(busy, b.webhook)
		case <-over.C:
			cutOff()
		}
	}
}

// recordTimeout returns the maximum time to record the outcome of an attempt.
func (d *Deliverer) recordTimeout() time.Duration { return min(d.DrainTimeout/4, maxRecordTimeout) }

// queueTenants adds all tenants with due deliveries to wanted.
func (d *Deliverer) queueTenants(ctx context.Context, wanted *tenantQueue) {
	tenants, err := d.Store.TenantsWithDeliveries(ctx)
	if err != nil && ctx.Err() == nil {
		d.Log.WarnContext(ctx, "cannot list tenants with deliveries; trying again soon", "error", err)
	}
	for _, id := range tenants {
		wanted.push(id)
	}
}

// takeDue claims the due deliveries of a tenant and returns them by webhook.
func (d *Deliverer) takeDue(ctx context.Context, id string, busy map[uuid.UUID]bool) map[uuid.UUID][]task.Delivery {
	taken, err := d.Store.ClaimDeliveries(tenant.With(ctx, id), slices.Collect(maps.Keys(busy)), maxPerWebhook, leaseTTL)
	if err != nil && ctx.Err() == nil {
		d.Log.WarnContext(ctx, "cannot claim deliveries; trying again soon", "tenant", id, "error", err)
	}
	byWebhook := map[uuid.UUID][]task.Delivery{}
	for _, delivery := range taken {
		byWebhook[delivery.WebhookID] = append(byWebhook[delivery.WebhookID], delivery)
	}
	return byWebhook
}

// deliverAll sends deliveries concurrently, and returns when all outcomes are recorded.
func (d *Deliverer) deliverAll(ctx context.Context, deliveries []task.Delivery) {
	group := goroutine.NewGroup()
	for _, delivery := range deliveries {
		group.Go(func() error { d.attemptDelivery(ctx, delivery); return nil })
	}
	if err := group.Wait(); err != nil { // the deliveries become due again when their leases expire
		d.Log.ErrorContext(ctx, "deliveries not sent", "error", err)
	}
}

// attemptDelivery makes one attempt and records its outcome.
func (d *Deliverer) attemptDelivery(ctx context.Context, delivery task.Delivery) {
	status, err := d.Sender.Send(ctx, delivery)
	outcome := DecideOutcome(delivery, status, err, ctx.Err() != nil)
	d.Metrics.ObserveDelivery(string(outcome.State))
	log := d.Log.With("webhook", delivery.WebhookID, "delivery", delivery.ID, "job", delivery.JobID, "attempt", delivery.Attempts)
	switch outcome.State {
	case document.DeliveryDelivered:
		log.DebugContext(ctx, "delivered", "status", status)
	case document.DeliveryPending:
		log.InfoContext(ctx, "delivery failed; trying again later", "delay", outcome.Delay, "error", err)
	case document.DeliveryFailed:
		log.WarnContext(ctx, "delivery failed permanently", "error", err)
	}

	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), d.recordTimeout())
	defer cancel()
	err = d.Store.RecordDeliveryOutcome(ctx, delivery, outcome)
	switch {
	case fault.Is(err, fault.LeaseLost):
		log.InfoContext(ctx, "delivery was claimed by another process, or deleted")
	case err != nil:
		// The delivery becomes due again when its lease expires.
		log.WarnContext(ctx, "outcome of a delivery not recorded", "error", err)
	}
}
