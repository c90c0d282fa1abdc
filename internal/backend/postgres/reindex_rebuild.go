package postgres

import (
	"context"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/seed-7a112592/gristmill/internal/fault"
	"github.com/seed-7a112592/gristmill/internal/rebuild"
	"github.com/seed-7a112592/gristmill/internal/task"
	"github.com/seed-7a112592/gristmill/internal/vector"
	"github.com/seed-7a112592/gristmill/pkg/document"
)

// PlanRebuild returns what a reindex that changes the space has to do. It counts that
// before it locks the reindex.
func (s *Store) PlanRebuild(ctx context.Context, work task.Work) (rebuild rebuild.Plan, err error) {
	defer wrapError(&err, "rebuild space %d", work.Space.ID)
	found, err := s.countMissing(ctx, work.Space.CollectionID, work.Space.ID)
	if err != nil {
		return rebuild, err
	}
	err = s.inTenant(ctx, func(tx pgx.Tx) error {
		r, err := lockLeasedReindex(ctx, tx, work)
		if err != nil {
			return err
		}
		if err := r.state.CheckChange(true); err != nil {
			return err
		}
		progress := r.Progress
		progress.Documents = progress.DocumentsDone + found.documents
		progress.Bytes = progress.BytesDone + found.bytes
		if _, err := tx.Exec(ctx, `UPDATE reindexes SET progress = $2 WHERE id = $1`, r.ID, progress); err != nil {
			return err
		}
		rebuild.Checkpoint = r.state.Checkpoint
		if rebuild.From, err = readSpace(ctx, tx, r.state.Collection.Active); err != nil {
			return err
		}
		if rebuild.To, err = readSpace(ctx, tx, r.state.Builds()); err != nil {
			return err
		}
		rebuild.Reindex, err = readReindex(ctx, tx, r.ID)
		return err
	})
	return rebuild, err
}

// isMissingInSpace is the condition for a document d to be a live one of collection $1
// whose live version does not stand whole in space $2. Behind OFFSET 0 PostgreSQL
// looks up one space version after another and does not make a join of it: of a table
// that was never analysed it expects a handful for each space.
const isMissingInSpace = `d.collection = $1 AND d.deleted_at IS NULL AND d.published_version IS NOT NULL
	AND NOT EXISTS (SELECT FROM space_versions p
	                WHERE p.document = d.id AND p.version = d.published_version AND p.space = $2
	                OFFSET 0)`

// MissingVersions returns live documents that are not placed whole in the space.
func (s *Store) MissingVersions(ctx context.Context, work task.Work, after uuid.UUID, limit int) (documents []rebuild.MissingVersion, err error) {
	defer wrapError(&err, "find what is missing in space %d", work.Space.ID)
	err = s.inTenant(ctx, func(tx pgx.Tx) error {
		if err := checkReindexLease(ctx, tx, work); err != nil {
			return err
		}
		documents, err = queryAll(ctx, tx, scanMissingVersion, `
			SELECT d.id, d.published_version, d.key, v.object, v.size, v.sha256, v.title, v.title_from_key, v.media_type
			FROM documents d
			CROSS JOIN LATERAL (SELECT * FROM versions v WHERE v.document = d.id AND v.version = d.published_version OFFSET 0) AS v
			WHERE `+isMissingInSpace+` AND d.id > $3
			ORDER BY d.id
			LIMIT $4`, work.Space.CollectionID, work.Space.ID, after, limit)
		return err
	})
	return documents, err
}

func scanMissingVersion(row pgx.CollectableRow) (u rebuild.MissingVersion, err error) {
	var fromKey *bool
	err = row.Scan(&u.DocumentID, &u.Version, &u.Key, &u.Object, &u.Size, &u.SHA256, &u.Title, &fromKey, &u.MediaType)
	u.Title = document.OwnTitle(u.Title, u.Key, fromKey)
	return u, err
}

// VersionPassages returns passages of a version, in order. The rows of a version
// that was forgotten meanwhile, or of a space that was dropped, are gone; a place without its passage is
// damage, and passing it over would spread it.
func (s *Store) VersionPassages(ctx context.Context, space vector.Space, of rebuild.MissingVersion, from, limit int) (stored []vector.PassageAt, err error) {
	defer wrapError(&err, "read passages of version %d of document %s in space %d", of.Version, of.DocumentID, space.ID)
	err = s.inSnapshot(ctx, func(tx pgx.Tx) error {
		space, err := readSpace(ctx, tx, space.ID)
		if isNoRows(err) {
			return nil
		}
		if err != nil {
			return err
		}
		stored, err = queryAll(ctx, tx, scanPassageAt(of), `
			SELECT m.hash, m.ordinal, m.start_byte, m.end_byte, p.title, p.heading_path, p.context, p.content, p.omitted, p.tokens
			FROM manifest m
			LEFT JOIN LATERAL (SELECT * FROM `+passagesTable(space)+` p WHERE p.space = $3 AND p.hash = m.hash OFFSET 0) p ON true
			WHERE m.document = $1 AND m.version = $2 AND m.space = $3 AND m.ordinal >= $4
			ORDER BY m.ordinal
			LIMIT $5`, of.DocumentID, of.Version, space.ID, from, limit)
		return err
	})
	return stored, err
}

func scanPassageAt(of rebuild.MissingVersion) pgx.RowToFunc[vector.PassageAt] {
	return func(row pgx.CollectableRow) (p vector.PassageAt, err error) {
		var hash []byte
		var title, context, content *string
		var omitted []int
		var tokens *int
		if err := row.Scan(&hash, &p.Ordinal, &p.Start, &p.End, &title, &p.HeadingPath, &context, &content, &omitted, &tokens); err != nil {
			return p, err
		}
		if content == nil {
			return p, fault.New(fault.NotFound, "a passage of document %s (%s) is lost: redo it first, with `gristmill reindex --document %s`",
				of.Key, of.DocumentID, of.DocumentID)
		}
		copy(p.Hash[:], hash)
		p.Title, p.Context, p.Content, p.Tokens = *title, *context, *content, *tokens
		p.Omitted = vector.UnflattenRanges(omitted)
		return p, nil
	}
}

// SetReindexStage notes what the reindex is at. That it is reverting stays: it says
// which space is being built.
func (s *Store) SetReindexStage(ctx context.Context, work task.Work, stage document.ReindexStage, progress document.ReindexProgress) (err error) {
	defer wrapError(&err, "note stage %s of %s", stage, work)
	return s.inTenant(ctx, func(tx pgx.Tx) error {
		return fenceReindex(ctx, tx, work, `
			UPDATE reindexes SET progress = $3, stage = CASE stage WHEN 'reverting' THEN stage ELSE $4 END
			WHERE id = $1 AND lease = $2`, progress, stage)
	})
}
