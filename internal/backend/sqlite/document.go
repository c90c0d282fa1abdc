package sqlite

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/google/uuid"

	"github.com/seed-7a112592/gristmill/internal/fault"
	"github.com/seed-7a112592/gristmill/internal/lifecycle"
	"github.com/seed-7a112592/gristmill/internal/task"
	"github.com/seed-7a112592/gristmill/pkg/document"
)

// Document returns one document as readers see it.
func (s *Store) Document(ctx context.Context, id uuid.UUID) (d document.Document, err error) {
	defer wrapError(&err, "document %s", id)
	err = s.inReadTransaction(ctx, func(tx transaction) error {
		d, err = scanDocument(tx.QueryRowContext(ctx, selectDocuments+`
			WHERE d.tenant = ?1 AND d.id = ?2 AND d.deleted_at IS NULL
			  AND v.version = coalesce(d.published_version, d.newest_version)`, tx.tenant, id))
		return asErrNoDocument(err, id)
	})
	return d, err
}

// readNewestVersion returns a document with what its newest version says.
func readNewestVersion(ctx context.Context, tx transaction, id uuid.UUID) (document.Document, error) {
	return scanDocument(tx.QueryRowContext(ctx, selectDocuments+`
		WHERE d.tenant = ?1 AND d.id = ?2 AND v.version = d.newest_version`, tx.tenant, id))
}

// Documents lists documents: newest first, or those of a prefix by key.
func (s *Store) Documents(ctx context.Context, filter document.DocumentFilter, page document.Page) (list document.List[document.Document], err error) {
	defer wrapError(&err, "list documents")
	if filter.KeyPrefix != "" {
		return s.documentsByKey(ctx, filter, page)
	}
	before := uuid.Max
	if err := decodeCursor("documents", page, &before); err != nil {
		return list, err
	}
	err = s.inReadTransaction(ctx, func(tx transaction) error {
		of, collection, err := listScope(ctx, tx, filter.Collection)
		if err != nil {
			return err
		}
		rows, err := tx.QueryContext(ctx, newestFirstQuery("documents", "deleted_at IS NULL AND "+of, listedStates(document.DocumentStates, filter.State))+selectDocuments+`
			WHERE d.tenant = ?1 AND d.id IN (SELECT id FROM page)
			  AND v.version = coalesce(d.published_version, d.newest_version)
			ORDER BY d.id DESC`, tx.tenant, before, page.Limit+1, collection)
		documents, err := collectRows(rows, err, scanDocument)
		if err != nil {
			return err
		}
		list, err = cutPage("documents", documents, page.Limit, func(d document.Document) any { return d.ID })
		return err
	})
	return list, err
}

// keyCursor is the place of a document in a list by key.
type keyCursor struct {
	Key string    `json:"key"`
	ID  uuid.UUID `json:"id"`
}

// documentsByKey lists documents whose key begins with a prefix, by key and id:
// those between the prefix and the next one that does not begin with it.
func (s *Store) documentsByKey(ctx context.Context, filter document.DocumentFilter, page document.Page) (list document.List[document.Document], err error) {
	after := keyCursor{Key: filter.KeyPrefix}
	if err := decodeCursor("keys", page, &after); err != nil {
		return list, err
	}
	if !strings.HasPrefix(after.Key, filter.KeyPrefix) {
		return list, lifecycle.BadCursor(page.Cursor)
	}
	err = s.inReadTransaction(ctx, func(tx transaction) error {
		of, collection, err := listScope(ctx, tx, filter.Collection)
		if err != nil {
			return err
		}
		rows, err := tx.QueryContext(ctx, mergeStatesQuery(listedStates(document.DocumentStates, filter.State), `
			SELECT id, key
			FROM documents
			WHERE deleted_at IS NULL AND `+of+` tenant = ?1 AND state = '$state' AND (key, id) > (?5, ?2) AND key < ?6
			ORDER BY key, id`, "key, id")+selectDocuments+`
			WHERE d.tenant = ?1 AND d.id IN (SELECT id FROM page)
			  AND v.version = coalesce(d.published_version, d.newest_version)
			ORDER BY d.key, d.id`, tx.tenant, after.ID, page.Limit+1, collection, after.Key, document.PrefixUpperBound(filter.KeyPrefix))
		documents, err := collectRows(rows, err, scanDocument)
		if err != nil {
			return err
		}
		list, err = cutPage("keys", documents, page.Limit, func(d document.Document) any { return keyCursor{d.Key, d.ID} })
		return err
	})
	return list, err
}

