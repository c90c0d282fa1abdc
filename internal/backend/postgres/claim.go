package postgres

import (
	"context"
	"errors"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/seed-7a112592/gristmill/internal/lifecycle"
	"github.com/seed-7a112592/gristmill/internal/task"
	"github.com/seed-7a112592/gristmill/internal/tenant"
	"github.com/seed-7a112592/gristmill/pkg/document"
)

// claimRetryInterval is the time between two looks at what became of a claim.
const claimRetryInterval = time.Second

// Claim gives the task to the caller under a new lease. A connection that breaks
// while it commits leaves open whether the task is the caller's: Claim then looks
// until it knows. Otherwise nobody would be at the task until its lease has run
// out, and that would count as a crash.
func (s *Store) Claim(ctx context.Context, ref task.Ref, ttl time.Duration) (work task.Work, err error) {
	defer wrapError(&err, "claim %s", ref)
	claim := s.claimTask
	if ref.Kind == task.KindReindex {
		claim = s.claimReindex
	}
	lease := uuid.New()
	for lost := false; ; {
		work, err = claim(ctx, ref, lease, ttl)
		if err == nil {
			return work, nil
		}
		lost = lost || errors.Is(err, errConnectionLost)
		if !lost || !isUnavailable(err) {
			return task.Work{}, err
		}
		select {
		case <-ctx.Done():
			return task.Work{}, err
		case <-time.After(claimRetryInterval):
		}
	}
}

func (s *Store) claimTask(ctx context.Context, ref task.Ref, lease uuid.UUID, ttl time.Duration) (work task.Work, err error) {
	var refused error // after what was written on the way to it
	err = s.inTenantCommitBatch(ctx, func(tx pgx.Tx) (*pgx.Batch, error) {
		was, err := lockJob(ctx, tx, lifecycle.TaskNotFound(), jobOfTask, []any{ref.DocumentID, ref.Version})
		if err != nil {
			return nil, err
		}
		var last pgx.Batch
		var is lifecycle.Job
		is, refused = was.Claim(ref.Kind, lease, ttl, was.now)
		queueSave(&last, was.Job, is, s.processID, nil)
		if refused != nil {
			return &last, nil
		}
		work = task.Work{Ref: ref, JobID: is.ID}
		return &last, queueWork(ctx, &last, is, &work)
	})
	if err == nil {
		err = refused
	}
	return work, err
}

// queueWork reads the work of a task that was claimed. What an earlier attempt has
// placed goes: an attempt's places are all its own.
func queueWork(ctx context.Context, batch *pgx.Batch, is lifecycle.Job, work *task.Work) (err error) {
	if work.Tenant, err = tenant.From(ctx); err != nil {
		return err
	}
	claimed := is.Summary
	if work.Kind == task.KindKnowledge {
		claimed = is.Knowledge
		queueDeleteAttemptEntries(batch, work.Ref)
	}
	work.Lease, work.Attempt, work.Crashes, work.SummaryRequested = claimed.Lease, claimed.Attempt, claimed.Crashes, claimed.SummaryRequested
	batch.Queue(`
		SELECT c.name, coalesce(c.summaries, ''), d.key, v.title, v.title_from_key, v.media_type, v.object, v.size, v.sha256
		FROM versions v
		JOIN documents d ON d.id = v.document
		JOIN collections c ON c.id = d.collection
		WHERE v.document = $1 AND v.version = $2`, work.DocumentID, work.Version).QueryRow(func(row pgx.Row) error {
		var fromKey *bool
		err := row.Scan(&work.Collection, &work.Summaries, &work.Key, &work.Title, &fromKey, &work.MediaType, &work.Object, &work.Size, &work.SHA256)
		work.Title = document.OwnTitle(work.Title, work.Key, fromKey)
		return err
	})
	queueReadWorkSpaces(batch, work)
	return nil
}

// RenewLease extends the lease.
func (s *Store) RenewLease(ctx context.Context, work task.Work, ttl time.Duration) (err error) {
	defer wrapError(&err, "renew %s", work)
	if work.Kind == task.KindReindex {
		return s.inTenant(ctx, func(tx pgx.Tx) error { return renewReindexLease(ctx, tx, work, ttl) })
	}
	return s.inOneTrip(ctx, func(batch *pgx.Batch) {
		batch.Queue(`
			UPDATE tasks SET lease_until = clock_timestamp() + $4::interval
			WHERE job = $1 AND kind = $2 AND lease = $3`, work.JobID, work.Kind, work.Lease, ttl).Exec(mustHoldLease(work))
	})
}

// RecordOutcome writes what became of a task that is not done.
func (s *Store) RecordOutcome(ctx context.Context, work task.Work, outcome task.Outcome) (err error) {
	defer wrapError(&err, "settle %s: %s", work, outcome.Verdict)
	return s.inTenantCommitBatch(ctx, func(tx pgx.Tx) (*pgx.Batch, error) {
		if work.Kind == task.KindReindex {
			return nil, s.recordReindexOutcome(ctx, tx, work, outcome)
		}
		was, err := lockLeasedTask(ctx, tx, work)
		if err != nil {
			return nil, err
		}
		is, err := was.RecordOutcome(work, outcome, was.now)
		var batch pgx.Batch
		queueSave(&batch, was.Job, is, s.processID, nil)
		return &batch, err
	})
}
