package postgres

import (
	"context"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/seed-7a112592/gristmill/internal/fault"
	"github.com/seed-7a112592/gristmill/internal/task"
	"github.com/seed-7a112592/gristmill/internal/vector"
	"github.com/seed-7a112592/gristmill/pkg/document"
)

// Reindex returns a reindex.
func (s *Store) Reindex(ctx context.Context, id uuid.UUID) (r document.Reindex, err error) {
	defer wrapError(&err, "reindex %s", id)
	err = s.inTenant(ctx, func(tx pgx.Tx) error {
		r, err = readReindex(ctx, tx, id)
		return err
	})
	return r, err
}

func readReindex(ctx context.Context, tx pgx.Tx, id uuid.UUID) (document.Reindex, error) {
	r, err := scanReindex(tx.QueryRow(ctx, selectReindexes+`
		WHERE r.id = $1`, id))
	if isNoRows(err) {
		err = errNoReindex(id)
	}
	return r, err
}

func errNoReindex(id uuid.UUID) error {
	return fault.New(fault.NotFound, "there is no reindex %s", id)
}

// Reindexes lists reindexes, newest first.
func (s *Store) Reindexes(ctx context.Context, filter document.ReindexFilter, page document.Page) (list document.List[document.Reindex], err error) {
	defer wrapError(&err, "list reindexes")
	before, err := decodeCursor(page, cursorReindexes, uuid.Max)
	if err != nil {
		return list, err
	}
	err = s.inTenant(ctx, func(tx pgx.Tx) error {
		reindexes, err := queryAll(ctx, tx, scanReindexRow, selectReindexes+`
			WHERE r.id < $1
			  AND ($2 = '' OR c.name = $2)
			  AND ($3 = '' OR r.state = $3)
			ORDER BY r.id DESC
			LIMIT $4`,
			before, filter.Collection, filter.State, page.Limit+1)
		list = cutPage(reindexes, page.Limit, func(last document.Reindex) string { return encodeCursor(cursorReindexes, last.ID) })
		return err
	})
	return list, err
}

const reindexColumns = `r.id, c.name, r.change, r.model, r.dimensions, r.chunk_tokens, r.chunk_overlap,
	r.key_prefix, r.documents, r.force, r.state, r.stage, r.progress, r.attempt`

// reindexFields are what reindexColumns are scanned into.
func reindexFields(r *document.Reindex) []any {
	return []any{&r.ID, &r.Collection, &r.Change, &r.Model, &r.Dimensions, &r.Tokens, &r.Overlap,
		&r.KeyPrefix, &r.DocumentIDs, &r.Force, &r.State, &r.Stage, &r.Progress, &r.Attempt}
}

// selectReindexes is followed by a WHERE and read by scanReindex. Its last
// column is until when the reindex can be reverted: while the space that it
// left is kept and the one that it built is live.
const selectReindexes = `
	SELECT ` + reindexColumns + `, r.error, r.next_attempt_at, r.created_at, r.started_at, r.finished_at,
	       (SELECT s.drop_after
	        FROM spaces s
	        WHERE s.id = r.from_space AND s.drop_after > clock_timestamp()
	          AND r.state = 'succeeded' AND r.stage = 'done' AND c.active_space = r.to_space AND r.from_space <> r.to_space)
	FROM reindexes r
	JOIN collections c ON c.id = r.collection`

func scanReindex(row pgx.Row) (document.Reindex, error) {
	var r document.Reindex
	if err := row.Scan(append(reindexFields(&r), &r.Error, &r.NextAttemptAt, &r.CreatedAt, &r.StartedAt, &r.FinishedAt,
		&r.RevertibleUntil)...); err != nil {
		return document.Reindex{}, err
	}
	if len(r.DocumentIDs) == 0 {
		r.DocumentIDs = nil
	}
	r.CreatedAt = r.CreatedAt.UTC()
	for _, t := range []*time.Time{r.NextAttemptAt, r.StartedAt, r.FinishedAt, r.RevertibleUntil} {
		if t != nil {
			*t = t.UTC()
		}
	}
	return r, nil
}

