package sqlite

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/seed-7a112592/gristmill/internal/fault"
	"github.com/seed-7a112592/gristmill/internal/task"
	"github.com/seed-7a112592/gristmill/pkg/document"
)

// Job returns one job.
func (s *Store) Job(ctx context.Context, id uuid.UUID) (job document.Job, err error) {
	defer wrapError(&err, "job %s", id)
	err = s.inReadTransaction(ctx, func(tx transaction) error {
		job, err = readJob(ctx, tx, id)
		return err
	})
	return job, err
}

func readJob(ctx context.Context, tx transaction, id uuid.UUID) (document.Job, error) {
	job, err := scanJob(tx.QueryRowContext(ctx, selectJobs+`
		WHERE j.tenant = ?1 AND j.id = ?2`, tx.tenant, id))
	if errors.Is(err, sql.ErrNoRows) {
		err = fault.New(fault.NotFound, "there is no job %s", id)
	}
	return job, err
}

// Jobs lists jobs, newest first.
func (s *Store) Jobs(ctx context.Context, filter document.JobFilter, page document.Page) (list document.List[document.Job], err error) {
	defer wrapError(&err, "list jobs")
	before := uuid.Max
	if err := decodeCursor("jobs", page, &before); err != nil {
		return list, err
	}
	err = s.inReadTransaction(ctx, func(tx transaction) error {
		of, collection, err := listScope(ctx, tx, filter.Collection)
		if err != nil {
			return err
		}
		query := newestFirstQuery("jobs", of, listedStates(document.JobStates, filter.State))
		if filter.DocumentID != uuid.Nil {
			query = mergeStatesQuery(listedStates(document.JobStates, filter.State), `
				SELECT id
				FROM jobs INDEXED BY sqlite_autoindex_jobs_2
				WHERE `+of+` tenant = ?1 AND document = ?5 AND state = '$state' AND id < ?2
				ORDER BY id DESC`, "id DESC")
		}
		rows, err := tx.QueryContext(ctx, query+selectJobs+`
			WHERE j.tenant = ?1 AND j.id IN (SELECT id FROM page)
			ORDER BY j.id DESC`, tx.tenant, before, page.Limit+1, collection, filter.DocumentID)
		jobs, err := collectRows(rows, err, scanJob)
		if err != nil {
			return err
		}
		list, err = cutPage("jobs", jobs, page.Limit, func(job document.Job) any { return job.ID })
		return err
	})
	return list, err
}

// addJob writes the job of a version and its tasks, queued and not yet
// dispatched. It may be one that a reindex makes.
func addJob(ctx context.Context, tx transaction, id uuid.UUID, version int, reindex uuid.NullUUID) error {
	job, err := uuid.NewV7()
	if err != nil {
		return err
	}
	if _, err := tx.ExecContext(ctx, `
		INSERT INTO jobs (tenant, id, document, version, collection, state, created_at, size, reindex)
		SELECT v.tenant, ?2, v.document, v.version, d.collection, 'queued', ?5, v.size, ?6
		FROM versions v
		JOIN documents d ON d.tenant = v.tenant AND d.id = v.document
		WHERE v.tenant = ?1 AND v.document = ?3 AND v.version = ?4`,
		tx.tenant, job, id, version, tx.now, reindex); err != nil {
		return err
	}
	for _, kind := range task.JobKinds {
		if _, err := tx.ExecContext(ctx, `
			INSERT INTO tasks (tenant, document, version, kind, job, state)
			VALUES (?1, ?2, ?3, ?4, ?5, 'queued')`, tx.tenant, id, version, kind, job); err != nil {
			return err
		}
	}
	return nil
}

func readVersionJob(ctx context.Context, tx transaction, id uuid.UUID, version int) (document.Job, error) {
	return scanJob(tx.QueryRowContext(ctx, selectJobs+`
		WHERE j.tenant = ?1 AND j.document = ?2 AND j.version = ?3`, tx.tenant, id, version))
}

const selectJobs = `
	SELECT j.id, j.document, c.name, j.version, j.state, v.warnings, ` + passageWarnings + `, v.summary_warnings,
	       j.created_at, j.started_at, j.finished_at,
	       k.state, k.attempt, k.error, k.next_attempt_at, k.progress,
	       s.state, s.attempt, s.error, s.next_attempt_at, s.progress
	FROM jobs j
	JOIN documents d   ON d.tenant = j.tenant AND d.id = j.document
	JOIN collections c ON c.tenant = d.tenant AND c.id = d.collection
	JOIN versions v    ON v.tenant = j.tenant AND v.document = j.document AND v.version = j.version
	JOIN tasks k ON k.tenant = j.tenant AND k.document = j.document AND k.version = j.version AND k.kind = 'knowledge'
	JOIN tasks s ON s.tenant = j.tenant AND s.document = j.document AND s.version = j.version AND s.kind = 'summary'
`

// scanJob scans a row of selectJobs. The job's error is that of the first task
// that has one, its next attempt the next one of any task.
func scanJob(row scanner) (document.Job, error) {
	var (
		job                                document.Job
		knowledge                          = &job.Tasks.Knowledge
		summary                            = &job.Tasks.Summary
		created                            micros
		started, finished                  *micros
		knowledgeNext, summaryNext         *micros
		knowledgeProgress, summaryProgress []byte
		own, placed, summarised            []byte // warnings
	)
	if err := row.Scan(&job.ID, &job.DocumentID, &job.Collection, &job.Version, &job.State, &own, &placed, &summarised, &created, &started, &finished,
		&knowledge.State, &knowledge.Attempt, &knowledge.Error, &knowledgeNext, &knowledgeProgress,
		&summary.State, &summary.Attempt, &summary.Error, &summaryNext, &summaryProgress); err != nil {
		return job, err
	}
	if err := json.Unmarshal(knowledgeProgress, &knowledge.KnowledgeProgress); err != nil {
		return job, fmt.Errorf("progress of job %s: %w", job.ID, err)
	}
	if err := json.Unmarshal(summaryProgress, &summary.SummaryProgress); err != nil {
		return job, fmt.Errorf("progress of job %s: %w", job.ID, err)
	}
	warnings, err := joinWarnings(own, placed, summarised)
	if err != nil {
		return job, fmt.Errorf("job %s: %w", job.ID, err)
	}
	job.Warnings = warnings
	job.CreatedAt, job.StartedAt, job.FinishedAt = created.time(), timeOrNil(started), timeOrNil(finished)
	knowledge.NextAttemptAt, summary.NextAttemptAt = timeOrNil(knowledgeNext), timeOrNil(summaryNext)
	job.NextAttemptAt = earlierTime(knowledge.NextAttemptAt, summary.NextAttemptAt)
	job.Error = knowledge.Error
	if job.Error == "" {
		job.Error = summary.Error
	}
	return job, nil
}

// earlierTime returns the earlier of two times, either of which may be missing.
func earlierTime(a, b *time.Time) *time.Time {
	if a == nil || b != nil && b.Before(*a) {
		return b
	}
	return a
}
