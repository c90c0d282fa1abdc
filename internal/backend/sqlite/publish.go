package sqlite

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	"github.com/google/uuid"

	"github.com/seed-7a112592/gristmill/internal/fault"
	"github.com/seed-7a112592/gristmill/internal/lifecycle"
	"github.com/seed-7a112592/gristmill/internal/task"
	"github.com/seed-7a112592/gristmill/internal/vector"
	"github.com/seed-7a112592/gristmill/pkg/document"
)

// Publish makes the version live and ends the task.
func (s *Store) Publish(ctx context.Context, work task.Work, also []vector.SpaceVersion, progress document.KnowledgeProgress, warnings ...document.Warning) (err error) {
	defer wrapError(&err, "publish %s", work)
	return s.inWriteTransaction(ctx, func(tx transaction) error {
		was, err := loadOwn(ctx, tx, work)
		if err != nil {
			return err
		}
		if was.Superseded() {
			return publish(ctx, tx, work, was, nil, nil)
		}
		spaceVersions := append([]vector.SpaceVersion{{SpaceID: work.Space.ID, Passages: progress.Passages, Warnings: warnings}}, also...)
		if spaceVersions, err = selectWritten(ctx, tx, work.DocumentID, spaceVersions); err != nil {
			return err
		}
		return publish(ctx, tx, work, was, spaceVersions, &progress)
	})
}

// WriteAndPublish writes the whole version and makes it live, unless Publish
// would not.
func (s *Store) WriteAndPublish(ctx context.Context, work task.Work, batch vector.Batch, progress document.KnowledgeProgress, warnings ...document.Warning) (published bool, err error) {
	defer wrapError(&err, "write and publish %d passages of %s", len(batch.Entries), work)
	err = s.inWriteTransaction(ctx, func(tx transaction) error {
		published = false
		was, err := loadOwn(ctx, tx, work)
		if err != nil || was.Superseded() {
			return err
		}
		spaceVersions := []vector.SpaceVersion{{SpaceID: work.Space.ID, Passages: progress.Passages, Warnings: warnings}}
		if spaceVersions, err = selectWritten(ctx, tx, work.DocumentID, spaceVersions); fault.Is(err, fault.Unavailable) {
			return nil
		} else if err != nil {
			return err
		}
		if err := writeBatch(ctx, tx, work, batch, progress); err != nil {
			return err
		}
		published = true
		return publish(ctx, tx, work, was, spaceVersions, &progress)
	})
	return published && err == nil, err
}

// publish notes where a version stands, makes it the published one, and ends its task.
func publish(ctx context.Context, tx transaction, work task.Work, was lifecycle.Job, spaceVersions []vector.SpaceVersion, progress *document.KnowledgeProgress) error {
	for _, spaceVersion := range spaceVersions {
		if err := insertSpaceVersion(ctx, tx, versionKeyOf(work), spaceVersion, ""); err != nil {
			return err
		}
	}
	if progress != nil {
		if err := saveProgress(ctx, tx, work, progress); err != nil {
			return err
		}
	}
	is, err := was.Publish(work, tx.now.time())
	if err != nil {
		return err
	}
	return saveJob(ctx, tx, was, is)
}

// selectWritten leaves out space versions in spaces that are no longer kept complete,
// or gone: since the task was claimed a reindex may have been paused, or have
// ended. It returns fault.Unavailable unless one is in the space that answers
// the collection's searches, which another may have become.
func selectWritten(ctx context.Context, tx transaction, id uuid.UUID, spaceVersions []vector.SpaceVersion) ([]vector.SpaceVersion, error) {
	of := make(map[int64]vector.SpaceVersion, len(spaceVersions))
	for _, p := range spaceVersions {
		of[p.SpaceID] = p
	}
	wanted, err := json.Marshal(slices.Collect(maps.Keys(of)))
	if err != nil {
		return nil, err
	}
	rows, err := tx.QueryContext(ctx, `
		SELECT s.id, c.active_space
		FROM documents d
		JOIN collections c ON c.tenant = d.tenant AND c.id = d.collection
		JOIN spaces s      ON s.tenant = d.tenant AND s.collection = d.collection
		WHERE d.tenant = ?1 AND d.id = ?2 AND s.id IN (SELECT value FROM json_each(?3)) AND (s.written OR s.id = c.active_space)
		ORDER BY s.id`, tx.tenant, id, string(wanted))
	var active int64 // 0 if none of the spaces is written, which is no id of a space
	var ids []int64
	written, err := collectRows(rows, err, func(row scanner) (vector.SpaceVersion, error) {
		var id int64
		err := row.Scan(&id, &active)
		ids = append(ids, id)
		return of[id], err
	})
	if err == nil {
		err = lifecycle.CheckPublish(active, ids)
	}
	return written, err
}

// insertSpaceVersion notes that a version stands whole in a space, or why it is left
// out of it. It fails unless the space version's number of places are there. Each has
// its passage: the tables see to that.
func insertSpaceVersion(ctx context.Context, tx transaction, of versionKey, spaceVersion vector.SpaceVersion, leftOut string) error {
	var got int64
	if err := tx.QueryRowContext(ctx, `
		SELECT count(*) FROM manifest WHERE tenant = ?1 AND document = ?2 AND version = ?3 AND space = ?4`,
		tx.tenant, of.document, of.number, spaceVersion.SpaceID).Scan(&got); err != nil {
		return err
	}
	if got != spaceVersion.Passages {
		return fmt.Errorf("%d places are stored in space %d, not %d", got, spaceVersion.SpaceID, spaceVersion.Passages)
	}
	warnings, err := json.Marshal(spaceVersion.Warnings)
	if err != nil {
		return err
	}
	_, err = tx.ExecContext(ctx, `
		INSERT INTO space_versions (tenant, document, version, space, passages, left_out, warnings)
		VALUES (?1, ?2, ?3, ?4, ?5, nullif(?6, ''), ?7)
		ON CONFLICT (tenant, document, version, space)
		DO UPDATE SET passages = excluded.passages, left_out = excluded.left_out, warnings = excluded.warnings`,
		tx.tenant, of.document, of.number, spaceVersion.SpaceID, spaceVersion.Passages, leftOut, string(warnings))
	return err
}
