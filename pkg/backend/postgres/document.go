package postgres

import (
	"context"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/seed-7a112592/gristmill/pkg/document"
	"github.com/seed-7a112592/gristmill/pkg/fault"
)

// Document returns a document as readers see it.
func (s *Store) Document(ctx context.Context, id uuid.UUID) (d document.Document, err error) {
	defer describe(&err, "document %s", id)
	err = s.inTenant(ctx, func(tx pgx.Tx) error {
		d, err = scanDocument(tx.QueryRow(ctx, selectDocuments+joinVisible+`
			WHERE d.id = $1 AND d.deleted_at IS NULL`, id))
		return err
	})
	if isNoRows(err) {
		err = noDocument(id)
	}
	return d, err
}

// Documents lists documents, newest first.
func (s *Store) Documents(ctx context.Context, filter document.DocumentFilter, page document.Page) (list document.List[document.Document], err error) {
	defer describe(&err, "list documents")
	before, err := decodeCursor(page, documentsCursor, uuid.Max)
	if err != nil {
		return list, err
	}
	err = s.inTenant(ctx, func(tx pgx.Tx) error {
		documents, err := collect(ctx, tx, scanDocumentRow, selectDocuments+joinVisible+`
			WHERE d.deleted_at IS NULL
			  AND d.id < $1
			  AND ($2 = '' OR c.name = $2)
			  AND ($3 = '' OR starts_with(d.key, $3))
			  AND ($4 = '' OR d.state = $4)
			ORDER BY d.id DESC
			LIMIT $5`,
			before, filter.Collection, filter.KeyPrefix, filter.State, page.Limit+1)
		list = cut(documents, page.Limit, func(last document.Document) string { return encodeCursor(documentsCursor, last.ID) })
		return err
	})
	return list, err
}

// placedWarnings are those of the passages of version v of document d, in the
// space by which collection c answers searches.
const placedWarnings = `coalesce((SELECT p.warnings FROM placements p
	                 WHERE p.document = d.id AND p.version = v.version AND p.space = c.live_space), '[]')`

// selectDocuments is followed by a join of the version v that is to describe
// the document, and read by scanDocument.
const selectDocuments = `
	SELECT d.id, c.name, d.key, v.title, d.state, v.version, v.size, v.sha256, v.media_type, v.metadata,
	       v.warnings, ` + placedWarnings + `, v.summary_warnings, d.created_at, d.updated_at, v.damage, v.object, v.tag
	FROM documents d
	JOIN collections c ON c.id = d.collection`

// joinVisible joins the version that readers see.
const joinVisible = `
	JOIN versions v ON v.document = d.id AND v.version = coalesce(d.live_version, d.newest_version)`

func scanDocument(row pgx.Row) (document.Document, error) {
	var d document.Document
	var placed, summary document.Warnings
	if err := row.Scan(&d.ID, &d.Collection, &d.Key, &d.Title, &d.State, &d.Version, &d.Size, &d.SHA256, &d.MediaType, &d.Metadata,
		&d.Warnings, &placed, &summary, &d.CreatedAt, &d.UpdatedAt, &d.Damaged, &d.Object, &d.Tag); err != nil {
		return document.Document{}, err
	}
	d.Warnings = d.Warnings.Join(placed).Join(summary)
	d.CreatedAt, d.UpdatedAt = d.CreatedAt.UTC(), d.UpdatedAt.UTC()
	return d, nil
}

func scanDocumentRow(row pgx.CollectableRow) (document.Document, error) { return scanDocument(row) }

func noDocument(id uuid.UUID) error {
	return fault.New(fault.NotFound, "there is no document %s", id)
}
