package sqlite

import (
	"context"
	"encoding/json"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/seed-7a112592/gristmill/internal/fault"
	"github.com/seed-7a112592/gristmill/internal/lifecycle"
	"github.com/seed-7a112592/gristmill/internal/task"
	"github.com/seed-7a112592/gristmill/pkg/document"
)

// addDeliveries writes what the tenant's webhooks are to be told of a job that
// has just ended.
func addDeliveries(ctx context.Context, tx transaction, id uuid.UUID, version int) error {
	webhooks, err := readWebhooks(ctx, tx)
	if err != nil || len(webhooks) == 0 {
		return err
	}
	job, err := readVersionJob(ctx, tx, id, version)
	if err != nil {
		return err
	}
	event := document.Event{
		Type:      document.EventType(job.State),
		CreatedAt: tx.now.time(),
		Job: document.EndedJob{
			ID: job.ID, DocumentID: id, Collection: job.Collection, Version: version,
			State: job.State, Error: job.Error, CreatedAt: job.CreatedAt, FinishedAt: tx.now.time(),
		},
	}
	if err := tx.QueryRowContext(ctx, `
		SELECT key FROM documents WHERE tenant = ?1 AND id = ?2`, tx.tenant, id).Scan(&event.Job.Key); err != nil {
		return err
	}
	for _, webhook := range webhooks {
		if event.ID, err = uuid.NewV7(); err != nil {
			return err
		}
		body, err := json.Marshal(event)
		if err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, `
			INSERT INTO deliveries (tenant, id, webhook, event, job, document, body, next_attempt_at, created_at)
			VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?8)`,
			tx.tenant, event.ID, webhook.ID, event.Type, job.ID, id, body, tx.now); err != nil {
			return err
		}
	}
	return nil
}

// Deliveries lists the deliveries of a webhook, newest first.
func (s *Store) Deliveries(ctx context.Context, webhook uuid.UUID, page document.Page) (list document.List[document.Delivery], err error) {
	defer wrapError(&err, "list deliveries of webhook %s", webhook)
	before := uuid.Max
	if err := decodeCursor("deliveries", page, &before); err != nil {
		return list, err
	}
	err = s.inReadTransaction(ctx, func(tx transaction) error {
		var known bool
		if err := tx.QueryRowContext(ctx, `
			SELECT EXISTS (SELECT 1 FROM webhooks WHERE tenant = ?1 AND id = ?2)`, tx.tenant, webhook).Scan(&known); err != nil {
			return err
		}
		if !known {
			return errNoWebhook(webhook)
		}
		rows, err := tx.QueryContext(ctx, `
			SELECT `+deliveryColumns+`
			FROM deliveries
			WHERE tenant = ?1 AND webhook = ?2 AND id < ?3
			ORDER BY id DESC
			LIMIT ?4`, tx.tenant, webhook, before, page.Limit+1)
		deliveries, err := collectRows(rows, err, func(row scanner) (d document.Delivery, err error) {
			return d, scanDelivery(row, &d)
		})
		if err != nil {
			return err
		}
		list, err = cutPage("deliveries", deliveries, page.Limit, func(d document.Delivery) any { return d.ID })
		return err
	})
	return list, err
}

// ClaimDeliveries gives the caller what is due.
func (s *Store) ClaimDeliveries(ctx context.Context, busy []uuid.UUID, limit int, ttl time.Duration) (taken []task.Delivery, err error) {
	defer wrapError(&err, "take deliveries")
	err = s.inWriteTransaction(ctx, func(tx transaction) error {
		webhooks, err := readWebhooks(ctx, tx)
		if err != nil {
			return err
		}
		for _, webhook := range webhooks {
			if slices.Contains(busy, webhook.ID) {
				continue
			}
			rows, err := tx.QueryContext(ctx, `
				UPDATE deliveries SET attempts = attempts + 1, next_attempt_at = ?4
				WHERE tenant = ?1 AND id IN (
					SELECT id FROM deliveries
					WHERE tenant = ?1 AND webhook = ?2 AND state = 'pending' AND next_attempt_at <= ?3
					ORDER BY next_attempt_at
					LIMIT ?5)
				RETURNING `+deliveryColumns+`, body`,
				tx.tenant, webhook.ID, tx.now, tx.now.add(ttl), limit)
			due, err := collectRows(rows, err, func(row scanner) (task.Delivery, error) {
				o := task.Delivery{URL: webhook.URL, Secret: webhook.Secret}
				return o, scanDelivery(row, &o.Delivery, &o.Body)
			})
			if err != nil {
				return err
			}
			taken = append(taken, due...)
		}
		return nil
	})
	return taken, err
}

// RecordDeliveryOutcome writes what became of a taken delivery.
func (s *Store) RecordDeliveryOutcome(ctx context.Context, taken task.Delivery, outcome task.DeliveryOutcome) (err error) {
	defer wrapError(&err, "settle delivery %s: %s", taken.ID, outcome.State)
	return s.inWriteTransaction(ctx, func(tx transaction) error {
		result, err := tx.ExecContext(ctx, `
			UPDATE deliveries SET state = ?4, status = ?5, error = ?6,
				next_attempt_at = iif(?4 = 'pending', ?7, NULL),
				ended_at        = iif(?4 = 'pending', NULL, ?8)
			WHERE tenant = ?1 AND id = ?2 AND attempts = ?3 AND state = 'pending'`,
			tx.tenant, taken.ID, taken.Attempts, outcome.State, outcome.Status, lifecycle.Storable(outcome.Error), tx.now.add(outcome.Delay), tx.now)
		if err != nil {
			return err
		}
		if settled, err := result.RowsAffected(); err != nil || settled > 0 {
			return err
		}
		return fault.New(fault.LeaseLost, "delivery %s was taken by another process, or deleted", taken.ID)
	})
}

// DeleteEndedDeliveries removes deliveries that ended longer than age ago.
func (s *Store) DeleteEndedDeliveries(ctx context.Context, age time.Duration, limit int) (dropped int, err error) {
	defer wrapError(&err, "drop ended deliveries")
	err = s.inWriteTransaction(ctx, func(tx transaction) error {
		result, err := tx.ExecContext(ctx, `
			DELETE FROM deliveries
			WHERE tenant = ?1 AND id IN (
				SELECT id FROM deliveries
				WHERE tenant = ?1 AND state <> 'pending' AND ended_at <= ?2
				ORDER BY ended_at
				LIMIT ?3)`, tx.tenant, tx.now.add(-age), limit)
		if err != nil {
			return err
		}
		count, err := result.RowsAffected()
		dropped = int(count)
		return err
	})
	return dropped, err
}

// deliveryColumns are what scanDelivery scans.
const deliveryColumns = `id, webhook, event, job, document, state, attempts, status, error,
	next_attempt_at, created_at, ended_at`

// scanDelivery scans deliveryColumns, and what follows them into more.
func scanDelivery(row scanner, d *document.Delivery, more ...any) error {
	var (
		created     micros
		next, ended *micros
	)
	if err := row.Scan(append([]any{&d.ID, &d.WebhookID, &d.Event, &d.JobID, &d.DocumentID, &d.State, &d.Attempts,
		&d.Status, &d.Error, &next, &created, &ended}, more...)...); err != nil {
		return err
	}
	d.NextAttemptAt, d.CreatedAt, d.EndedAt = timeOrNil(next), created.time(), timeOrNil(ended)
	return nil
}
