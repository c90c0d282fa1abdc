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
		checkpoint := r.state.Checkpoint
		if checkpoint == uuid.Nil {
			if r.Progress.Documents, r.Progress.Bytes, err = countToRedo(ctx, tx, r); err != nil {
				return err
			}
		}
		jobs, err := countReindexJobs(ctx, tx, r.ID)
		if err != nil {
			return err
		}
		if room := window - jobs.unended; room > 0 && checkpoint != uuid.Max {
			if requeued.Jobs, checkpoint, err = requeueNext(ctx, tx, r, room); err != nil {
				return err
			}
			if jobs, err = countReindexJobs(ctx, tx, r.ID); err != nil {
				return err
			}
		}
		jobs.addTo(&r.Progress, checkpoint == uuid.Max)
		if err := addElapsedTime(ctx, tx, &r); err != nil {
			return err
		}
		if requeued.Ended = checkpoint == uuid.Max && jobs.unended == 0; requeued.Ended {
			r.Progress.LeftOut, r.Progress.LeftOutCount = nil, 0
			if err := addFailedToLeftOut(ctx, tx, r, &r.Progress); err != nil {
				return err
			}
		}
		return changeReindex(ctx, tx, r.ID, func(is lifecycle.Reindex) (lifecycle.Reindex, error) {
			if checkpoint != is.Checkpoint {
				is = is.ResetAttempts()
			}
			is.Checkpoint, is.Progress, is.FailedJobs = checkpoint, r.Progress, jobs.failed
			if requeued.Ended {
				is = is.EndRequeue(tx.now.time())
			}
			return is, nil
		})
	})
	return requeued, err
}

// requeueCandidate is a document that a reindex without a change looks at.
type requeueCandidate struct {
	lifecycle.RequeueCandidate
	bytes int64 // of the original of its newest version
}

// candidatePageDocuments is how many documents are read at a time.
const candidatePageDocuments = 500

// forEachToRedo calls fn for the documents after a given one that a reindex without a
// change redoes, in order of id, until fn returns false. all reports whether it has called
// fn for all of them. A reindex with force does not check whether documents are complete.
func forEachToRedo(ctx context.Context, tx transaction, r reindex, after uuid.UUID, fn func(requeueCandidate) (more bool, err error)) (all bool, err error) {
	documents, err := jsonIDs(r.DocumentIDs)
	if err != nil {
		return false, err
	}
	for {
		rows, err := tx.QueryContext(ctx, `
			SELECT d.id, d.newest_version, coalesce(d.published_version, 0), v.size,
			       pl.space IS NOT NULL, coalesce(NOT ?6 AND `+isSpaceVersionWhole+`, false), pl.left_out IS NOT NULL,
			       j.state IN `+lifecycle.UnendedStates+` AND NOT EXISTS (
			       	SELECT 1 FROM tasks t
			       	WHERE t.tenant = d.tenant AND t.document = d.id AND t.version = d.newest_version AND t.kind = 'knowledge' AND t.state = 'failed'),
			       iif(j.reindex IS ?7, j.state, '')
			FROM documents d
			JOIN versions v ON v.tenant = d.tenant AND v.document = d.id AND v.version = d.newest_version
			JOIN jobs j     ON j.tenant = d.tenant AND j.document = d.id AND j.version = d.newest_version
			LEFT JOIN space_versions pl ON pl.tenant = d.tenant AND pl.document = d.id AND pl.version = d.published_version AND pl.space = ?3
			WHERE d.tenant = ?1 AND d.collection = ?2 AND d.deleted_at IS NULL
			  AND substr(d.key, 1, length(?4)) = ?4
			  AND (json_array_length(?5) = 0 OR d.id IN (SELECT value FROM json_each(?5)))
			  AND d.id > ?8
			ORDER BY d.id
			LIMIT ?9`, tx.tenant, r.collection, r.state.Collection.Active, r.KeyPrefix, documents, r.Force, r.ID, after, candidatePageDocuments)
		page, err := collectRows(rows, err, func(row scanner) (d requeueCandidate, err error) {
			return d, row.Scan(&d.DocumentID, &d.Newest, &d.Published, &d.bytes, &d.HasSpaceVersion, &d.Complete, &d.LeftOut, &d.HasActiveJob, &d.RequeuedJob)
		})
		if err != nil || len(page) == 0 {
			return len(page) == 0, err
		}
		for _, d := range page {
			after = d.DocumentID
			if !r.state.ShouldRequeue(d.RequeueCandidate) {
				continue
			}
			if more, err := fn(d); err != nil || !more {
				return false, err
			}
		}
	}
}

// countToRedo returns how many documents a reindex redoes, and the bytes of their
// originals.
func countToRedo(ctx context.Context, tx transaction, r reindex) (documents, bytes int64, err error) {
	_, err = forEachToRedo(ctx, tx, r, uuid.Nil, func(d requeueCandidate) (bool, error) {
		documents, bytes = documents+1, bytes+d.bytes
		return true, nil
	})
	return documents, bytes, err
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

// requeueNext requeues the next documents after the reindex's checkpoint, at most room. It
// returns their number and the next checkpoint, uuid.Max once no document is left.
func requeueNext(ctx context.Context, tx transaction, r reindex, room int) (jobs int, checkpoint uuid.UUID, err error) {
	checkpoint = r.state.Checkpoint
	all, err := forEachToRedo(ctx, tx, r, checkpoint, func(d requeueCandidate) (more bool, err error) {
		jobs++
		checkpoint = d.DocumentID
		return jobs < room, requeueVersion(ctx, tx, d.DocumentID, r.ID)
	})
	if all {
		checkpoint = uuid.Max
	}
	return jobs, checkpoint, err
}

// requeueVersion adds a version to a document, like its newest one, and the version's job.
func requeueVersion(ctx context.Context, tx transaction, id, reindex uuid.UUID) error {
	was, err := loadDocument(ctx, tx, id)
	if err != nil {
		return err
	}
	is, obsolete := was.NextVersion()
	if err := tx.exec(ctx, `
		INSERT INTO versions (tenant, document, version, title, metadata, object, size, sha256, media_type, created_at, warnings, title_from_key, object_etag)
		SELECT tenant, document, ?4, title, metadata, object, size, sha256, media_type, ?5, warnings, title_from_key, object_etag
		FROM versions
		WHERE tenant = ?1 AND document = ?2 AND version = ?3`, tx.tenant, id, was.Newest, is.Newest, tx.now); err != nil {
		return err
	}
	if err := tx.exec(ctx, `
		UPDATE documents SET state = ?3, newest_version = ?4, updated_at = ?5
		WHERE tenant = ?1 AND id = ?2`, tx.tenant, id, is.State, is.Newest, tx.now); err != nil {
		return err
	}
	if err := insertGarbageVersion(ctx, tx, versionKey{id, obsolete}); err != nil {
		return err
	}
	return addJob(ctx, tx, id, is.Newest, uuid.NullUUID{UUID: reindex, Valid: true})
}
