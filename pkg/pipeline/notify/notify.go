// Package notify tells webhooks of jobs that have ended: it sends what the
// stores' outbox holds, at least once, until the receiver has it or a day is
// over.
package notify

import (
	"context"
	"log/slog"
	"maps"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/seed-7a112592/gristmill/pkg/document"
	"github.com/seed-7a112592/gristmill/pkg/fault"
	"github.com/seed-7a112592/gristmill/pkg/goroutine"
	"github.com/seed-7a112592/gristmill/pkg/telemetry"
	"github.com/seed-7a112592/gristmill/pkg/tenant"
)

// Store is the outbox; see storetest.Outbox for the contract.
type Store interface {
	TenantsWithDeliveries(ctx context.Context) ([]string, error)
	TakeDeliveries(ctx context.Context, busy []uuid.UUID, limit int, ttl time.Duration) ([]document.Outgoing, error)
	SettleDelivery(ctx context.Context, taken document.Outgoing, outcome document.DeliveryOutcome) error
}

// Sender sends a delivery to its receiver, within a few seconds. It returns
// the HTTP status of the answer, 0 for none, and a fault.Error that says why
// the receiver does not have the delivery.
type Sender interface {
	Send(ctx context.Context, delivery document.Outgoing) (status int, err error)
}

const (
	// interval is the time between two looks for tenants that have deliveries.
	interval = 5 * time.Second

	// gather is how long hints are gathered before their tenants are looked
	// at, so that a busy tenant costs ten looks a second and not hundreds.
	gather = 100 * time.Millisecond

	// perWebhook is how many deliveries one webhook is sent at a time, and
	// maxBusy about how many webhooks are sent to at a time: a slow receiver
	// takes up its own places and nobody else's.
	perWebhook = 8
	maxBusy    = 64

	// ttl is how long what was taken is left alone by others. It is longer
	// than sending and settling take.
	ttl = 30 * time.Second

	// maxSettle bounds writing what became of an attempt, which is done while
	// the process is stopping, too.
	maxSettle = 5 * time.Second
)

// Config is what a notifier needs.
type Config struct {
	Store   Store
	Sender  Sender
	Metrics *telemetry.Metrics
	Log     *slog.Logger

	// Grace is how long after the end of its context Run returns at the
	// latest. The last quarter of it is for writing what became of what was cut
	// off.
	Grace time.Duration
}

// Notifier sends what is due. Any number of processes may run one.
type Notifier struct {
	Config
	hints chan string // tenants
}

// New returns a notifier, which does nothing before Run.
func New(config Config) *Notifier {
	return &Notifier{Config: config, hints: make(chan string, 256)}
}

// Look has Run look at the tenant in ctx soon: a job may have ended. It returns
// at once, and is only a hint; what it is not told of, Run finds on a timer.
func (n *Notifier) Look(ctx context.Context) {
	id, err := tenant.From(ctx)
	if err != nil {
		return
	}
	select {
	case n.hints <- id:
	default:
	}
}

// batch is deliveries of one webhook that are under way.
type batch struct {
	tenant  string
	webhook uuid.UUID
}

// line is tenants in the order in which they came, each of them once.
type line struct {
	order []string
	in    map[string]bool
}

func (l *line) add(id string) {
	if l.in == nil {
		l.in = map[string]bool{}
	}
	if !l.in[id] {
		l.in[id] = true
		l.order = append(l.order, id)
	}
}

func (l *line) next() string {
	id := l.order[0]
	l.order = l.order[1:]
	delete(l.in, id)
	return id
}

// Run sends what is due of every tenant until ctx ends and what was under way
// is over, or is given up when the grace is over: it is due again then.
func (n *Notifier) Run(ctx context.Context) {
	sending, giveUp := context.WithCancel(context.WithoutCancel(ctx))
	defer giveUp()
	var (
		busy     = map[uuid.UUID]bool{} // webhooks with a batch under way
		wanted   line                   // tenants to be looked at
		hinted   = map[string]bool{}    // those that are wanted soon
		soon     <-chan time.Time       // nil while there are none
		finished = make(chan batch)
	)
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	n.wantAll(ctx, &wanted)
	for ctx.Err() == nil {
		for len(wanted.order) > 0 && len(busy) < maxBusy {
			id := wanted.next()
			for webhook, deliveries := range n.take(ctx, id, busy) {
				busy[webhook] = true
				goroutine.Go(n.Log, "deliveries", func() {
					defer func() { finished <- batch{id, webhook} }()
					n.send(tenant.With(sending, id), deliveries)
				})
			}
		}
		select {
		case <-ctx.Done():
		case id := <-n.hints:
			hinted[id] = true
			if soon == nil {
				soon = time.After(gather)
			}
		case <-soon:
			for id := range hinted {
				wanted.add(id)
			}
			clear(hinted)
			soon = nil
		case b := <-finished:
			delete(busy, b.webhook)
			wanted.add(b.tenant) // there may be more, or more since
		case <-ticker.C:
			n.wantAll(ctx, &wanted)
		}
	}
	over := time.NewTimer(n.Grace - n.settleTime())
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

// settleTime is how long writing what became of an attempt may take.
func (n *Notifier) settleTime() time.Duration { return min(n.Grace/4, maxSettle) }

// wantAll adds every tenant that has deliveries to those wanted.
func (n *Notifier) wantAll(ctx context.Context, wanted *line) {
	tenants, err := n.Store.TenantsWithDeliveries(ctx)
	if err != nil && ctx.Err() == nil {
		n.Log.WarnContext(ctx, "no webhooks looked at; trying again soon", "error", err)
	}
	for _, id := range tenants {
		wanted.add(id)
	}
}

// take takes what is due of a tenant, by webhook.
func (n *Notifier) take(ctx context.Context, id string, busy map[uuid.UUID]bool) map[uuid.UUID][]document.Outgoing {
	taken, err := n.Store.TakeDeliveries(tenant.With(ctx, id), slices.Collect(maps.Keys(busy)), perWebhook, ttl)
	if err != nil && ctx.Err() == nil {
		n.Log.WarnContext(ctx, "no deliveries taken; trying again soon", "tenant", id, "error", err)
	}
	byWebhook := map[uuid.UUID][]document.Outgoing{}
	for _, delivery := range taken {
		byWebhook[delivery.WebhookID] = append(byWebhook[delivery.WebhookID], delivery)
	}
	return byWebhook
}

// send sends deliveries at once, and returns when all are settled.
func (n *Notifier) send(ctx context.Context, deliveries []document.Outgoing) {
	group := goroutine.NewGroup()
	for _, delivery := range deliveries {
		group.Go(func() error { n.deliver(ctx, delivery); return nil })
	}
	if err := group.Wait(); err != nil { // they are due again after their time to live
		n.Log.ErrorContext(ctx, "deliveries not made", "error", err)
	}
}

// deliver makes one attempt and settles it.
func (n *Notifier) deliver(ctx context.Context, delivery document.Outgoing) {
	status, err := n.Sender.Send(ctx, delivery)
	outcome := Decide(delivery, status, err, ctx.Err() != nil)
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

	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), n.settleTime())
	defer cancel()
	err = n.Store.SettleDelivery(ctx, delivery, outcome)
	switch {
	case fault.Is(err, fault.LeaseLost):
		log.InfoContext(ctx, "delivery is another's by now, or deleted")
	case err != nil:
		// It is due again after its time to live.
		log.WarnContext(ctx, "outcome of a delivery not recorded", "error", err)
	}
}
