package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/seed-7a112592/gristmill/internal/fault"
	"github.com/seed-7a112592/gristmill/internal/task"
	"github.com/seed-7a112592/gristmill/pkg/document"
)

// Claim gives the task to the caller under a new lease.
func (s *Store) Claim(ctx context.Context, ref task.Ref, ttl time.Duration) (work task.Work, err error) {
	defer wrapError(&err, "claim %s", ref)
	load, lease := loadTask, leaseTask
	if ref.Kind == task.KindReindex {
		load, lease = loadReindexTask, leaseReindex
	}
	var refused error // after what was written on the way to it
	err = s.inWriteTransaction(ctx, func(tx transaction) error {
		task, err := load(ctx, tx, ref)
		if err != nil {
			return err
		}
		if task.state.Ended() {
			return fault.New(fault.NotFound, "the task has ended: %s", task.state)
		}
		if reason := task.cancelReason(); reason != "" {
			refused = fault.New(fault.NotFound, "the task was cancelled: %s", reason)
			return endTask(ctx, tx, ref, document.JobCancelled, reason)
		}
		switch wait := tx.now.until(task.claimableAt()); {
		case wait > 0 && task.state == document.JobRunning:
			return fault.New(fault.Conflict, "another worker holds the lease of the task")
		case wait > 0:
			return fault.New(fault.Unavailable, "the task is to be tried again later").WithRetryAfter(wait)
		}
		work = task.nextAttempt()
		return lease(ctx, tx, work, ttl)
	})
	if err == nil {
		err = refused
	}
	if err != nil {
		return task.Work{}, err
	}
	return work, nil
}

// lockedTask is what decides over a claim: the task, and what its work would be.
type lockedTask struct {
	work          task.Work
	state         document.JobState
	leaseUntil    *micros
	nextAttemptAt *micros
	newestVersion int
	deleted       bool
}

func loadTask(ctx context.Context, tx transaction, ref task.Ref) (lockedTask, error) {
	t := lockedTask{work: task.Work{Ref: ref}}
	t.work.Tenant = tx.tenant
	var fromKey *bool
	err := scanSpace(tx.QueryRowContext(ctx, `
		SELECT t.state, t.attempt, t.crashes, t.lease_until, t.next_attempt_at, d.newest_version, d.deleted_at IS NOT NULL,
		       j.id, c.name, coalesce(c.summaries, ''), t.summary_requested, d.key, v.title, v.title_from_key, v.media_type, v.object, v.size, v.sha256, `+isReplaceable+`, `+spaceColumns+`
		FROM tasks t
		JOIN jobs j        ON j.tenant = t.tenant AND j.document = t.document AND j.version = t.version
		JOIN versions v    ON v.tenant = t.tenant AND v.document = t.document AND v.version = t.version
		JOIN documents d   ON d.tenant = t.tenant AND d.id = t.document
		JOIN collections c ON c.tenant = t.tenant AND c.id = d.collection
		JOIN spaces s      ON s.tenant = t.tenant AND s.id = c.active_space
		WHERE t.tenant = ?1 AND t.document = ?2 AND t.version = ?3 AND t.kind = ?4`,
		tx.tenant, ref.DocumentID, ref.Version, ref.Kind), &t.work.Space,
		&t.state, &t.work.Attempt, &t.work.Crashes, &t.leaseUntil, &t.nextAttemptAt, &t.newestVersion, &t.deleted,
		&t.work.JobID, &t.work.Collection, &t.work.Summaries, &t.work.SummaryRequested, &t.work.Key, &t.work.Title, &fromKey, &t.work.MediaType, &t.work.Object, &t.work.Size, &t.work.SHA256, &t.work.SpaceReplaceable)
	if errors.Is(err, sql.ErrNoRows) {
		return t, fault.New(fault.NotFound, "there is no such task")
	}
	t.work.Title = document.OwnTitle(t.work.Title, t.work.Key, fromKey)
	if err == nil && ref.Kind == task.KindKnowledge {
		t.work.OtherSpaces, err = readOtherSpaces(ctx, tx, t.work.Space)
	}
	return t, err
}

// cancelReason says why nobody wants the task any more, if so.
func (t lockedTask) cancelReason() string {
	switch {
	case t.deleted:
		return reasonDocumentDeleted
	case t.state == document.JobQueued && t.newestVersion > t.work.Version:
		return reasonSuperseded(t.newestVersion)
	default:
		return ""
	}
}

const reasonDocumentDeleted = "document deleted"

func reasonSuperseded(version int) string { return fmt.Sprintf("superseded by version %d", version) }

// claimableAt returns when the task may be claimed, in the past if it may be now.
func (t lockedTask) claimableAt() micros {
	switch {
	case t.state == document.JobRunning && t.leaseUntil != nil:
		return *t.leaseUntil
	case t.state == document.JobWaiting && t.nextAttemptAt != nil:
		return *t.nextAttemptAt
	default:
		return 0
	}
}

// nextAttempt returns the work of the task's next attempt. A task that is running was
// let go of by a worker that crashed.
func (t lockedTask) nextAttempt() task.Work {
	work := t.work
	work.Lease = uuid.New()
	work.Attempt++
	if t.state == document.JobRunning {
		work.Crashes++
	}
	return work
}

func leaseTask(ctx context.Context, tx transaction, work task.Work, ttl time.Duration) error {
	if _, err := tx.ExecContext(ctx, `
		UPDATE tasks SET state = 'running', attempt = ?5, crashes = ?6, round = round + 1,
		                 lease = ?7, lease_until = ?8, next_attempt_at = NULL, error = '',
		                 dispatched_at = coalesce(dispatched_at, ?9)
		WHERE tenant = ?1 AND document = ?2 AND version = ?3 AND kind = ?4`,
		tx.tenant, work.DocumentID, work.Version, work.Kind, work.Attempt, work.Crashes, work.Lease, tx.now.add(ttl), tx.now); err != nil {
		return err
	}
	if _, err := tx.ExecContext(ctx, `
		UPDATE jobs SET started_at = coalesce(started_at, ?4)
		WHERE tenant = ?1 AND document = ?2 AND version = ?3`,
		tx.tenant, work.DocumentID, work.Version, tx.now); err != nil {
		return err
	}
	if work.Kind == task.KindKnowledge { // of every space
		if _, err := deleteManifestEntries(ctx, tx, versionKeyOf(work), 0, noLimit, versionKeyOf(work)); err != nil {
			return err
		}
	}
	return updateJobState(ctx, tx, work.DocumentID, work.Version)
}
