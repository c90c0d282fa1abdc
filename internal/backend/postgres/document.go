package postgres

import (
	"context"
	"fmt"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/seed-7a112592/gristmill/internal/fault"
	"github.com/seed-7a112592/gristmill/pkg/document"
)

// Document returns a document as readers see it.
func (s *Store) Document(ctx context.Context, id uuid.UUID) (d document.Document, err error) {
	defer wrapError(&err, "document %s", id)
	err = s.inTenant(ctx, func(tx pgx.Tx) error {
		d, err = scanDocument(tx.QueryRow(ctx, selectDocuments+joinPublishedOrNewest+`
			WHERE d.id = $1 AND d.deleted_at IS NULL`, id))
		return err
	})
	if isNoRows(err) {
		err = errNoDocument(id)
	}
	return d, err
}

// Documents lists documents: newest first, or those of a prefix by key.
func (s *Store) Documents(ctx context.Context, filter document.DocumentFilter, page document.Page) (list document.List[document.Document], err error) {
	defer wrapError(&err, "list documents")
	if filter.KeyPrefix != "" {
		return s.documentsByKey(ctx, filter, page)
	}
	before, err := decodeCursor(page, cursorDocuments, uuid.Max)
	if err != nil {
		return list, err
	}
	err = s.inTenant(ctx, func(tx pgx.Tx) error {
		of, args, err := listScope(ctx, tx, filter.Collection, before)
		if err != nil {
			return err
		}
		documents, err := queryAll(ctx, tx, scanDocumentRow, newestFirstQuery("documents", "deleted_at IS NULL AND "+of, listedStates(document.DocumentStates, filter.State), page.Limit+1)+
			selectDocuments+joinPublishedOrNewest+`
			JOIN page ON page.id = d.id
			ORDER BY d.id DESC`, args...)
		list = cutPage(documents, page.Limit, func(last document.Document) string { return encodeCursor(cursorDocuments, last.ID) })
		return err
	})
	return list, err
}

// documentsByKey lists documents whose key begins with a prefix, by key and id:
// those between the prefix and the next one that does not begin with it.
func (s *Store) documentsByKey(ctx context.Context, filter document.DocumentFilter, page document.Page) (list document.List[document.Document], err error) {
	after, id, err := decodeKeyCursor(page, filter.KeyPrefix)
	if err != nil {
		return list, err
	}
	err = s.inTenant(ctx, func(tx pgx.Tx) error {
		of, args, err := listScope(ctx, tx, filter.Collection, id)
		if err != nil {
			return err
		}
		n := len(args)
		documents, err := queryAll(ctx, tx, scanDocumentRow, mergeStatesQuery(listedStates(document.DocumentStates, filter.State), fmt.Sprintf(`
			SELECT id, key
			FROM documents
			WHERE deleted_at IS NULL AND %s (state, key COLLATE "C", id) > ('$state', $%d, $1) AND (state, key COLLATE "C") < ('$state', $%d)
			ORDER BY state, key COLLATE "C", id`, of, n+1, n+2), `key COLLATE "C", id`, page.Limit+1)+
			selectDocuments+joinPublishedOrNewest+`
			JOIN page ON page.id = d.id
			ORDER BY d.key COLLATE "C", d.id`, append(args, after, document.PrefixUpperBound(filter.KeyPrefix))...)
		list = cutPage(documents, page.Limit, func(last document.Document) string { return encodeKeyCursor(last.Key, last.ID) })
		return err
	})
	return list, err
}

// passageWarnings are those of the passages of version v of document d, in the
// space by which collection c answers searches.
const passageWarnings = `coalesce((SELECT p.warnings FROM space_versions p
	                 WHERE p.document = d.id AND p.version = v.version AND p.space = c.active_space), '[]')`

// selectDocuments is followed by a join of the version v that is to describe
// the document, and read by scanDocument.
const selectDocuments = `
	SELECT d.id, c.name, d.key, v.title, d.state, v.version, v.size, v.sha256, v.media_type, v.metadata,
	       v.warnings, ` + passageWarnings + `, v.summary_warnings, d.created_at, d.updated_at, v.damage, v.object, v.object_etag
	FROM documents d
	JOIN collections c ON c.id = d.collection`

// joinPublishedOrNewest joins the version that readers see.
const joinPublishedOrNewest = `
	JOIN versions v ON v.document = d.id AND v.version = coalesce(d.published_version, d.newest_version)`

func scanDocument(row pgx.Row) (document.Document, error) {
	var d document.Document
	var placed, summary document.Warnings
	if err := row.Scan(&d.ID, &d.Collection, &d.Key, &d.Title, &d.State, &d.Version, &d.Size, &d.SHA256, &d.MediaType, &d.Metadata,
		&d.Warnings, &placed, &summary, &d.CreatedAt, &d.UpdatedAt, &d.Damage, &d.Object, &d.ObjectETag); err != nil {
		return document.Document{}, err
	}
	d.Warnings = d.Warnings.Join(placed).Join(summary)
	d.CreatedAt, d.UpdatedAt = d.CreatedAt.UTC(), d.UpdatedAt.UTC()
	return d, nil
}

func scanDocumentRow(row pgx.CollectableRow) (document.Document, error) { return scanDocument(row) }

func errNoDocument(id uuid.UUID) error {
	return fault.New(fault.NotFound, "there is no document %s", id)
}
