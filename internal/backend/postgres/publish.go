package postgres

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5"

	"github.com/seed-7a112592/gristmill/internal/lifecycle"
	"github.com/seed-7a112592/gristmill/internal/rebuild"
	"github.com/seed-7a112592/gristmill/internal/task"
	"github.com/seed-7a112592/gristmill/internal/vector"
	"github.com/seed-7a112592/gristmill/pkg/document"
)

// Publish makes the version live and ends its task. It looks through the
// manifests before it takes the lock that a switch of spaces waits for.
func (s *Store) Publish(ctx context.Context, work task.Work, also []vector.SpaceVersion, progress document.KnowledgeProgress, warnings ...document.Warning) (err error) {
	defer wrapError(&err, "publish %s", work)
	return s.inTenantCommitBatch(ctx, func(tx pgx.Tx) (*pgx.Batch, error) {
		spaceVersions := append([]vector.SpaceVersion{{SpaceID: work.Space.ID, Passages: progress.Passages, Warnings: warnings}}, also...)
		var spaces []vector.Space
		was, err := lockLeasedTask(ctx, tx, work, func(batch *pgx.Batch) { queueSelectWritten(batch, &spaceVersions, &spaces) })
		if err != nil {
			return nil, err
		}
		if was.Superseded() {
			return s.publish(was, work, nil, nil)
		}
		var checks pgx.Batch
		for i, p := range spaceVersions {
			queueCheckManifest(&checks, work, spaces[i], p.Passages)
		}
		queueLockActiveSpace(&checks, work, func(active int64) error { return lifecycle.CheckPublish(active, spaceIDs(spaceVersions)) })
		if err := tx.SendBatch(ctx, &checks).Close(); err != nil {
			return nil, err
		}
		return s.publish(was, work, spaceVersions, progress)
	})
}

// errNotPublishable is that a version cannot be made live as things are.
var errNotPublishable = errors.New("the version is not published")

// WriteAndPublish is Write and Publish of a whole version in one transaction, of
// which there are four round trips. The lock on the document keeps the lease from
// being lost, so there is no fence.
func (s *Store) WriteAndPublish(ctx context.Context, work task.Work, batch vector.Batch, progress document.KnowledgeProgress, warnings ...document.Warning) (published bool, err error) {
	defer wrapError(&err, "write and publish %d passages of %s", len(batch.Entries), work)
	err = s.inTenantCommitBatch(ctx, func(tx pgx.Tx) (*pgx.Batch, error) {
		var space heldSpace
		was, err := lockLeasedTask(ctx, tx, work, func(batch *pgx.Batch) { queueHoldSpace(batch, work.Space.ID, &space) })
		if err != nil {
			return nil, err
		}
		if was.Superseded() {
			return nil, errNotPublishable
		}
		places := []rebuild.VersionWrite{{
			MissingVersion: rebuild.MissingVersion{DocumentID: work.DocumentID, Version: work.Version},
			Entries:        batch.Entries,
		}}
		if err := ensurePassages(ctx, tx, space, batch.New, places); err != nil {
			return nil, err
		}
		var checks pgx.Batch
		queueInsertManifest(&checks, space.ID, places)
		queueCheckEntryCount(&checks, work, space.Space, progress.Passages)
		queueLockActiveSpace(&checks, work, func(live int64) error {
			if live != space.ID {
				return errNotPublishable
			}
			return nil
		})
		if err := tx.SendBatch(ctx, &checks).Close(); err != nil {
			return nil, err
		}
		return s.publish(was, work, []vector.SpaceVersion{{SpaceID: space.ID, Passages: progress.Passages, Warnings: warnings}}, progress)
	})
	if errors.Is(err, errNotPublishable) {
		return false, nil
	}
	return err == nil, err
}

