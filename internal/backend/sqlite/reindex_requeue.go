package sqlite

import (
	"context"

	"github.com/google/uuid"

	"github.com/seed-7a112592/gristmill/internal/lifecycle"
	"github.com/seed-7a112592/gristmill/internal/rebuild"
	"github.com/seed-7a112592/gristmill/internal/task"
)

// RequeueDocuments gives documents that the reindex matches a next version with the same
// original and settings, and a job for it; and ends the reindex with the last
// of these.
func (s *Store) RequeueDocuments(ctx context.Context, work task.Work, window int) (requeued rebuild.RequeueResult, err error) {
	defer wrapError(&err, "requeue documents for %s", work)
	err = s.inWriteTransaction(ctx, func(tx transaction) error {
		r, err := loadLeasedReindex(ctx, tx, work)
		if err != nil {
			return err
		}
		if err := r.state.CheckChange(false); err != nil {
			return err
		}
		if r.state.Checkpoint == uuid.Nil {
			if err := countToRedo(ctx, tx, &r); err != nil {
				return err
			}
		}
		jobs, err := countReindexJobs(ctx, tx, r.ID)
		if err != nil {
			return err
		}
		if room := window - jobs.unended; room > 0 && r.state.Checkpoint != uuid.Max {
			if requeued.Jobs, err = requeueNext(ctx, tx, &r, room); err != nil {
				return err
			}
			if jobs, err = countReindexJobs(ctx, tx, r.ID); err != nil {
				return err
			}
		}
		jobs.addTo(&r.Progress, r.state.Checkpoint == uuid.Max)
		if err := addElapsedTime(ctx, tx, &r); err != nil {
			return err
		}
		if requeued.Ended = r.state.Checkpoint == uuid.Max && jobs.unended == 0; requeued.Ended {
			r.Progress.LeftOut, r.Progress.LeftOutCount = nil, 0
			if err := addFailedToLeftOut(ctx, tx, r, &r.Progress); err != nil {
				return err
			}
		}
		if !requeued.Ended {
			return saveReindexProgress(ctx, tx, r.ID, r.Progress)
		}
		return changeReindex(ctx, tx, r.ID, func(is lifecycle.Reindex) (lifecycle.Reindex, error) {
			is.Progress, is.FailedJobs = r.Progress, jobs.failed
			return is.EndRequeue(tx.now.time()), nil
		})
	})
	return requeued, err
}

// fromDocumentsToRedo are the documents d, with their newest version v, that a reindex
// without a change matches: arguments are those of matchingOf. Of those that it
// has made jobs for, before it failed and was resumed, these are the ones whose
// job has not succeeded.
const fromDocumentsToRedo = `
	FROM documents d
	JOIN versions v ON v.tenant = d.tenant AND v.document = d.id AND v.version = d.newest_version
	JOIN jobs j     ON j.tenant = d.tenant AND j.document = d.id AND j.version = d.newest_version
	WHERE d.tenant = ?1 AND d.collection = ?2 AND d.deleted_at IS NULL
	  AND substr(d.key, 1, length(?4)) = ?4
	  AND (json_array_length(?5) = 0 OR d.id IN (SELECT value FROM json_each(?5)))
	  AND (j.state IN ('succeeded', 'failed', 'cancelled') OR EXISTS (
	       SELECT 1 FROM tasks t
	       WHERE t.tenant = d.tenant AND t.document = d.id AND t.version = d.newest_version AND t.kind = 'knowledge' AND t.state = 'failed'))
	  AND NOT (j.state = 'succeeded' AND j.reindex IS ?7)
	  AND (?6 OR d.published_version IS NOT d.newest_version OR j.state <> 'succeeded' AND j.reindex IS ?7 OR NOT EXISTS (
	       SELECT 1 FROM space_versions pl
	       WHERE pl.tenant = d.tenant AND pl.document = d.id AND pl.version = d.published_version AND pl.space = ?3
	         AND pl.left_out IS NULL AND ` + isSpaceVersionWhole + `))
`

func redoArgs(tx transaction, r reindex) ([]any, error) {
	documents, err := jsonIDs(r.DocumentIDs)
	return []any{tx.tenant, r.collection, r.state.Collection.Active, r.KeyPrefix, documents, r.Force, r.ID}, err
}

// countToRedo has the progress of a reindex say how much it matches.
func countToRedo(ctx context.Context, tx transaction, r *reindex) error {
	args, err := redoArgs(tx, *r)
	if err != nil {
		return err
	}
	return tx.QueryRowContext(ctx, `SELECT count(*), coalesce(sum(v.size), 0)`+fromDocumentsToRedo, args...).
		Scan(&r.Progress.Documents, &r.Progress.Bytes)
}

// addElapsedTime adds to the progress of a reindex the time since it was claimed or
// last counted.
func addElapsedTime(ctx context.Context, tx transaction, r *reindex) error {
	if !r.countedAt.IsZero() {
		r.Progress.Seconds += tx.now.time().Sub(r.countedAt).Seconds()
	}
	return tx.exec(ctx, `
		UPDATE reindexes SET counted_at = ?3 WHERE tenant = ?1 AND id = ?2`, tx.tenant, r.ID, tx.now)
}

// requeueNext requeues at most room documents, after those that the reindex was
// given before, and returns how many.
func requeueNext(ctx context.Context, tx transaction, r *reindex, room int) (jobs int, err error) {
	args, err := redoArgs(tx, *r)
	if err != nil {
		return 0, err
	}
	rows, err := tx.QueryContext(ctx, `SELECT d.id`+fromDocumentsToRedo+`
		  AND d.id > ?8
		ORDER BY d.id
		LIMIT ?9`, append(args, r.state.Checkpoint, room)...)
	ids, err := collectRows(rows, err, scanID)
	if err != nil {
		return 0, err
	}
	before := r.state.Checkpoint
	for _, id := range ids {
		if err := requeueVersion(ctx, tx, id, r.ID); err != nil {
			return 0, err
		}
		r.state.Checkpoint = id
	}
	if len(ids) < room {
		r.state.Checkpoint = uuid.Max // no document is left
	}
	if r.state.Checkpoint == before {
		return 0, nil
	}
	return len(ids), advanceReindex(ctx, tx, r.ID, r.state.Checkpoint)
}

// requeueVersion writes a version like the document's newest one, and its job.
func requeueVersion(ctx context.Context, tx transaction, id, reindex uuid.UUID) error {
	if err := supersedeNewest(ctx, tx, id); err != nil {
		return err
	}
	var version int
	if err := tx.QueryRowContext(ctx, `
		INSERT INTO versions (tenant, document, version, title, metadata, object, size, sha256, media_type, created_at, warnings, title_from_key, object_etag)
		SELECT v.tenant, v.document, v.version + 1, v.title, v.metadata, v.object, v.size, v.sha256, v.media_type, ?3, v.warnings, v.title_from_key, v.object_etag
		FROM documents d
		JOIN versions v ON v.tenant = d.tenant AND v.document = d.id AND v.version = d.newest_version
		WHERE d.tenant = ?1 AND d.id = ?2
		RETURNING version`, tx.tenant, id, tx.now).Scan(&version); err != nil {
		return err
	}
	if _, err := tx.ExecContext(ctx, `
		UPDATE documents SET
			newest_version = ?3,
			updated_at     = ?4,
			state          = iif(published_version IS NULL, 'pending', state)
		WHERE tenant = ?1 AND id = ?2`, tx.tenant, id, version, tx.now); err != nil {
		return err
	}
	return addJob(ctx, tx, id, version, uuid.NullUUID{UUID: reindex, Valid: true})
}