// Summary returns the summary of the live version.
func (s *Store) Summary(ctx context.Context, id uuid.UUID) (summary document.Summary, err error) {
	defer wrapError(&err, "summary of document %s", id)
	err = s.inReadTransaction(ctx, func(tx transaction) error {
		var model, text sql.NullString
		var skipped bool
		if err := tx.QueryRowContext(ctx, `
			SELECT coalesce(d.published_version, 0), s.model, s.summary,
			       s.summary IS NULL AND EXISTS (
				SELECT 1 FROM tasks t
				WHERE t.tenant = d.tenant AND t.document = d.id AND t.version = d.published_version AND t.kind = 'summary' AND t.state = 'succeeded')
			FROM documents d
			LEFT JOIN summaries s ON s.tenant = d.tenant AND s.document = d.id AND s.version = d.published_version
			WHERE d.tenant = ?1 AND d.id = ?2 AND d.deleted_at IS NULL`, tx.tenant, id).
			Scan(&summary.Version, &model, &text, &skipped); err != nil {
			return asErrNoDocument(err, id)
		}
		if skipped {
			return fault.New(fault.NotFound, "%s", task.NoSummaryDetail(id))
		}
		if !text.Valid {
			return fault.New(fault.NotFound, "document %s has no summary yet", id)
		}
		summary.DocumentID, summary.Model, summary.Summary = id, model.String, text.String
		return nil
	})
	return summary, err
}

// DeleteDocument hides the document at once and cancels its unfinished tasks, if
// the conditions hold of its newest version.
func (s *Store) DeleteDocument(ctx context.Context, id uuid.UUID, conditions ...document.Condition) (err error) {
	defer wrapError(&err, "delete document %s", id)
	return s.inWriteTransaction(ctx, func(tx transaction) error {
		var deleted bool
		if err := tx.QueryRowContext(ctx, `
			UPDATE documents SET state = 'deleting', deleted_at = ?3, updated_at = ?3
			WHERE tenant = ?1 AND id = ?2 AND deleted_at IS NULL
			RETURNING true`, tx.tenant, id, tx.now).Scan(&deleted); err != nil {
			return asErrNoDocument(err, id)
		}
		if len(conditions) > 0 {
			newest, err := readNewestVersion(ctx, tx, id)
			if err != nil {
				return err
			}
			for _, c := range conditions {
				if err := lifecycle.CheckCondition(c, newest.SHA256); err != nil {
					return err
				}
			}
		}
		if _, err := tx.ExecContext(ctx, `
			INSERT INTO garbage (tenant, kind, due_at, document, version)
			SELECT ?1, 'version', ?3, document, version FROM versions WHERE tenant = ?1 AND document = ?2`, tx.tenant, id, tx.now); err != nil {
			return err
		}
		return abandon(ctx, tx, id)
	})
}

func asErrNoDocument(err error, id uuid.UUID) error {
	if errors.Is(err, sql.ErrNoRows) {
		return lifecycle.DocumentNotFound(id)
	}
	return err
}

// passageWarnings are those of the passages of version v of document d, in the
// space by which collection c answers searches.
const passageWarnings = `coalesce((SELECT p.warnings FROM space_versions p
	                 WHERE p.tenant = d.tenant AND p.document = d.id AND p.version = v.version AND p.space = c.active_space), '[]')`

const selectDocuments = `
	SELECT d.id, c.name, d.key, v.title, d.state, v.version, v.size, v.sha256, v.media_type, v.metadata,
	       v.warnings, ` + passageWarnings + `, v.summary_warnings, d.created_at, d.updated_at, v.damage, v.object, v.object_etag
	FROM documents d
	JOIN collections c ON c.tenant = d.tenant AND c.id = d.collection
	JOIN versions v    ON v.tenant = d.tenant AND v.document = d.id
`

// scanDocument scans a row of selectDocuments.
func scanDocument(row scanner) (d document.Document, err error) {
	var created, updated micros
	var own, placed, summary []byte // warnings
	err = row.Scan(&d.ID, &d.Collection, &d.Key, &d.Title, &d.State, &d.Version, &d.Size, &d.SHA256, &d.MediaType,
		(*[]byte)(&d.Metadata), &own, &placed, &summary, &created, &updated, &d.Damage, &d.Object, &d.ObjectETag)
	if err != nil {
		return d, err
	}
	d.CreatedAt, d.UpdatedAt = created.time(), updated.time()
	d.Warnings, err = joinWarnings(own, placed, summary)
	return d, err
}

// joinWarnings returns the warnings of all steps.
func joinWarnings(steps ...[]byte) (all document.Warnings, err error) {
	for _, step := range steps {
		var warnings document.Warnings
		if err := json.Unmarshal(step, &warnings); err != nil {
			return nil, fmt.Errorf("warnings: %w", err)
		}
		all = all.Join(warnings)
	}
	return all, nil
}
