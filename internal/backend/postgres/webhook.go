package postgres

import (
	"context"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/seed-7a112592/gristmill/internal/fault"
	"github.com/seed-7a112592/gristmill/pkg/document"
)

// AddWebhook keeps a new webhook.
func (s *Store) AddWebhook(ctx context.Context, webhook document.Webhook) (_ document.Webhook, err error) {
	defer wrapError(&err, "add webhook %s", webhook.ID)
	err = s.inTenant(ctx, func(tx pgx.Tx) error {
		// One at a time: no row would be there to lock for the first.
		if _, err := tx.Exec(ctx, `
			SELECT pg_advisory_xact_lock(hashtextextended('webhooks/' || current_setting('gristmill.tenant'), 0))`); err != nil {
			return err
		}
		var have int
		if err := tx.QueryRow(ctx, `SELECT count(*) FROM webhooks`).Scan(&have); err != nil {
			return err
		}
		if have >= document.MaxWebhooks {
			return fault.New(fault.Conflict, "there are %d webhooks already, as many as there may be: delete one first", have)
		}
		if err := tx.QueryRow(ctx, `
			INSERT INTO webhooks (id, url, secret) VALUES ($1, $2, $3)
			RETURNING created_at`, webhook.ID, webhook.URL, []byte(webhook.Secret)).Scan(&webhook.CreatedAt); err != nil {
			return err
		}
		webhook.CreatedAt = webhook.CreatedAt.UTC()
		return nil
	})
	return webhook, err
}

// Webhooks lists webhooks, newest first, without their secrets.
func (s *Store) Webhooks(ctx context.Context, page document.Page) (list document.List[document.Webhook], err error) {
	defer wrapError(&err, "list webhooks")
	before, err := decodeCursor(page, cursorWebhooks, uuid.Max)
	if err != nil {
		return list, err
	}
	err = s.inTenant(ctx, func(tx pgx.Tx) error {
		webhooks, err := queryAll(ctx, tx, func(row pgx.CollectableRow) (w document.Webhook, err error) {
			err = row.Scan(&w.ID, &w.URL, &w.CreatedAt)
			w.CreatedAt = w.CreatedAt.UTC()
			return w, err
		}, `
			SELECT id, url, created_at FROM webhooks
			WHERE id < $1
			ORDER BY id DESC
			LIMIT $2`, before, page.Limit+1)
		list = cutPage(webhooks, page.Limit, func(last document.Webhook) string { return encodeCursor(cursorWebhooks, last.ID) })
		return err
	})
	return list, err
}

// webhookDeleteBatch is how many deliveries of a webhook go in one transaction.
const webhookDeleteBatch = 5000

// DeleteWebhook removes a webhook with its deliveries. Most of these go before
// it: every job that ends meanwhile waits for the transaction that deletes the
// webhook itself.
func (s *Store) DeleteWebhook(ctx context.Context, id uuid.UUID) (err error) {
	defer wrapError(&err, "delete webhook %s", id)
	for more := true; more; {
		if err := s.inTenant(ctx, func(tx pgx.Tx) error {
			tag, err := tx.Exec(ctx, `
				DELETE FROM deliveries
				WHERE id IN (SELECT id FROM deliveries WHERE webhook = $1 LIMIT $2)`, id, webhookDeleteBatch)
			more = tag.RowsAffected() == webhookDeleteBatch
			return err
		}); err != nil {
			return err
		}
	}
	return s.inTenant(ctx, func(tx pgx.Tx) error {
		tag, err := tx.Exec(ctx, `DELETE FROM webhooks WHERE id = $1`, id)
		if err == nil && tag.RowsAffected() == 0 {
			return errNoWebhook(id)
		}
		return err
	})
}

func errNoWebhook(id uuid.UUID) error {
	return fault.New(fault.NotFound, "there is no webhook %s", id)
}
