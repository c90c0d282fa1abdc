package postgres

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/seed-7a112592/gristmill/internal/fault"
	"github.com/seed-7a112592/gristmill/pkg/document"
)

// Job returns a job.
func (s *Store) Job(ctx context.Context, id uuid.UUID) (job document.Job, err error) {
	defer wrapError(&err, "job %s", id)
	err = s.inTenant(ctx, func(tx pgx.Tx) error {
		job, err = readJob(ctx, tx, id)
		return err
	})
	return job, err
}

func readJob(ctx context.Context, tx pgx.Tx, id uuid.UUID) (document.Job, error) {
	job, err := scanJob(tx.QueryRow(ctx, selectJobs+`
		WHERE j.id = $1`, id))
	if isNoRows(err) {
		err = errNoJob(id)
	}
	return job, err
}

func errNoJob(id uuid.UUID) error {
	return fault.New(fault.NotFound, "there is no job %s", id)
}

// Jobs lists jobs, newest first.
func (s *Store) Jobs(ctx context.Context, filter document.JobFilter, page document.Page) (list document.List[document.Job], err error) {
	defer wrapError(&err, "list jobs")
	before, err := decodeCursor(page, cursorJobs, uuid.Max)
	if err != nil {
		return list, err
	}
	err = s.inTenant(ctx, func(tx pgx.Tx) error {
		of, args, err := listScope(ctx, tx, filter.Collection, before)
		if err != nil {
			return err
		}
		states := listedStates(document.JobStates, filter.State)
		query := newestFirstQuery("jobs", of, states, page.Limit+1)
		if filter.DocumentID != uuid.Nil {
			args = append(args, filter.DocumentID, states)
			query = fmt.Sprintf(jobsOfDocument, of, len(args)-1, len(args), page.Limit+1)
		}
		jobs, err := queryAll(ctx, tx, scanJobRow, query+selectJobs+`
			JOIN page ON page.id = j.id
			ORDER BY j.id DESC`, args...)
		list = cutPage(jobs, page.Limit, func(last document.Job) string { return encodeCursor(cursorJobs, last.ID) })
		return err
	})
	return list, err
}

// jobsOfDocument is newestFirst for the jobs of one document. They are as many as its
// versions that are not swept yet, and all are looked at.
const jobsOfDocument = `
	WITH of_document AS MATERIALIZED (
		SELECT id, state, collection FROM jobs WHERE document = $%[2]d
	), page AS MATERIALIZED (
		SELECT id FROM of_document WHERE %[1]s id < $1 AND state = ANY ($%[3]d) ORDER BY id DESC LIMIT %[4]d
	)`

// selectJobs is followed by a WHERE or a join of jobs, and read by scanJob.
// Behind OFFSET 0 the version and the tasks of one job are looked up after another:
// of tables that are still small, PostgreSQL else plans to go through those of all jobs.
const selectJobs = `
	SELECT j.id, j.document, c.name, j.version, j.state, v.warnings, ` + passageWarnings + `, v.summary_warnings,
	       j.created_at, j.started_at, j.finished_at,
	       k.state, k.attempt, k.error, k.next_attempt_at, k.progress,
	       s.state, s.attempt, s.error, s.next_attempt_at, s.progress
	FROM jobs j
	JOIN documents d ON d.id = j.document
	JOIN collections c ON c.id = d.collection
	JOIN LATERAL (SELECT * FROM versions v WHERE v.document = j.document AND v.version = j.version OFFSET 0) v ON true
	JOIN LATERAL (SELECT * FROM tasks t WHERE t.job = j.id AND t.kind = 'knowledge' OFFSET 0) k ON true
	JOIN LATERAL (SELECT * FROM tasks t WHERE t.job = j.id AND t.kind = 'summary' OFFSET 0) s ON true`

// scanJob scans a row of selectJobs. The job's error is that of the first task
// that has one, its next attempt the next one of any task.
func scanJob(row pgx.Row) (document.Job, error) {
	var job document.Job
	var placed, summary document.Warnings
	k, s := &job.Tasks.Knowledge, &job.Tasks.Summary
	if err := row.Scan(&job.ID, &job.DocumentID, &job.Collection, &job.Version, &job.State, &job.Warnings, &placed, &summary, &job.CreatedAt, &job.StartedAt, &job.FinishedAt,
		&k.State, &k.Attempt, &k.Error, &k.NextAttemptAt, &k.KnowledgeProgress,
		&s.State, &s.Attempt, &s.Error, &s.NextAttemptAt, &s.SummaryProgress); err != nil {
		return document.Job{}, err
	}
	job.Warnings = job.Warnings.Join(placed).Join(summary)
	job.CreatedAt = job.CreatedAt.UTC()
	for _, t := range []*time.Time{job.StartedAt, job.FinishedAt, k.NextAttemptAt, s.NextAttemptAt} {
		if t != nil {
			*t = t.UTC()
		}
	}
	job.NextAttemptAt = earlierTime(k.NextAttemptAt, s.NextAttemptAt)
	job.Error = k.Error
	if job.Error == "" {
		job.Error = s.Error
	}
	return job, nil
}

func scanJobRow(row pgx.CollectableRow) (document.Job, error) { return scanJob(row) }

// earlierTime returns the earlier of two times, either of which may be missing.
func earlierTime(a, b *time.Time) *time.Time {
	if a == nil || b != nil && b.Before(*a) {
		return b
	}
	return a
}
