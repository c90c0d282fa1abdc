package postgres

import (
	"context"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/seed-7a112592/gristmill/internal/fault"
	"github.com/seed-7a112592/gristmill/internal/lifecycle"
	"github.com/seed-7a112592/gristmill/internal/task"
	"github.com/seed-7a112592/gristmill/pkg/document"
)

// queueInsertDeliveries writes what the tenant's webhooks are to be told of a job
// that has just ended. Without webhooks it is a look at an empty table.
//
// The webhooks are locked against deletion, since a delivery that refers to one
// under deletion would undo the whole transaction; who is deleted before the
// lock is granted is passed over. Nulls are stripped for the compact text that
// this also makes.
func queueInsertDeliveries(batch *pgx.Batch, job uuid.UUID) {
	const rfc3339 = `YYYY-MM-DD"T"HH24:MI:SS.US"Z"`
	ids := make([]uuid.UUID, document.MaxWebhooks)
	for i := range ids {
		ids[i] = uuid.Must(uuid.NewV7())
	}
	batch.Queue(`
		WITH receivers AS MATERIALIZED (
			SELECT id FROM webhooks FOR KEY SHARE
		), named AS (
			SELECT i.id, r.webhook
			FROM (SELECT id AS webhook, row_number() OVER () AS n FROM receivers) r
			JOIN unnest($2::uuid[]) WITH ORDINALITY AS i (id, n) USING (n)
		)
		INSERT INTO deliveries (id, webhook, event, job, document, body)
		SELECT n.id, n.webhook, 'job.' || j.state, j.id, j.document, json_strip_nulls(json_build_object(
			'id', n.id,
			'type', 'job.' || j.state,
			'created_at', to_char(now() AT TIME ZONE 'UTC', $3),
			'job', json_build_object(
				'id', j.id,
				'document_id', j.document,
				'collection', c.name,
				'key', d.key,
				'version', j.version,
				'state', j.state,
				'error', (SELECT t.error FROM tasks t WHERE t.job = j.id AND t.error <> '' ORDER BY t.kind LIMIT 1),
				'created_at', to_char(j.created_at AT TIME ZONE 'UTC', $3),
				'finished_at', to_char(j.finished_at AT TIME ZONE 'UTC', $3))))
		FROM named n
		JOIN jobs j ON j.id = $1
		JOIN documents d ON d.id = j.document
		JOIN collections c ON c.id = d.collection`, job, ids, rfc3339)
}

// Deliveries lists the deliveries of a webhook, newest first.
func (s *Store) Deliveries(ctx context.Context, webhook uuid.UUID, page document.Page) (list document.List[document.Delivery], err error) {
	defer wrapError(&err, "list deliveries of webhook %s", webhook)
	before, err := decodeCursor(page, cursorDeliveries, uuid.Max)
	if err != nil {
		return list, err
	}
	err = s.inTenant(ctx, func(tx pgx.Tx) error {
		var known bool
		if err := tx.QueryRow(ctx, `SELECT EXISTS (SELECT FROM webhooks WHERE id = $1)`, webhook).Scan(&known); err != nil {
			return err
		}
		if !known {
			return errNoWebhook(webhook)
		}
		deliveries, err := queryAll(ctx, tx, func(row pgx.CollectableRow) (d document.Delivery, err error) {
			return d, scanDelivery(row, &d)
		}, `
			SELECT `+deliveryColumns+`
			FROM deliveries d
			WHERE d.webhook = $1 AND d.id < $2
			ORDER BY d.id DESC
			LIMIT $3`, webhook, before, page.Limit+1)
		list = cutPage(deliveries, page.Limit, func(last document.Delivery) string { return encodeCursor(cursorDeliveries, last.ID) })
		return err
	})
	return list, err
}

