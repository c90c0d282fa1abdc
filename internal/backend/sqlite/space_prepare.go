package sqlite

import (
	"context"

	"github.com/seed-7a112592/gristmill/internal/lifecycle"
	"github.com/seed-7a112592/gristmill/internal/task"
	"github.com/seed-7a112592/gristmill/pkg/document"
)

// isReplaceable is the condition for a space s to hold nothing, and for no reindex
// to have built it.
const isReplaceable = `(NOT EXISTS (SELECT 1 FROM passages p WHERE p.tenant = s.tenant AND p.space = s.id)
	AND NOT EXISTS (SELECT 1 FROM reindexes r
	                WHERE r.tenant = s.tenant AND r.collection = s.collection AND r.to_space = s.id AND r.change <> 'nothing'))`

// PrepareSpace replaces the collection's live space, if that is unsettled, by
// one of the given model and chunking.
func (s *Store) PrepareSpace(ctx context.Context, work task.Work, model document.Model, chunking document.Chunking) (prepared task.Work, err error) {
	defer wrapError(&err, "prepare a space for %s", work)
	err = s.inWriteTransaction(ctx, func(tx transaction) error {
		if err := checkLease(ctx, tx, work); err != nil {
			return err
		}
		prepared = work
		if err := readActiveSpace(ctx, tx, &prepared); err != nil {
			return err
		}
		was, err := loadCollection(ctx, tx, work.Space.CollectionID)
		if err != nil {
			return err
		}
		is, err := was.Prepare(prepared.SpaceReplaceable, false, model, chunking, tx.now.time()) // what is unsettled holds nothing
		if err != nil {
			return err
		}
		if err := replaceSpace(ctx, tx, was, is); err != nil {
			return err
		}
		if err := readActiveSpace(ctx, tx, &prepared); err != nil {
			return err
		}
		prepared.OtherSpaces, err = readOtherSpaces(ctx, tx, prepared.Space)
		return err
	})
	return prepared, err
}

// readActiveSpace reads into the work the live space of its collection.
func readActiveSpace(ctx context.Context, tx transaction, work *task.Work) error {
	return scanSpace(tx.QueryRowContext(ctx, `
		SELECT `+isReplaceable+`, `+spaceColumns+`
		FROM collections c
		JOIN spaces s ON s.tenant = c.tenant AND s.id = c.active_space
		WHERE c.tenant = ?1 AND c.id = ?2`, tx.tenant, work.Space.CollectionID), &work.Space, &work.SpaceReplaceable)
}

// replaceSpace makes a space live in the place of an empty one. Versions without
// passages stand in the one as they do in the other.
func replaceSpace(ctx context.Context, tx transaction, was, is lifecycle.Collection) error {
	if was.Active == is.Active {
		return nil
	}
	if err := saveSpaces(ctx, tx, was, &is, &is.Active); err != nil {
		return err
	}
	return tx.exec(ctx, `
		INSERT INTO space_versions (tenant, document, version, space, passages)
		SELECT tenant, document, version, ?3, 0 FROM space_versions WHERE tenant = ?1 AND space = ?2
		ON CONFLICT (tenant, document, version, space) DO NOTHING`, tx.tenant, was.Active, is.Active)
}
