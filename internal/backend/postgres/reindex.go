package postgres

import (
	"context"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype/zeronull"

	"github.com/seed-7a112592/gristmill/internal/lifecycle"
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
		err = lifecycle.ReindexNotFound(id)
	}
	return r.Reindex, err
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

// reindex is a row of reindexes: what clients see, and the state that decides what may
// happen next.
type reindex struct {
	document.Reindex
	state     lifecycle.Reindex
	countedAt time.Time // until when Progress.Seconds is counted
	now       time.Time // of the server; set by lockReindex
}

// selectReindexes is followed by a WHERE and read by scanReindex. A reindex can be
// reverted while the space that it replaced is kept and the one that it built is active.
var selectReindexes = `
	SELECT r.id, c.name, r.change, r.model, r.dimensions, r.chunk_tokens, r.chunk_overlap, r.key_prefix, r.documents, r.force,
	       r.stage, r.progress, r.created_at, r.started_at, r.finished_at,
	       (SELECT s.drop_after
	        FROM spaces s
	        WHERE s.id = r.from_space AND s.drop_after > clock_timestamp()
	          AND r.state = 'succeeded' AND r.stage = 'done' AND c.active_space = r.to_space AND r.from_space <> r.to_space),
	       c.id, c.active_space, r.from_space, r.to_space, r.last_document, r.failed, r.counted_at, ` + taskColumns("r.") + `
	FROM reindexes r
	JOIN collections c ON c.id = r.collection`

func scanReindex(row pgx.Row) (r reindex, err error) {
	s := &r.state
	var revertibleUntil time.Time
	if err := row.Scan(append([]any{&r.ID, &r.Collection, &r.Change, &r.Model, &r.Dimensions, &r.Tokens, &r.Overlap, &r.KeyPrefix, &r.DocumentIDs, &r.Force,
		&r.Stage, &r.Progress, &r.CreatedAt, (*zeronull.Timestamptz)(&s.StartedAt), (*zeronull.Timestamptz)(&s.FinishedAt), (*zeronull.Timestamptz)(&revertibleUntil),
		&s.Collection.ID, &s.Collection.Active, &s.From, &s.To, (*zeronull.UUID)(&s.Checkpoint), &s.FailedJobs, (*zeronull.Timestamptz)(&r.countedAt)},
		taskFields(&s.Task)...)...); err != nil {
		return r, err
	}
	if len(r.DocumentIDs) == 0 {
		r.DocumentIDs = nil
	}
	r.State, r.Attempt, r.Error, r.CreatedAt = s.State, s.Attempt, s.Error, r.CreatedAt.UTC()
	r.NextAttemptAt, r.StartedAt, r.FinishedAt, r.RevertibleUntil = utcOrNil(s.NextAttemptAt), utcOrNil(s.StartedAt), utcOrNil(s.FinishedAt), utcOrNil(revertibleUntil)
	s.Kind, s.ID, s.Change, s.Force, s.Stage, s.Progress = task.KindReindex, r.ID, r.Change, r.Force, r.Stage, r.Progress
	s.Wanted = vector.Space{CollectionID: s.Collection.ID, Model: document.Model{Name: r.Model, Dimensions: r.Dimensions}, Chunking: document.Chunking{Tokens: r.Tokens, Overlap: r.Overlap}}
	return r, nil
}

func scanReindexRow(row pgx.CollectableRow) (document.Reindex, error) {
	r, err := scanReindex(row)
	return r.Reindex, err
}

// utcOrNil returns nil for the zero time.
func utcOrNil(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	t = t.UTC()
	return &t
}

// isBeingBuilt is the condition for an active reindex to build space s, which is not the
// active space: lifecycle.Reindex.Builds, for statements.
const isBeingBuilt = `EXISTS (
	SELECT FROM reindexes r
	WHERE r.collection = s.collection AND r.state IN ` + lifecycle.ActiveStates + ` AND r.change <> 'nothing'
	  AND s.id = CASE r.stage WHEN 'reverting' THEN r.from_space ELSE r.to_space END)`
