package sqlite

import (
	"context"
	"fmt"

	"github.com/google/uuid"

	"github.com/seed-7a112592/gristmill/pkg/document"
	"github.com/seed-7a112592/gristmill/pkg/fault"
)

// Rebuild returns what a reindex that changes the space has to do.
func (s *Store) Rebuild(ctx context.Context, work document.Work) (rebuild document.Rebuild, err error) {
	defer describe(&err, "read what %s has to do", work)
	err = s.write(ctx, func(tx transaction) error {
		r, err := heldReindex(ctx, tx, work)
		if err != nil {
			return err
		}
		if r.Change == document.ChangeNothing {
			return changesNothing(r)
		}
		if rebuild.From, err = readSpace(ctx, tx, r.live); err != nil {
			return err
		}
		if rebuild.To, err = readSpace(ctx, tx, r.building()); err != nil {
			return err
		}
		documents, bytes, err := countUnplaced(ctx, tx, r.collection, r.building())
		if err != nil {
			return err
		}
		r.Progress.Documents = r.Progress.DocumentsDone + documents
		r.Progress.Bytes = r.Progress.BytesDone + bytes
		rebuild.Reindex, rebuild.Reached = r.Reindex, r.reached
		return saveReindex(ctx, tx, r.ID, r.Progress)
	})
	return rebuild, err
}

// Unplaced returns live documents after the given one that are not placed whole
// in the work's space.
func (s *Store) Unplaced(ctx context.Context, work document.Work, after uuid.UUID, limit int) (unplaced []document.Unplaced, err error) {
	defer describe(&err, "list what is not in space %d", work.Space.ID)
	err = s.read(ctx, func(tx transaction) error {
		if err := checkLease(ctx, tx, work); err != nil {
			return err
		}
		rows, err := tx.QueryContext(ctx, `
			SELECT d.id, v.version, d.key, v.object, v.size, v.sha256, v.title, v.title_from_key, v.media_type`+unplacedDocuments+`
			  AND d.id > ?4
			ORDER BY d.id
			LIMIT ?5`, tx.tenant, work.Space.Collection, work.Space.ID, after, limit)
		unplaced, err = collect(rows, err, func(row scanner) (u document.Unplaced, err error) {
			var fromKey *bool
			err = row.Scan(&u.Document, &u.Version, &u.Key, &u.Object, &u.Size, &u.SHA256, &u.Title, &fromKey, &u.MediaType)
			u.Title = document.OwnTitle(u.Title, u.Key, fromKey)
			return u, err
		})
		return err
	})
	return unplaced, err
}

// StoredPassages returns passages of a version in a space, in order. A place
// without its passage is damage, and passing it over would spread it.
func (s *Store) StoredPassages(ctx context.Context, space document.Space, of document.Unplaced, from, limit int) (stored []document.Stored, err error) {
	defer describe(&err, "read passages of version %d of document %s in space %d", of.Version, of.Document, space.ID)
	err = s.read(ctx, func(tx transaction) error {
		rows, err := tx.QueryContext(ctx, `
			SELECT p.hash, m.ordinal, m.start_byte, m.end_byte, p.title, p.heading_path, p.context, p.content, p.omitted, p.tokens
			FROM manifest m
			LEFT JOIN passages p ON p.tenant = m.tenant AND p.id = m.passage
			WHERE m.tenant = ?1 AND m.document = ?2 AND m.version = ?3 AND m.space = ?4 AND m.ordinal >= ?5
			ORDER BY m.ordinal
			LIMIT ?6`, tx.tenant, of.Document, of.Version, space.ID, from, limit)
		stored, err = collect(rows, err, scanStored(of))
		return err
	})
	return stored, err
}

func scanStored(of document.Unplaced) func(row scanner) (document.Stored, error) {
	return func(row scanner) (stored document.Stored, err error) {
		var hash []byte
		var title, context, content *string
		var tokens *int
		if err := row.Scan(&hash, &stored.Ordinal, &stored.Start, &stored.End,
			&title, (*headings)(&stored.HeadingPath), &context, &content, (*omitted)(&stored.Omitted), &tokens); err != nil {
			return stored, err
		}
		if content == nil {
			return stored, fault.New(fault.NotFound, "a passage of document %s (%s) is lost: redo it first, with `gristmill reindex --document %s`",
				of.Key, of.Document, of.Document)
		}
		stored.Hash = document.Hash(hash)
		stored.Title, stored.Context, stored.Content, stored.Tokens = *title, *context, *content, *tokens
		return stored, nil
	}
}

// SetStage notes what the reindex is at. That it is reverting stays: it says
// which space is being built.
func (s *Store) SetStage(ctx context.Context, work document.Work, stage document.ReindexStage, progress document.ReindexProgress) (err error) {
	defer describe(&err, "note that %s is at the stage %s", work, stage)
	return s.write(ctx, func(tx transaction) error {
		if err := checkLease(ctx, tx, work); err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, `
			UPDATE reindexes SET stage = ?3
			WHERE tenant = ?1 AND id = ?2 AND stage <> 'reverting'`, tx.tenant, work.Document, stage); err != nil {
			return err
		}
		return saveReindex(ctx, tx, work.Document, progress)
	})
}

// changesNothing is the error of a step that only a reindex that changes the
// space takes.
func changesNothing(r reindex) error {
	return fmt.Errorf("reindex %s changes nothing about the space", r.ID)
}
