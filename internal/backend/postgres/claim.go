package postgres

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/seed-7a112592/gristmill/internal/fault"
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
		t, err := lockTask(ctx, tx, ref)
		if err != nil {
			return nil, err
		}
		if t.state.Ended() {
			return nil, fault.New(fault.NotFound, "the task has ended: %s", t.state)
		}
		var last pgx.Batch
		if reason := t.cancelReason(); reason != "" {
			refused = fault.New(fault.NotFound, "the task was cancelled: %s", reason)
			t.queueEnd(&last, document.JobCancelled, reason, nil)
			return &last, nil
		}
		work = task.Work{Ref: t.Ref, JobID: t.job, Lease: lease, Attempt: t.attempt, Crashes: t.crashes}
		if err := beginAttempt(&work, t.lease, t.state, t.claimableIn); err != nil {
			return nil, err
		}
		return &last, s.queueLeaseTask(ctx, &last, t, ttl, &work)
	})
	if err == nil {
		err = refused
	}
	return work, err
}

// beginAttempt counts the attempt that a claim begins, and the crash of a worker
// that has let go of what is running; held is the lease that it is under, if any,
// and wait how long it may not be claimed. What is under the lease of the claim
// itself has been begun by it, and the answer was lost.
func beginAttempt(work *task.Work, held *uuid.UUID, state document.JobState, wait time.Duration) error {
	switch {
	case held != nil && *held == work.Lease:
		return nil
	case wait > 0 && state == document.JobRunning:
		return fault.New(fault.Conflict, "another worker holds the lease of the task")
	case wait > 0:
		return fault.New(fault.Unavailable, "the task is to be tried again later").WithRetryAfter(wait)
	case state == document.JobRunning:
		work.Crashes++
	}
	work.Attempt++
	return nil
}

// cancelReason says why nobody wants the task any more, if so.
func (t lockedTask) cancelReason() string {
	switch {
	case t.docDeleted:
		return reasonDocumentDeleted
	case t.state == document.JobQueued && t.newestVersion > t.Version:
		return reasonSuperseded(t.newestVersion)
	default:
		return ""
	}
}

// queueLeaseTask writes that the task's attempt has begun, and reads its work. What an
// earlier attempt has placed goes: an attempt's places are all its own.
func (s *Store) queueLeaseTask(ctx context.Context, batch *pgx.Batch, t lockedTask, ttl time.Duration, work *task.Work) error {
	id, err := tenant.From(ctx)
	if err != nil {
		return err
	}
	work.Tenant = id
	batch.Queue(`
		UPDATE tasks SET state = 'running', attempt = $3, crashes = $4, round = round + 1,
		                 lease = $5, lease_until = clock_timestamp() + $6::interval, next_attempt_at = NULL, error = '',
		                 dispatched_at = coalesce(dispatched_at, clock_timestamp()), process = $7
		WHERE job = $1 AND kind = $2`, t.job, t.Kind, work.Attempt, work.Crashes, work.Lease, ttl, s.processID)
	t.queueCombinedJobState(batch, document.JobRunning)
	if t.Kind == task.KindKnowledge {
		queueDeleteAttemptEntries(batch, t)
	}
	batch.Queue(`
		SELECT c.name, coalesce(c.summaries, ''), t.summary_requested, d.key, v.title, v.title_from_key, v.media_type, v.object, v.size, v.sha256
		FROM versions v
		JOIN documents d ON d.id = v.document
		JOIN collections c ON c.id = d.collection
		JOIN tasks t ON t.job = $3 AND t.kind = $4
		WHERE v.document = $1 AND v.version = $2`, t.DocumentID, t.Version, t.job, t.Kind).QueryRow(func(row pgx.Row) error {
		var fromKey *bool
		err := row.Scan(&work.Collection, &work.Summaries, &work.SummaryRequested, &work.Key, &work.Title, &fromKey, &work.MediaType, &work.Object, &work.Size, &work.SHA256)
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
			return nil, writeReindexOutcome(ctx, tx, work, outcome)
		}
		t, err := lockLeasedTask(ctx, tx, work)
		if err != nil {
			return nil, err
		}
		var batch pgx.Batch
		switch outcome.Verdict {
		case task.VerdictFail:
			t.queueEnd(&batch, document.JobFailed, outcome.Error, nil)
		case task.VerdictCancel:
			t.queueEnd(&batch, document.JobCancelled, outcome.Error, nil)
		case task.VerdictRetry:
			t.queuePostpone(&batch, t.attempt, outcome)
		case task.VerdictWait:
			t.queuePostpone(&batch, t.attempt-1, outcome)
		default:
			return nil, fmt.Errorf("unknown verdict %q", outcome.Verdict)
		}
		return &batch, nil
	})
}

// queuePostpone has the task wait for its next attempt.
func (t lockedTask) queuePostpone(batch *pgx.Batch, attempt int, outcome task.Outcome) {
	batch.Queue(`
		UPDATE tasks SET state = 'waiting', attempt = $3, error = $4, next_attempt_at = clock_timestamp() + $5::interval,
		                 lease = NULL, lease_until = NULL
		WHERE job = $1 AND kind = $2`, t.job, t.Kind, attempt, sanitizeText(outcome.Error), outcome.Delay)
	t.queueCombinedJobState(batch, document.JobWaiting)
}
