package postgres

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/seed-7a112592/gristmill/pkg/document"
	"github.com/seed-7a112592/gristmill/pkg/fault"
	"github.com/seed-7a112592/gristmill/pkg/tenant"
)

// claimInterval is the time between two looks at what became of a claim.
const claimInterval = time.Second

// Claim gives the task to the caller under a new lease. A connection that breaks
// while it commits leaves open whether the task is the caller's: Claim then looks
// until it knows. Otherwise nobody would be at the task until its lease has run
// out, and that would count as a crash.
func (s *Store) Claim(ctx context.Context, ref document.TaskRef, ttl time.Duration) (work document.Work, err error) {
	defer describe(&err, "claim %s", ref)
	claim := s.claimTask
	if ref.Kind == document.Reindexing {
		claim = s.claimReindex
	}
	lease := uuid.New()
	for lost := false; ; {
		work, err = claim(ctx, ref, lease, ttl)
		if err == nil {
			return work, nil
		}
		lost = lost || errors.Is(err, errLost)
		if !lost || !unavailable(err) {
			return document.Work{}, err
		}
		select {
		case <-ctx.Done():
			return document.Work{}, err
		case <-time.After(claimInterval):
		}
	}
}

func (s *Store) claimTask(ctx context.Context, ref document.TaskRef, lease uuid.UUID, ttl time.Duration) (work document.Work, err error) {
	var refused error // after what was written on the way to it
	err = s.inTenantLast(ctx, func(tx pgx.Tx) (*pgx.Batch, error) {
		t, err := lockTask(ctx, tx, ref)
		if err != nil {
			return nil, err
		}
		if t.state.Ended() {
			return nil, fault.New(fault.NotFound, "the task has ended: %s", t.state)
		}
		var last pgx.Batch
		if reason := t.pointless(); reason != "" {
			refused = fault.New(fault.NotFound, "the task was cancelled: %s", reason)
			t.queueEnd(&last, document.Cancelled, reason, nil)
			return &last, nil
		}
		work = document.Work{TaskRef: t.TaskRef, Job: t.job, Lease: lease, Attempt: t.attempt, Crashes: t.crashes}
		if err := beginAttempt(&work, t.lease, t.state, t.wait); err != nil {
			return nil, err
		}
		return &last, s.queueLease(ctx, &last, t, ttl, &work)
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
func beginAttempt(work *document.Work, held *uuid.UUID, state document.JobState, wait time.Duration) error {
	switch {
	case held != nil && *held == work.Lease:
		return nil
	case wait > 0 && state == document.Running:
		return fault.New(fault.Conflict, "another worker holds the lease of the task")
	case wait > 0:
		return fault.New(fault.Unavailable, "the task is to be tried again later").After(wait)
	case state == document.Running:
		work.Crashes++
	}
	work.Attempt++
	return nil
}

// pointless says why nobody wants the task any more, if so.
func (t task) pointless() string {
	switch {
	case t.docDeleted:
		return documentDeleted
	case t.state == document.Queued && t.newest > t.Version:
		return supersededBy(t.newest)
	default:
		return ""
	}
}

// queueLease writes that the task's attempt has begun, and reads its work. What an
// earlier attempt has placed goes: an attempt's places are all its own.
func (s *Store) queueLease(ctx context.Context, batch *pgx.Batch, t task, ttl time.Duration, work *document.Work) error {
	id, err := tenant.From(ctx)
	if err != nil {
		return err
	}
	work.Tenant = id
	batch.Queue(`
		UPDATE tasks SET state = 'running', attempt = $3, crashes = $4, round = round + 1,
		                 lease = $5, lease_until = clock_timestamp() + $6::interval, next_attempt_at = NULL, error = '',
		                 dispatched_at = coalesce(dispatched_at, clock_timestamp()), process = $7
		WHERE job = $1 AND kind = $2`, t.job, t.Kind, work.Attempt, work.Crashes, work.Lease, ttl, s.process)
	t.queueJobState(batch, document.Running)
	if t.Kind == document.Knowledge {
		queueClearAttempt(batch, t)
	}
	batch.Queue(`
		SELECT c.name, coalesce(c.summaries, ''), t.asked, d.key, v.title, v.title_from_key, v.media_type, v.object, v.size, v.sha256
		FROM versions v
		JOIN documents d ON d.id = v.document
		JOIN collections c ON c.id = d.collection
		JOIN tasks t ON t.job = $3 AND t.kind = $4
		WHERE v.document = $1 AND v.version = $2`, t.Document, t.Version, t.job, t.Kind).QueryRow(func(row pgx.Row) error {
		var fromKey *bool
		err := row.Scan(&work.Collection, &work.Summaries, &work.Asked, &work.Key, &work.Title, &fromKey, &work.MediaType, &work.Object, &work.Size, &work.SHA256)
		work.Title = document.OwnTitle(work.Title, work.Key, fromKey)
		return err
	})
	queueSpaces(batch, work)
	return nil
}

// Renew extends the lease.
func (s *Store) Renew(ctx context.Context, work document.Work, ttl time.Duration) (err error) {
	defer describe(&err, "renew %s", work)
	if work.Kind == document.Reindexing {
		return s.inTenant(ctx, func(tx pgx.Tx) error { return renewReindex(ctx, tx, work, ttl) })
	}
	return s.inOneTrip(ctx, func(batch *pgx.Batch) {
		batch.Queue(`
			UPDATE tasks SET lease_until = clock_timestamp() + $4::interval
			WHERE job = $1 AND kind = $2 AND lease = $3`, work.Job, work.Kind, work.Lease, ttl).Exec(mustHold(work))
	})
}

// Settle writes what became of a task that is not done.
func (s *Store) Settle(ctx context.Context, work document.Work, outcome document.Outcome) (err error) {
	defer describe(&err, "settle %s: %s", work, outcome.Verdict)
	return s.inTenantLast(ctx, func(tx pgx.Tx) (*pgx.Batch, error) {
		if work.Kind == document.Reindexing {
			return nil, settleReindex(ctx, tx, work, outcome)
		}
		t, err := lockOwn(ctx, tx, work)
		if err != nil {
			return nil, err
		}
		var batch pgx.Batch
		switch outcome.Verdict {
		case document.VerdictFail:
			t.queueEnd(&batch, document.JobFailed, outcome.Error, nil)
		case document.VerdictCancel:
			t.queueEnd(&batch, document.Cancelled, outcome.Error, nil)
		case document.VerdictRetry:
			t.queuePostpone(&batch, t.attempt, outcome)
		case document.VerdictWait:
			t.queuePostpone(&batch, t.attempt-1, outcome)
		default:
			return nil, fmt.Errorf("unknown verdict %q", outcome.Verdict)
		}
		return &batch, nil
	})
}

// queuePostpone has the task wait for its next attempt.
func (t task) queuePostpone(batch *pgx.Batch, attempt int, outcome document.Outcome) {
	batch.Queue(`
		UPDATE tasks SET state = 'waiting', attempt = $3, error = $4, next_attempt_at = clock_timestamp() + $5::interval,
		                 lease = NULL, lease_until = NULL
		WHERE job = $1 AND kind = $2`, t.job, t.Kind, attempt, storable(outcome.Error), outcome.Delay)
	t.queueJobState(batch, document.Waiting)
}
