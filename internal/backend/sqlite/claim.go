package sqlite

import (
	"context"
	"time"

	"github.com/google/uuid"

	"github.com/seed-7a112592/gristmill/internal/lifecycle"
	"github.com/seed-7a112592/gristmill/internal/task"
	"github.com/seed-7a112592/gristmill/pkg/document"
)

// Claim gives the task to the caller under a new lease.
func (s *Store) Claim(ctx context.Context, ref task.Ref, ttl time.Duration) (work task.Work, err error) {
	defer wrapError(&err, "claim %s", ref)
	claim := claimTask
	if ref.Kind == task.KindReindex {
		claim = claimReindexTask
	}
	ref.Tenant = ""
	var refused error // after what was written on the way to it
	if err = s.inWriteTransaction(ctx, func(tx transaction) error {
		ref.Tenant = tx.tenant
		work, refused, err = claim(ctx, tx, ref, ttl)
		return err
	}); err == nil {
		err = refused
	}
	if err != nil {
		return task.Work{}, err
	}
	return work, nil
}

func claimTask(ctx context.Context, tx transaction, ref task.Ref, ttl time.Duration) (work task.Work, refused, err error) {
	was, err := loadJob(ctx, tx, lifecycle.TaskNotFound(), jobOfTask, ref.DocumentID, ref.Version)
	if err != nil {
		return work, nil, err
	}
	is, refused := was.Claim(ref.Kind, uuid.New(), ttl, tx.now.time())
	if err := saveJob(ctx, tx, was, is); err != nil || refused != nil {
		return work, refused, err
	}
	claimed := is.Summary
	if ref.Kind == task.KindKnowledge {
		claimed = is.Knowledge
		of := versionKey{ref.DocumentID, ref.Version}
		if _, err := deleteManifestEntries(ctx, tx, of, 0, noLimit, of); err != nil { // of every space
			return work, nil, err
		}
	}
	work = task.Work{Ref: ref, JobID: is.ID, Lease: claimed.Lease, Attempt: claimed.Attempt, Crashes: claimed.Crashes, SummaryRequested: claimed.SummaryRequested}
	var fromKey *bool
	if err := scanSpace(tx.QueryRowContext(ctx, `
		SELECT c.name, coalesce(c.summaries, ''), d.key, v.title, v.title_from_key, v.media_type, v.object, v.size, v.sha256, `+isReplaceable+`, `+spaceColumns+`
		FROM versions v
		JOIN documents d   ON d.tenant = v.tenant AND d.id = v.document
		JOIN collections c ON c.tenant = d.tenant AND c.id = d.collection
		JOIN spaces s      ON s.tenant = c.tenant AND s.id = c.active_space
		WHERE v.tenant = ?1 AND v.document = ?2 AND v.version = ?3`, tx.tenant, ref.DocumentID, ref.Version), &work.Space,
		&work.Collection, &work.Summaries, &work.Key, &work.Title, &fromKey, &work.MediaType, &work.Object, &work.Size, &work.SHA256, &work.SpaceReplaceable); err != nil {
		return work, nil, err
	}
	work.Title = document.OwnTitle(work.Title, work.Key, fromKey)
	if ref.Kind == task.KindKnowledge {
		work.OtherSpaces, err = readOtherSpaces(ctx, tx, work.Space)
	}
	return work, nil, err
}
