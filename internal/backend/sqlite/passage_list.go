package sqlite

import (
	"context"
	"database/sql/driver"
	"encoding/json"
	"fmt"

	"github.com/google/uuid"

	"github.com/seed-7a112592/gristmill/internal/fault"
	"github.com/seed-7a112592/gristmill/internal/vector"
	"github.com/seed-7a112592/gristmill/pkg/document"
)

// Passages lists the passages of the live version, in order.
func (s *Store) Passages(ctx context.Context, id uuid.UUID, page document.Page) (list document.List[document.Passage], err error) {
	defer wrapError(&err, "list passages of document %s", id)
	after, name := passageCursor{Ordinal: -1}, "passages of "+id.String()
	if err := decodeCursor(name, page, &after); err != nil {
		return list, err
	}
	err = s.inReadTransaction(ctx, func(tx transaction) error {
		var version int
		var space int64
		if err := tx.QueryRowContext(ctx, `
			SELECT coalesce(d.published_version, 0), c.active_space
			FROM documents d
			JOIN collections c ON c.tenant = d.tenant AND c.id = d.collection
			WHERE d.tenant = ?1 AND d.id = ?2 AND d.deleted_at IS NULL`, tx.tenant, id).Scan(&version, &space); err != nil {
			return asErrNoDocument(err, id)
		}
		switch {
		case page.Cursor == "":
		case after.Version != version:
			return fault.New(fault.Conflict, "document %s has a new version: list its passages from the start", id)
		case after.Space != space:
			return fault.New(fault.Conflict, "document %s was re-indexed: list its passages from the start", id)
		}
		rows, err := tx.QueryContext(ctx, `
			SELECT m.ordinal, m.start_byte, m.end_byte, p.heading_path, p.context, p.content, p.tokens, coalesce(p.embedded_bytes, 0)
			FROM manifest m
			JOIN passages p ON p.tenant = m.tenant AND p.id = m.passage
			WHERE m.tenant = ?1 AND m.document = ?2 AND m.version = ?3 AND m.space = ?4 AND m.ordinal > ?5
			ORDER BY m.ordinal
			LIMIT ?6`, tx.tenant, id, version, space, after.Ordinal, page.Limit+1)
		passages, err := collectRows(rows, err, scanPassage)
		if err != nil {
			return err
		}
		list, err = cutPage(name, passages, page.Limit, func(p document.Passage) any {
			return passageCursor{Version: version, Space: space, Ordinal: p.Ordinal}
		})
		return err
	})
	return list, err
}

// passageCursor names its version and space, so that no list mixes two.
type passageCursor struct {
	Version int   `json:"version"`
	Space   int64 `json:"space"`
	Ordinal int   `json:"ordinal"`
}

func scanPassage(row scanner) (p document.Passage, err error) {
	return p, row.Scan(&p.Ordinal, &p.Start, &p.End, (*headingPath)(&p.HeadingPath), &p.Context, &p.Content, &p.Tokens, &p.EmbeddedBytes)
}

// headingPath are a heading path as rows hold it. NULL, where a passage is lost, is
// none.
type headingPath []string

// Scan implements sql.Scanner.
func (h *headingPath) Scan(column any) error {
	if column == nil {
		return nil
	}
	text, ok := column.(string)
	if !ok {
		return fmt.Errorf("heading path: want text, got %T", column)
	}
	if err := json.Unmarshal([]byte(text), (*[]string)(h)); err != nil {
		return fmt.Errorf("heading path: %w", err)
	}
	return nil
}

// omittedRanges are omitted ranges as rows hold them, NULL for none.
type omittedRanges []document.Range

// Scan implements sql.Scanner.
func (o *omittedRanges) Scan(column any) error {
	text, ok := column.(string)
	if !ok {
		return nil
	}
	var flat []int
	if err := json.Unmarshal([]byte(text), &flat); err != nil {
		return fmt.Errorf("omitted ranges: %w", err)
	}
	*o = vector.UnflattenRanges(flat)
	return nil
}

// Value implements driver.Valuer.
func (o omittedRanges) Value() (driver.Value, error) {
	if len(o) == 0 {
		return nil, nil
	}
	text, err := json.Marshal(vector.FlattenRanges(o))
	return string(text), err
}
