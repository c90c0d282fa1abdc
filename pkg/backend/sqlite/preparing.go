package sqlite

import (
	"context"
	"time"

	"github.com/seed-7a112592/gristmill/pkg/document"
)

// keepReplaced is how long an empty space is kept that another has taken the
// place of. Tasks that have claimed it may still write to it: what they write
// is not published.
const keepReplaced = 10 * time.Minute

// unsettled is the condition for a space s to hold nothing, and for no reindex
// to have built it.
const unsettled = `(NOT EXISTS (SELECT 1 FROM passages p WHERE p.tenant = s.tenant AND p.space = s.id)
	AND NOT EXISTS (SELECT 1 FROM reindexes r
	                WHERE r.tenant = s.tenant AND r.collection = s.collection AND r.to_space = s.id AND r.change <> 'nothing'))`

// PrepareSpace replaces the collection's live space, if that is unsettled, by
// one of the given model and chunking.
func (s *Store) PrepareSpace(ctx context.Context, work document.Work, model document.Model, chunking document.Chunking) (prepared document.Work, err error) {
	defer describe(&err, "prepare a space for %s", work)
	err = s.write(ctx, func(tx transaction) error {
		if err := checkLease(ctx, tx, work); err != nil {
			return err
		}
		prepared = work
		if err := readLive(ctx, tx, &prepared); err != nil {
			return err
		}
		live := prepared.Space
		if prepared.Unsettled && (live.Model != model || live.Chunking != chunking) {
			if err := replaceSpace(ctx, tx, live, document.Space{Collection: live.Collection, Model: model, Chunking: chunking}); err != nil {
				return err
			}
			if err := readLive(ctx, tx, &prepared); err != nil {
				return err
			}
		}
		prepared.Also, err = alsoWritten(ctx, tx, prepared.Space)
		return err
	})
	return prepared, err
}

// readLive reads into the work the live space of its collection.
func readLive(ctx context.Context, tx transaction, work *document.Work) error {
	return scanSpace(tx.QueryRowContext(ctx, `
		SELECT `+unsettled+`, `+spaceColumns+`
		FROM collections c
		JOIN spaces s ON s.tenant = c.tenant AND s.id = c.live_space
		WHERE c.tenant = ?1 AND c.id = ?2`, tx.tenant, work.Space.Collection), &work.Space, &work.Unsettled)
}

// replaceSpace makes a space live in the place of an empty one. Versions without
// passages stand in the one as they do in the other.
func replaceSpace(ctx context.Context, tx transaction, empty, wanted document.Space) error {
	space, err := adoptSpace(ctx, tx, wanted)
	if err != nil {
		return err
	}
	if _, err := tx.ExecContext(ctx, `
		INSERT INTO placements (tenant, document, version, space, passages)
		SELECT tenant, document, version, ?3, 0 FROM placements WHERE tenant = ?1 AND space = ?2
		ON CONFLICT (tenant, document, version, space) DO NOTHING`, tx.tenant, empty.ID, space.ID); err != nil {
		return err
	}
	if err := leaveSpace(ctx, tx, empty.ID, false, keepReplaced); err != nil {
		return err
	}
	return setLiveSpace(ctx, tx, empty.Collection, space.ID)
}