func scanReindexRow(row pgx.CollectableRow) (document.Reindex, error) { return scanReindex(row) }

// lockedReindex is a reindex under the locks of its collection and its own row, with
// what decides over it. Every transaction that changes its state, or the spaces
// of the collection, locks the collection first and then the reindex: so the
// spaces stay what they are, and there is no deadlock.
type lockedReindex struct {
	document.Reindex
	collection         uuid.UUID
	fromSpace, toSpace int64
	activeSpace        int64 // space of the collection
	crashes            int
	lease              *uuid.UUID
	claimableIn        time.Duration // until it may be claimed; not above 0 when it may be now
	checkpoint         uuid.UUID
	failedJobs         int
	sinceCounted       time.Duration // since its seconds were counted
}

// targetSpace returns the space that the reindex builds, or the live one when it
// changes none.
func (r lockedReindex) targetSpace() int64 {
	switch {
	case r.Change == document.ChangeNothing:
		return r.activeSpace
	case r.Stage == document.StageReverting:
		return r.fromSpace
	default:
		return r.toSpace
	}
}

// isBeingBuilt is the condition for a reindex that has not ended to build space s:
// see target.
const isBeingBuilt = `EXISTS (
	SELECT FROM reindexes r
	WHERE r.collection = s.collection AND r.state IN ('queued', 'running', 'waiting', 'paused') AND r.change <> 'nothing'
	  AND s.id = CASE r.stage WHEN 'reverting' THEN r.from_space ELSE r.to_space END)`

// wantedSpace returns what the space is like that the reindex was to build.
func (r lockedReindex) wantedSpace() vector.Space {
	return vector.Space{
		CollectionID: r.collection,
		Model:        document.Model{Name: r.Model, Dimensions: r.Dimensions},
		Chunking:     document.Chunking{Tokens: r.Tokens, Overlap: r.Overlap},
	}
}

// lockReindex locks a reindex and its collection, and returns it, or
// fault.NotFound. The last statement begins when the locks are held.
func lockReindex(ctx context.Context, tx pgx.Tx, id uuid.UUID) (lockedReindex, error) {
	var r lockedReindex
	var reached *uuid.UUID
	var batch pgx.Batch
	batch.Queue(`SELECT FROM collections WHERE id = (SELECT collection FROM reindexes WHERE id = $1) FOR NO KEY UPDATE`, id)
	batch.Queue(`SELECT FROM reindexes WHERE id = $1 FOR NO KEY UPDATE`, id)
	batch.Queue(`
		SELECT `+reindexColumns+`, r.collection, r.from_space, r.to_space, c.active_space, r.crashes, r.lease,
		       coalesce(CASE r.state WHEN 'running' THEN r.lease_until WHEN 'waiting' THEN r.next_attempt_at END
		                - clock_timestamp(), '0'),
		       r.last_document, r.failed, coalesce(clock_timestamp() - r.counted_at, '0')
		FROM reindexes r
		JOIN collections c ON c.id = r.collection
		WHERE r.id = $1`, id).QueryRow(func(row pgx.Row) error {
		return row.Scan(append(reindexFields(&r.Reindex), &r.collection, &r.fromSpace, &r.toSpace, &r.activeSpace, &r.crashes, &r.lease,
			&r.claimableIn, &reached, &r.failedJobs, &r.sinceCounted)...)
	})
	err := tx.SendBatch(ctx, &batch).Close()
	if isNoRows(err) {
		return lockedReindex{}, errNoReindex(id)
	}
	if reached != nil {
		r.checkpoint = *reached
	}
	return r, err
}

// lockLeasedReindex is lockReindex for one that the caller holds the lease of, or
// else fault.LeaseLost.
func lockLeasedReindex(ctx context.Context, tx pgx.Tx, work task.Work) (lockedReindex, error) {
	r, err := lockReindex(ctx, tx, work.JobID)
	if fault.Is(err, fault.NotFound) || err == nil && (r.lease == nil || *r.lease != work.Lease) {
		return lockedReindex{}, errLeaseLost(work)
	}
	return r, err
}
