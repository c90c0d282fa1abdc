package sqlite

import (
	"context"

	"github.com/google/uuid"

	"github.com/seed-7a112592/gristmill/internal/fault"
	"github.com/seed-7a112592/gristmill/internal/rebuild"
	"github.com/seed-7a112592/gristmill/internal/task"
	"github.com/seed-7a112592/gristmill/internal/vector"
	"github.com/seed-7a112592/gristmill/pkg/document"
)

// PlanRebuild returns what a reindex that changes the space has to do.
func (s *Store) PlanRebuild(ctx context.Context, work task.Work) (rebuild rebuild.Plan, err error) {
	defer wrapError(&err, "read what %s has to do", work)
	err = s.inWriteTransaction(ctx, func(tx transaction) error {
		r, err := loadLeasedReindex(ctx, tx, work)
		if err != nil {
			return err
		}
		if err := r.state.CheckChange(true); err != nil {
			return err
		}
		if rebuild.From, err = readSpace(ctx, tx, r.state.Collection.Active); err != nil {
			return err
		}
		if rebuild.To, err = readSpace(ctx, tx, r.state.Builds()); err != nil {
			return err
		}
		documents, bytes, err := countMissing(ctx, tx, r.collection, r.state.Builds())
		if err != nil {
			return err
		}
		r.Progress.Documents = r.Progress.DocumentsDone + documents
		r.Progress.Bytes = r.Progress.BytesDone + bytes
		rebuild.Reindex, rebuild.Checkpoint = r.Reindex, r.state.Checkpoint
		return saveReindexProgress(ctx, tx, r.ID, r.Progress)
	})
	return rebuild, err
}

// MissingVersions returns live documents after the given one that are not placed whole
// in the work's space.
func (s *Store) MissingVersions(ctx context.Context, work task.Work, after uuid.UUID, limit int) (unplaced []rebuild.MissingVersion, err error) {
	defer wrapError(&err, "list what is not in space %d", work.Space.ID)
	err = s.inReadTransaction(ctx, func(tx transaction) error {
		if err := checkLease(ctx, tx, work); err != nil {
			return err
		}
		rows, err := tx.QueryContext(ctx, `
			SELECT d.id, v.version, d.key, v.object, v.size, v.sha256, v.title, v.title_from_key, v.media_type`+fromMissingVersions+`
			  AND d.id > ?4
			ORDER BY d.id
			LIMIT ?5`, tx.tenant, work.Space.CollectionID, work.Space.ID, after, limit)
		unplaced, err = collectRows(rows, err, func(row scanner) (u rebuild.MissingVersion, err error) {
			var fromKey *bool
			err = row.Scan(&u.DocumentID, &u.Version, &u.Key, &u.Object, &u.Size, &u.SHA256, &u.Title, &fromKey, &u.MediaType)
			u.Title = document.OwnTitle(u.Title, u.Key, fromKey)
			return u, err
		})
		return err
	})
	return unplaced, err
}

// VersionPassages returns passages of a version in a space, in order. A place
// without its passage is damage, and passing it over would spread it.
func (s *Store) VersionPassages(ctx context.Context, space vector.Space, of rebuild.MissingVersion, from, limit int) (stored []vector.PassageAt, err error) {
	defer wrapError(&err, "read passages of version %d of document %s in space %d", of.Version, of.DocumentID, space.ID)
	err = s.inReadTransaction(ctx, func(tx transaction) error {
		rows, err := tx.QueryContext(ctx, `
			SELECT p.hash, m.ordinal, m.start_byte, m.end_byte, p.title, p.heading_path, p.context, p.content, p.omitted, p.tokens
			FROM manifest m
			LEFT JOIN passages p ON p.tenant = m.tenant AND p.id = m.passage
			WHERE m.tenant = ?1 AND m.document = ?2 AND m.version = ?3 AND m.space = ?4 AND m.ordinal >= ?5
			ORDER BY m.ordinal
			LIMIT ?6`, tx.tenant, of.DocumentID, of.Version, space.ID, from, limit)
		stored, err = collectRows(rows, err, scanPassageAt(of))
		return err
	})
	return stored, err
}

func scanPassageAt(of rebuild.MissingVersion) func(row scanner) (vector.PassageAt, error) {
	return func(row scanner) (stored vector.PassageAt, err error) {
		var hash []byte
		var title, context, content *string
		var tokens *int
		if err := row.Scan(&hash, &stored.Ordinal, &stored.Start, &stored.End,
			&title, (*headingPath)(&stored.HeadingPath), &context, &content, (*omittedRanges)(&stored.Omitted), &tokens); err != nil {
			return stored, err
		}
		if content == nil {
			return stored, fault.New(fault.NotFound, "a passage of document %s (%s) is lost: redo it first, with `gristmill reindex --document %s`",
				of.Key, of.DocumentID, of.DocumentID)
		}
		stored.Hash = document.ContentHash(hash)
		stored.Title, stored.Context, stored.Content, stored.Tokens = *title, *context, *content, *tokens
		return stored, nil
	}
}

// SetReindexStage notes what the reindex is at. That it is reverting stays: it says
// which space is being built.
func (s *Store) SetReindexStage(ctx context.Context, work task.Work, stage document.ReindexStage, progress document.ReindexProgress) (err error) {
	defer wrapError(&err, "note that %s is at the stage %s", work, stage)
	return s.inWriteTransaction(ctx, func(tx transaction) error {
		if err := checkLease(ctx, tx, work); err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, `
			UPDATE reindexes SET stage = ?3
			WHERE tenant = ?1 AND id = ?2 AND stage <> 'reverting'`, tx.tenant, work.DocumentID, stage); err != nil {
			return err
		}
		return saveReindexProgress(ctx, tx, work.DocumentID, progress)
	})
}