// ClaimDeliveries gives the caller what is due.
func (s *Store) ClaimDeliveries(ctx context.Context, busy []uuid.UUID, limit int, ttl time.Duration) (taken []task.Delivery, err error) {
	defer wrapError(&err, "take deliveries")
	err = s.inTenant(ctx, func(tx pgx.Tx) error {
		// Those that somebody else is taking are in good hands. Materialized,
		// since it must run once: each run would lock others.
		taken, err = queryAll(ctx, tx, func(row pgx.CollectableRow) (o task.Delivery, err error) {
			return o, scanDelivery(row, &o.Delivery, &o.URL, (*[]byte)(&o.Secret), &o.Body)
		}, `
			WITH due AS MATERIALIZED (
				SELECT due.id
				FROM webhooks w
				CROSS JOIN LATERAL (
					SELECT id FROM deliveries
					WHERE webhook = w.id AND state = 'pending' AND next_attempt_at <= now()
					ORDER BY next_attempt_at
					LIMIT $2
					FOR UPDATE SKIP LOCKED
				) due
				WHERE w.id <> ALL (coalesce($1::uuid[], '{}'))
			)
			UPDATE deliveries d SET attempts = d.attempts + 1, next_attempt_at = clock_timestamp() + $3::interval
			FROM webhooks w
			WHERE d.id IN (SELECT id FROM due) AND w.id = d.webhook
			RETURNING `+deliveryColumns+`, w.url, w.secret, d.body`, busy, limit, ttl)
		return err
	})
	return taken, err
}

// RecordDeliveryOutcome writes what became of a taken delivery.
func (s *Store) RecordDeliveryOutcome(ctx context.Context, taken task.Delivery, outcome task.DeliveryOutcome) (err error) {
	defer wrapError(&err, "settle delivery %s: %s", taken.ID, outcome.State)
	return s.inTenant(ctx, func(tx pgx.Tx) error {
		tag, err := tx.Exec(ctx, `
			UPDATE deliveries SET state = $3, status = $4, error = $5,
				next_attempt_at = CASE WHEN $3 = 'pending' THEN clock_timestamp() + $6::interval END,
				ended_at        = CASE WHEN $3 <> 'pending' THEN clock_timestamp() END
			WHERE id = $1 AND attempts = $2 AND state = 'pending'`,
			taken.ID, taken.Attempts, outcome.State, outcome.Status, lifecycle.Storable(outcome.Error), outcome.Delay)
		if err == nil && tag.RowsAffected() == 0 {
			return fault.New(fault.LeaseLost, "delivery %s was taken by another process, or deleted", taken.ID)
		}
		return err
	})
}

// DeleteEndedDeliveries removes deliveries that ended longer than age ago.
func (s *Store) DeleteEndedDeliveries(ctx context.Context, age time.Duration, limit int) (dropped int, err error) {
	defer wrapError(&err, "drop ended deliveries")
	err = s.inTenant(ctx, func(tx pgx.Tx) error {
		tag, err := tx.Exec(ctx, `
			DELETE FROM deliveries
			WHERE id IN (SELECT id FROM deliveries
			             WHERE state <> 'pending' AND ended_at <= statement_timestamp() - $1::interval
			             ORDER BY ended_at
			             LIMIT $2)`, age, limit)
		dropped = int(tag.RowsAffected())
		return err
	})
	return dropped, err
}

// deliveryColumns are what scanDelivery scans.
const deliveryColumns = `d.id, d.webhook, d.event, d.job, d.document, d.state, d.attempts, d.status, d.error,
	d.next_attempt_at, d.created_at, d.ended_at`

// scanDelivery scans deliveryColumns, and what follows them into more.
func scanDelivery(row pgx.Row, d *document.Delivery, more ...any) error {
	if err := row.Scan(append([]any{&d.ID, &d.WebhookID, &d.Event, &d.JobID, &d.DocumentID, &d.State, &d.Attempts,
		&d.Status, &d.Error, &d.NextAttemptAt, &d.CreatedAt, &d.EndedAt}, more...)...); err != nil {
		return err
	}
	d.CreatedAt = d.CreatedAt.UTC()
	for _, t := range []*time.Time{d.NextAttemptAt, d.EndedAt} {
		if t != nil {
			*t = t.UTC()
		}
	}
	return nil
}
