package sqlite

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/google/uuid"

	"github.com/seed-7a112592/gristmill/internal/fault"
	"github.com/seed-7a112592/gristmill/pkg/document"
)

// Reindex returns one reindex.
func (s *Store) Reindex(ctx context.Context, id uuid.UUID) (_ document.Reindex, err error) {
	defer wrapError(&err, "reindex %s", id)
	var r reindex
	err = s.inReadTransaction(ctx, func(tx transaction) error {
		r, err = loadReindex(ctx, tx, id)
		return err
	})
	return r.Reindex, err
}

// Reindexes lists reindexes, newest first.
func (s *Store) Reindexes(ctx context.Context, filter document.ReindexFilter, page document.Page) (list document.List[document.Reindex], err error) {
	defer wrapError(&err, "list reindexes")
	before := uuid.Max
	if err := decodeCursor("reindexes", page.Cursor, &before); err != nil {
		return list, err
	}
	err = s.inReadTransaction(ctx, func(tx transaction) error {
		rows, err := tx.QueryContext(ctx, selectReindexes+`
			WHERE r.tenant = ?1
			  AND (?3 = '' OR c.name = ?3)
			  AND (?4 = '' OR r.state = ?4)
			  AND r.id < ?5
			ORDER BY r.id DESC
			LIMIT ?6`, tx.tenant, tx.now, filter.Collection, filter.State, before, page.Limit+1)
		reindexes, err := collectRows(rows, err, func(row scanner) (document.Reindex, error) {
			r, err := scanReindex(row)
			return r.Reindex, err
		})
		if err != nil {
			return err
		}
		list, err = cutPage("reindexes", reindexes, page.Limit, func(r document.Reindex) any { return r.ID })
		return err
	})
	return list, err
}

// reindex is a reindex with what only the store knows of it.
type reindex struct {
	document.Reindex
	collection         uuid.UUID
	activeSpace        int64 // of the collection, now
	fromSpace, toSpace int64
	checkpoint         uuid.UUID
	crashes            int
	leaseUntil         *micros
	countedAt          *micros
}

// targetSpace returns the space that the reindex completes: where it changes
// nothing, the live one.
func (r reindex) targetSpace() int64 {
	switch {
	case r.Change == document.ChangeNothing:
		return r.activeSpace
	case r.Stage == document.StageReverting:
		return r.fromSpace
	default:
		return r.toSpace
	}
}

// isBeingBuilt is whether an unended reindex completes the space s beside the live
// one: building, for statements.
const isBeingBuilt = `EXISTS (
	SELECT 1 FROM reindexes r
	WHERE r.tenant = s.tenant AND r.collection = s.collection AND r.state IN ('queued', 'running', 'waiting', 'paused')
	  AND r.change <> 'nothing' AND s.id = iif(r.stage = 'reverting', r.from_space, r.to_space))`

func loadReindex(ctx context.Context, tx transaction, id uuid.UUID) (reindex, error) {
	r, err := scanReindex(tx.QueryRowContext(ctx, selectReindexes+`
		WHERE r.tenant = ?1 AND r.id = ?3`, tx.tenant, tx.now, id))
	if errors.Is(err, sql.ErrNoRows) {
		err = fault.New(fault.NotFound, "there is no reindex %s", id)
	}
	return r, err
}

// selectReindexes is followed by a WHERE that has the tenant as ?1; ?2 is the
// time. A reindex can be reverted while the space that it left is kept and the
// one that it built is live.
const selectReindexes = `
	SELECT r.id, c.name, r.change, r.model, r.dimensions, r.chunk_tokens, r.chunk_overlap, r.key_prefix, r.documents, r.force,
	       r.state, r.stage, r.progress, r.attempt, r.error, r.next_attempt_at,
	       r.created_at, r.started_at, r.finished_at,
	       iif(r.state = 'succeeded' AND r.stage = 'done' AND c.active_space = r.to_space AND f.drop_after > ?2, f.drop_after, NULL),
	       r.collection, c.active_space, r.from_space, r.to_space, coalesce(r.last_document, '00000000-0000-0000-0000-000000000000'),
	       r.crashes, r.lease_until, r.counted_at
	FROM reindexes r
	JOIN collections c ON c.tenant = r.tenant AND c.id = r.collection
	LEFT JOIN spaces f ON f.tenant = r.tenant AND f.id = r.from_space
`

// scanReindex scans a row of selectReindexes.
func scanReindex(row scanner) (r reindex, err error) {
	var (
		documents, progress             []byte
		created                         micros
		next, started, finished, revert *micros
	)
	if err := row.Scan(&r.ID, &r.Collection, &r.Change, &r.Model, &r.Dimensions, &r.Tokens, &r.Overlap, &r.KeyPrefix, &documents, &r.Force,
		&r.State, &r.Stage, &progress, &r.Attempt, &r.Error, &next,
		&created, &started, &finished, &revert,
		&r.collection, &r.activeSpace, &r.fromSpace, &r.toSpace, &r.checkpoint,
		&r.crashes, &r.leaseUntil, &r.countedAt); err != nil {
		return r, err
	}
	if err := json.Unmarshal(documents, &r.DocumentIDs); err != nil {
		return r, fmt.Errorf("documents of reindex %s: %w", r.ID, err)
	}
	if len(r.DocumentIDs) == 0 {
		r.DocumentIDs = nil
	}
	if err := json.Unmarshal(progress, &r.Progress); err != nil {
		return r, fmt.Errorf("progress of reindex %s: %w", r.ID, err)
	}
	r.NextAttemptAt, r.CreatedAt = timeOrNil(next), created.time()
	r.StartedAt, r.FinishedAt, r.RevertibleUntil = timeOrNil(started), timeOrNil(finished), timeOrNil(revert)
	return r, nil
}
