package sqlite

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/seed-7a112592/gristmill/internal/lifecycle"
	"github.com/seed-7a112592/gristmill/internal/task"
	"github.com/seed-7a112592/gristmill/internal/vector"
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
	if err := decodeCursor("reindexes", page, &before); err != nil {
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

// reindex is a reindex as readers see it, with what decides over it.
type reindex struct {
	document.Reindex
	state      lifecycle.Reindex
	collection uuid.UUID
	countedAt  time.Time
}

// isBeingBuilt is whether an unended reindex completes the space s beside the live
// one: lifecycle.Reindex.Builds, for statements.
const isBeingBuilt = `EXISTS (
	SELECT 1 FROM reindexes r
	WHERE r.tenant = s.tenant AND r.collection = s.collection AND r.state IN ` + lifecycle.ActiveStates + `
	  AND r.change <> 'nothing' AND s.id = iif(r.stage = 'reverting', r.from_space, r.to_space))`

func loadReindex(ctx context.Context, tx transaction, id uuid.UUID) (reindex, error) {
	r, err := scanReindex(tx.QueryRowContext(ctx, selectReindexes+`
		WHERE r.tenant = ?1 AND r.id = ?3`, tx.tenant, tx.now, id))
	if errors.Is(err, sql.ErrNoRows) {
		err = lifecycle.ReindexNotFound(id)
	}
	return r, err
}

// selectReindexes is followed by a WHERE that has the tenant as ?1; ?2 is the
// time. A reindex can be reverted while the space that it left is kept and the
// one that it built is live.
var selectReindexes = `
	SELECT r.id, c.name, r.change, r.model, r.dimensions, r.chunk_tokens, r.chunk_overlap, r.key_prefix, r.documents, r.force,
	       r.stage, r.progress, r.created_at, r.started_at, r.finished_at,
	       iif(r.state = 'succeeded' AND r.stage = 'done' AND c.active_space = r.to_space AND f.drop_after > ?2, f.drop_after, NULL),
	       r.collection, c.active_space, r.from_space, r.to_space, r.last_document, r.counted_at, ` + taskColumns("r.") + `
	FROM reindexes r
	JOIN collections c ON c.tenant = r.tenant AND c.id = r.collection
	LEFT JOIN spaces f ON f.tenant = r.tenant AND f.id = r.from_space
`

// scanReindex scans a row of selectReindexes.
func scanReindex(row scanner) (r reindex, err error) {
	s := &r.state
	var documents, progress []byte
	var revert time.Time
	if err := row.Scan(append([]any{&r.ID, &r.Collection, &r.Change, &r.Model, &r.Dimensions, &r.Tokens, &r.Overlap, &r.KeyPrefix, &documents, &r.Force,
		&r.Stage, &progress, (*instant)(&r.CreatedAt), (*instant)(&s.StartedAt), (*instant)(&s.FinishedAt), (*instant)(&revert),
		&r.collection, &s.Collection.Active, &s.From, &s.To, &s.Checkpoint, (*instant)(&r.countedAt)}, taskFields(&s.Task)...)...); err != nil {
		return r, err
	}
	if err := errors.Join(json.Unmarshal(documents, &r.DocumentIDs), json.Unmarshal(progress, &r.Progress)); err != nil {
		return r, fmt.Errorf("documents and progress of reindex %s: %w", r.ID, err)
	}
	if len(r.DocumentIDs) == 0 {
		r.DocumentIDs = nil
	}
	r.State, r.Attempt, r.Error = s.State, s.Attempt, s.Error
	r.NextAttemptAt, r.StartedAt, r.FinishedAt, r.RevertibleUntil = orNil(s.NextAttemptAt), orNil(s.StartedAt), orNil(s.FinishedAt), orNil(revert)
	s.Kind, s.ID, s.Change, s.Force, s.Stage, s.Progress, s.Collection.ID = task.KindReindex, r.ID, r.Change, r.Force, r.Stage, r.Progress, r.collection
	s.Wanted = vector.Space{CollectionID: r.collection, Model: document.Model{Name: r.Model, Dimensions: r.Dimensions}, Chunking: document.Chunking{Tokens: r.Tokens, Overlap: r.Overlap}}
	return r, nil
}

// orNil returns nil for the zero time.
func orNil(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}
