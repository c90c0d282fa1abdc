package postgres

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/binary"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/seed-7a112592/gristmill/internal/fault"
	"github.com/seed-7a112592/gristmill/internal/lifecycle"
	"github.com/seed-7a112592/gristmill/internal/vector"
	"github.com/seed-7a112592/gristmill/pkg/document"
)

// Passages returns those of the live version, in order.
func (s *Store) Passages(ctx context.Context, id uuid.UUID, page document.Page) (list document.List[document.Passage], err error) {
	defer wrapError(&err, "passages of document %s", id)
	after, err := decodePassageCursor(page, id)
	if err != nil {
		return list, err
	}
	err = s.inSnapshot(ctx, func(tx pgx.Tx) error {
		live, space, err := readPublishedVersion(ctx, tx, id)
		switch {
		case err != nil:
			return err
		case after.version != 0 && (after.version != live || after.space != space.ID):
			return fault.New(fault.Conflict, "document %s has changed since the first page was read: leave the cursor out to begin again", id)
		}
		passages, err := queryAll(ctx, tx, scanPassage, `
			SELECT m.ordinal, m.start_byte, m.end_byte, p.heading_path, p.context, p.content, p.tokens, coalesce(p.embedded_bytes, 0)
			FROM manifest m
			JOIN LATERAL (SELECT * FROM `+passagesTable(space)+` p WHERE p.space = $3 AND p.hash = m.hash OFFSET 0) p ON true
			WHERE m.document = $1 AND m.version = $2 AND m.space = $3 AND m.ordinal > $4
			ORDER BY m.ordinal
			LIMIT $5`, id, live, space.ID, after.ordinal, page.Limit+1)
		list = cutPage(passages, page.Limit, func(last document.Passage) string {
			return encodePassageCursor(id, passageCursor{live, space.ID, last.Ordinal})
		})
		return err
	})
	return list, err
}

// readPublishedVersion returns the version that readers see, 0 while there is none, and
// the space that they see it in.
func readPublishedVersion(ctx context.Context, tx pgx.Tx, id uuid.UUID) (version int, space vector.Space, err error) {
	err = tx.QueryRow(ctx, `
		SELECT coalesce(d.published_version, 0), `+spaceColumns+`
		FROM documents d
		JOIN collections c ON c.id = d.collection
		JOIN spaces s ON s.id = c.active_space
		WHERE d.id = $1 AND d.deleted_at IS NULL`, id).Scan(append([]any{&version}, spaceFields(&space)...)...)
	if isNoRows(err) {
		err = errNoDocument(id)
	}
	return version, space, err
}

func scanPassage(row pgx.CollectableRow) (p document.Passage, err error) {
	err = row.Scan(&p.Ordinal, &p.Start, &p.End, &p.HeadingPath, &p.Context, &p.Content, &p.Tokens, &p.EmbeddedBytes)
	return p, err
}

// passageCursor is the last passage of a page. Ordinals mean nothing without their
// version and the space that it was cut for.
type passageCursor struct {
	version int // 0 before the first page
	space   int64
	ordinal int
}

const cursorPassages = 'p'

func encodePassageCursor(id uuid.UUID, p passageCursor) string {
	raw := append([]byte{cursorPassages}, id[:]...)
	raw = binary.BigEndian.AppendUint32(raw, uint32(p.version))
	raw = binary.BigEndian.AppendUint64(raw, uint64(p.space))
	raw = binary.BigEndian.AppendUint32(raw, uint32(p.ordinal))
	return base64.RawURLEncoding.EncodeToString(raw)
}

// decodePassageCursor returns the place that a page of a document's passages comes
// after.
func decodePassageCursor(page document.Page, id uuid.UUID) (passageCursor, error) {
	if err := lifecycle.CheckPage(page); err != nil || page.Cursor == "" {
		return passageCursor{ordinal: -1}, err
	}
	ours := append([]byte{cursorPassages}, id[:]...)
	raw, err := base64.RawURLEncoding.DecodeString(page.Cursor)
	if err != nil || len(raw) != len(ours)+4+8+4 || !bytes.HasPrefix(raw, ours) {
		return passageCursor{}, lifecycle.BadCursor(page.Cursor)
	}
	raw = raw[len(ours):]
	return passageCursor{
		version: int(int32(binary.BigEndian.Uint32(raw))),
		space:   int64(binary.BigEndian.Uint64(raw[4:])),
		ordinal: int(int32(binary.BigEndian.Uint32(raw[4+8:]))),
	}, nil
}
