package postgres

import (
	"context"
	"fmt"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/seed-7a112592/gristmill/internal/lifecycle"
	"github.com/seed-7a112592/gristmill/internal/rebuild"
	"github.com/seed-7a112592/gristmill/internal/task"
)

// RequeueDocuments gives documents a next version with the same original and settings,
// and a job for it, while there is room. It goes through the documents some at
// a time, since most of them may be whole.
func (s *Store) RequeueDocuments(ctx context.Context, work task.Work, window int) (requeued rebuild.RequeueResult, err error) {
	defer wrapError(&err, "requeue documents of %s", work)
	toDo, err := s.countToRedo(ctx, work)
	if err != nil {
		return requeued, err
	}
	for {
		var part rebuild.RequeueResult
		var more bool
		if err := s.inTenant(ctx, func(tx pgx.Tx) (err error) {
			part, more, err = s.requeuePage(ctx, tx, work, window, toDo)
			return err
		}); err != nil {
			return requeued, err
		}
		requeued.Jobs += part.Jobs
		requeued.Ended = part.Ended
		if !more {
			return requeued, nil
		}
	}
}

// requeuePage reads the next page of documents and requeues those that the reindex redoes.
// more reports whether there may be more documents, and is room for their jobs.
func (s *Store) requeuePage(ctx context.Context, tx pgx.Tx, work task.Work, window int, toDo redoCount) (requeued rebuild.RequeueResult, more bool, err error) {
	r, err := lockLeasedReindex(ctx, tx, work)
	if err != nil {
		return requeued, false, err
	}
	is := r.state
	is.Progress.Seconds += r.secondsSinceCounted()
	r.countedAt = r.now
	unended, err := countEndedJobs(ctx, tx, &is)
	if err != nil {
		return requeued, false, err
	}
	if is.Checkpoint == uuid.Nil {
		is.Progress.Documents, is.Progress.Bytes = toDo.documents, toDo.bytes
	}
	if room := window - unended; room > 0 || unended == 0 {
		page, err := readDocumentStates(ctx, tx, r.scope(), is.Checkpoint)
		if err != nil {
			return requeued, false, err
		}
		var redone []uuid.UUID
		for _, d := range page {
			if len(redone) >= room {
				break
			}
			is.Checkpoint = d.DocumentID
			if is.ShouldRequeue(d) {
				redone = append(redone, d.DocumentID)
			}
		}
		if requeued.Jobs, err = requeueVersions(ctx, tx, redone, is.ID); err != nil {
			return requeued, false, err
		}
		more = len(page) > 0 && requeued.Jobs < room
		requeued.Ended = len(page) == 0 && unended == 0
	}
	if is.Checkpoint != r.state.Checkpoint {
		is = is.ResetAttempts()
	}
	if requeued.Ended {
		is.Progress.LeftOut, is.Progress.LeftOutCount = nil, 0
		if err := addFailedToLeftOut(ctx, tx, r.scope(), allIDs, &is.Progress); err != nil {
			return requeued, false, err
		}
		is = is.EndRequeue(r.now)
	}
	return requeued, more, s.saveReindex(ctx, tx, r, is)
}

// secondsSinceCounted returns the time since Progress.Seconds was last counted.
func (r reindex) secondsSinceCounted() float64 {
	if r.countedAt.IsZero() {
		return 0
	}
	return r.now.Sub(r.countedAt).Seconds()
}

// scope returns the documents that a reindex without a change looks at.
func (r reindex) scope() reindexScope {
	return reindexScope{collection: r.state.Collection.ID, space: r.state.Collection.Active, keyPrefix: r.KeyPrefix, documents: r.DocumentIDs, reindex: r.ID}
}

// countEndedJobs adds to the progress the jobs of the reindex that have ended since it
// last counted, and returns how many have not ended.
func countEndedJobs(ctx context.Context, tx pgx.Tx, r *lifecycle.Reindex) (unended int, err error) {
	p := &r.Progress
	var ended, bytes, passages, embedded, reused int64
	var failed int
	var batch pgx.Batch
	batch.Queue(`
		WITH ended AS (
			UPDATE jobs SET counted_by_reindex = true
			WHERE reindex = $1 AND NOT counted_by_reindex AND state NOT IN `+lifecycle.UnendedStates+`
			RETURNING id, state, size
		)
		SELECT count(*), count(*) FILTER (WHERE e.state = 'failed'), coalesce(sum(e.size), 0)::bigint,
		       coalesce(sum((t.progress->>'passages')::bigint), 0)::bigint,
		       coalesce(sum((t.progress->>'embedded')::bigint), 0)::bigint,
		       coalesce(sum((t.progress->>'reused')::bigint), 0)::bigint
		FROM ended e
		JOIN tasks t ON t.job = e.id AND t.kind = 'knowledge'`, r.ID).QueryRow(func(row pgx.Row) error {
		return row.Scan(&ended, &failed, &bytes, &passages, &embedded, &reused)
	})
	batch.Queue(`SELECT count(*) FROM jobs WHERE reindex = $1 AND NOT counted_by_reindex`, r.ID).QueryRow(func(row pgx.Row) error {
		return row.Scan(&unended)
	})
	if err := tx.SendBatch(ctx, &batch).Close(); err != nil {
		return 0, fmt.Errorf("count jobs: %w", err)
	}
	r.FailedJobs += failed
	p.DocumentsDone += ended
	p.BytesDone += bytes
	p.Passages += passages
	p.Embedded += embedded
	p.Reused += reused
	p.Documents, p.Bytes = max(p.Documents, p.DocumentsDone), max(p.Bytes, p.BytesDone)
	return unended, nil
}