// publish notes where the version of the task stands, has readers see it, and ends
// the task. The switch and the ends that tell of it are one transaction: who sees the
// job succeeded finds the document.
func (s *Store) publish(was lockedJob, work task.Work, spaceVersions []vector.SpaceVersion, progress any) (*pgx.Batch, error) {
	var batch pgx.Batch
	for _, p := range spaceVersions {
		batch.Queue(`
			INSERT INTO space_versions (document, version, space, passages, warnings) VALUES ($1, $2, $3, $4, $5)`,
			work.DocumentID, work.Version, p.SpaceID, p.Passages, append(document.Warnings{}, p.Warnings...))
		queueInsertGrownSpace(&batch, p.SpaceID, p.Passages)
	}
	is, err := was.Publish(work, was.now)
	queueSave(&batch, was.Job, is, s.processID, progress)
	return &batch, err
}

// queueSelectWritten leaves out space versions in spaces that are no longer kept
// complete, and may be gone before this is over. It holds the spaces of the
// others (see queueHold), and reads them in the same order.
func queueSelectWritten(batch *pgx.Batch, spaceVersions *[]vector.SpaceVersion, spaces *[]vector.Space) {
	of := make(map[int64]vector.SpaceVersion, len(*spaceVersions))
	ids := make([]int64, 0, len(*spaceVersions))
	for _, p := range *spaceVersions {
		of[p.SpaceID] = p
		ids = append(ids, p.SpaceID)
	}
	slices.Sort(ids)
	for _, id := range ids {
		batch.Queue(lockStorageShared, id)
	}
	batch.Queue(selectSpaces+`
		WHERE s.id = ANY ($1) AND s.written
		ORDER BY s.id
		FOR KEY SHARE`, ids).Query(func(rows pgx.Rows) (err error) {
		*spaceVersions = nil
		*spaces, err = pgx.CollectRows(rows, scanSpace)
		for _, space := range *spaces {
			*spaceVersions = append(*spaceVersions, of[space.ID])
		}
		return err
	})
}

// queueCheckManifest fails unless the version has exactly the wanted number of
// places in the space, and their passages.
func queueCheckManifest(batch *pgx.Batch, work task.Work, space vector.Space, want int64) {
	batch.Queue(`
		SELECT count(*), count(p.hash)
		FROM manifest m
		LEFT JOIN LATERAL (SELECT * FROM `+passagesTable(space)+` p WHERE p.space = $3 AND p.hash = m.hash OFFSET 0) p ON true
		WHERE m.document = $1 AND m.version = $2 AND m.space = $3`, work.DocumentID, work.Version, space.ID).QueryRow(func(row pgx.Row) error {
		var places, passages int64
		if err := row.Scan(&places, &passages); err != nil {
			return err
		}
		return checkManifest(work, space, places, passages, want)
	})
}

// queueCheckEntryCount is queueManifestCheck where it is known that the passages of
// places are there.
func queueCheckEntryCount(batch *pgx.Batch, work task.Work, space vector.Space, want int64) {
	batch.Queue(`
		SELECT count(*) FROM manifest WHERE document = $1 AND version = $2 AND space = $3`, work.DocumentID, work.Version, space.ID).QueryRow(func(row pgx.Row) error {
		var places int64
		if err := row.Scan(&places); err != nil {
			return err
		}
		return checkManifest(work, space, places, places, want)
	})
}

func checkManifest(work task.Work, space vector.Space, places, passages, want int64) error {
	if places == want && passages == want {
		return nil
	}
	return fmt.Errorf("version %d has %d places with %d passages in space %d, want %d of each",
		work.Version, places, passages, space.ID, want)
}

// queueLockActiveSpace has the live space stay live until the transaction ends, and
// fails unless check takes it. The second statement begins when the lock is held.
func queueLockActiveSpace(batch *pgx.Batch, work task.Work, check func(live int64) error) {
	batch.Queue(lockPublishingShared, work.Space.CollectionID)
	batch.Queue(`SELECT active_space FROM collections WHERE id = $1`, work.Space.CollectionID).QueryRow(func(row pgx.Row) error {
		var live int64
		if err := row.Scan(&live); err != nil {
			return err
		}
		return check(live)
	})
}

// spaceIDs returns the ids of the spaces of space versions.
func spaceIDs(spaceVersions []vector.SpaceVersion) (ids []int64) {
	for _, v := range spaceVersions {
		ids = append(ids, v.SpaceID)
	}
	return ids
}
