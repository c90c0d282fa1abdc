package sqlite

import (
	"context"

	"github.com/google/uuid"

	"github.com/seed-7a112592/gristmill/internal/fault"
	"github.com/seed-7a112592/gristmill/pkg/document"
)

// AddWebhook keeps a new webhook.
func (s *Store) AddWebhook(ctx context.Context, webhook document.Webhook) (_ document.Webhook, err error) {
	defer wrapError(&err, "add webhook %s", webhook.ID)
	err = s.inWriteTransaction(ctx, func(tx transaction) error {
		var have int
		if err := tx.QueryRowContext(ctx, `SELECT count(*) FROM webhooks WHERE tenant = ?1`, tx.tenant).Scan(&have); err != nil {
			return err
		}
		if have >= document.MaxWebhooks {
			return fault.New(fault.Conflict, "there are %d webhooks already, as many as there may be: delete one first", have)
		}
		webhook.CreatedAt = tx.now.time()
		_, err := tx.ExecContext(ctx, `
			INSERT INTO webhooks (tenant, id, url, secret, created_at) VALUES (?1, ?2, ?3, ?4, ?5)`,
			tx.tenant, webhook.ID, webhook.URL, []byte(webhook.Secret), tx.now)
		return err
	})
	return webhook, err
}

// Webhooks lists webhooks, newest first, without their secrets.
func (s *Store) Webhooks(ctx context.Context, page document.Page) (list document.List[document.Webhook], err error) {
	defer wrapError(&err, "list webhooks")
	before := uuid.Max
	if err := decodeCursor("webhooks", page, &before); err != nil {
		return list, err
	}
	err = s.inReadTransaction(ctx, func(tx transaction) error {
		rows, err := tx.QueryContext(ctx, `
			SELECT id, url, created_at FROM webhooks
			WHERE tenant = ?1 AND id < ?2
			ORDER BY id DESC
			LIMIT ?3`, tx.tenant, before, page.Limit+1)
		webhooks, err := collectRows(rows, err, func(row scanner) (w document.Webhook, err error) {
			var created micros
			err = row.Scan(&w.ID, &w.URL, &created)
			w.CreatedAt = created.time()
			return w, err
		})
		if err != nil {
			return err
		}
		list, err = cutPage("webhooks", webhooks, page.Limit, func(w document.Webhook) any { return w.ID })
		return err
	})
	return list, err
}

// DeleteWebhook removes a webhook with its deliveries.
func (s *Store) DeleteWebhook(ctx context.Context, id uuid.UUID) (err error) {
	defer wrapError(&err, "delete webhook %s", id)
	return s.inWriteTransaction(ctx, func(tx transaction) error {
		result, err := tx.ExecContext(ctx, `DELETE FROM webhooks WHERE tenant = ?1 AND id = ?2`, tx.tenant, id)
		if err != nil {
			return err
		}
		if deleted, err := result.RowsAffected(); err != nil || deleted > 0 {
			return err
		}
		return errNoWebhook(id)
	})
}

// readWebhooks returns every webhook of the tenant, with its secret.
func readWebhooks(ctx context.Context, tx transaction) ([]document.Webhook, error) {
	rows, err := tx.QueryContext(ctx, `SELECT id, url, secret FROM webhooks WHERE tenant = ?1`, tx.tenant)
	return collectRows(rows, err, func(row scanner) (w document.Webhook, err error) {
		return w, row.Scan(&w.ID, &w.URL, (*[]byte)(&w.Secret))
	})
}

func errNoWebhook(id uuid.UUID) error {
	return fault.New(fault.NotFound, "there is no webhook %s", id)
}