// redoCount is how much a reindex has to do.
type redoCount struct{ documents, bytes int64 }

// countToRedo counts the documents for which a reindex that has not begun will make jobs:
// lifecycle.Reindex.ShouldRequeue, for statements. It does not look at the manifest
// entries of every document, and so misses those that have lost some. It goes through
// the documents some at a time and without a lock.
func (s *Store) countToRedo(ctx context.Context, work task.Work) (found redoCount, err error) {
	var r reindex
	if err := s.inTenant(ctx, func(tx pgx.Tx) (err error) {
		if r, err = lockLeasedReindex(ctx, tx, work); err != nil {
			return err
		}
		return r.state.CheckChange(false)
	}); err != nil || r.state.Checkpoint != uuid.Nil {
		return found, err
	}
	in := r.scope()
	err = s.forEachIDRange(ctx, in.collection, func(tx pgx.Tx, ids idRange) (then func(), err error) {
		var part redoCount
		err = tx.QueryRow(ctx, `
			SELECT count(*), coalesce(sum((SELECT v.size FROM versions v WHERE v.document = d.id AND v.version = d.newest_version)), 0)::bigint
			FROM documents d
			WHERE `+in.condition()+` AND d.id > $6 AND d.id <= $7
			  AND NOT `+hasActiveJob+`
			  AND coalesce(`+requeuedJobState+` <> 'succeeded',
			               $5 OR d.published_version IS DISTINCT FROM d.newest_version
			               OR NOT EXISTS (SELECT FROM space_versions p
			                              WHERE p.document = d.id AND p.version = d.published_version AND p.space = $2 AND p.left_out IS NULL
			                              OFFSET 0))`,
			in.collection, in.space, in.keyPrefix, in.documents, r.Force, ids.after, ids.until, in.reindex).Scan(&part.documents, &part.bytes)
		return func() { found.documents, found.bytes = found.documents+part.documents, found.bytes+part.bytes }, err
	})
	return found, err
}

// requeueVersions gives documents a version like their newest one, with a job of
// the reindex, and says how many it gave. Before it has locked a document
// another transaction may have given it a job, or deleted it: the second look
// sees that.
func requeueVersions(ctx context.Context, tx pgx.Tx, ids []uuid.UUID, reindex uuid.UUID) (jobs int, err error) {
	if len(ids) == 0 {
		return 0, nil
	}
	if _, err := tx.Exec(ctx, `SELECT FROM documents WHERE id = ANY ($1) ORDER BY id FOR NO KEY UPDATE`, ids); err != nil {
		return 0, fmt.Errorf("lock documents: %w", err)
	}
	rows, err := tx.Query(ctx, `
		SELECT d.id, d.newest_version, coalesce(d.published_version, 0)
		FROM documents d
		WHERE d.id = ANY ($1) AND d.deleted_at IS NULL AND NOT `+hasActiveJob+`
		ORDER BY d.id`, ids)
	if err != nil {
		return 0, err
	}
	var batch pgx.Batch
	var id uuid.UUID
	var newest, published int
	if _, err := pgx.ForEachRow(rows, []any{&id, &newest, &published}, func() error {
		jobs++
		if newest != published {
			queueInsertGarbageVersion(&batch, id, newest)
		}
		batch.Queue(`
			INSERT INTO versions (document, version, title, metadata, object, size, sha256, media_type, warnings, title_from_key, object_etag)
			SELECT document, version + 1, title, metadata, object, size, sha256, media_type, warnings, title_from_key, object_etag
			FROM versions
			WHERE document = $1 AND version = $2`, id, newest)
		batch.Queue(`
			UPDATE documents SET
				newest_version = $2,
				updated_at     = now(),
				state          = CASE WHEN published_version IS NULL THEN 'pending' ELSE state END
			WHERE id = $1`, id, newest+1)
		return queueInsertJob(&batch, id, newest+1, reindex)
	}); err != nil {
		return 0, err
	}
	return jobs, tx.SendBatch(ctx, &batch).Close()
}
