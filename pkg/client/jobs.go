package client

import (
	"context"
	"iter"
	"net/http"
	"time"

	"github.com/google/uuid"

	"github.com/seed-7a112592/gristmill/pkg/document"
)

// Jobs returns a page of the jobs that match, newest first.
func (c *Client) Jobs(ctx context.Context, filter document.JobFilter, page document.Page) (document.List[document.Job], error) {
	query := pageQuery(page)
	setNonEmpty(query, "state", string(filter.State))
	setNonEmpty(query, "collection", filter.Collection)
	if filter.DocumentID != uuid.Nil {
		query.Set("document_id", filter.DocumentID.String())
	}
	var list document.List[document.Job]
	return list, c.getJSON(ctx, "/v1/jobs", query, &list)
}

// AllJobs yields all jobs that match, newest first. It requests them page by page. After an error
// it ends.
func (c *Client) AllJobs(ctx context.Context, filter document.JobFilter) iter.Seq2[document.Job, error] {
	return allPages(func(page document.Page) (document.List[document.Job], error) { return c.Jobs(ctx, filter, page) })
}

// Job returns a job. With wait > 0, the server answers when the job has ended or the wait is over.
func (c *Client) Job(ctx context.Context, id uuid.UUID, wait time.Duration) (document.Job, error) {
	var job document.Job
	return job, c.getJSON(ctx, "/v1/jobs/"+id.String(), waitQuery(wait), &job)
}

// CancelJob cancels a job and returns it. A Problem of status 409 says that it has already
// succeeded or failed.
func (c *Client) CancelJob(ctx context.Context, id uuid.UUID) (document.Job, error) {
	return c.postJobAction(ctx, id, "cancel")
}

// RetryJob queues a failed or cancelled job again and returns it. A Problem of status 409 says that
// the job has succeeded, or that its document has a newer version.
func (c *Client) RetryJob(ctx context.Context, id uuid.UUID) (document.Job, error) {
	return c.postJobAction(ctx, id, "retry")
}

// postJobAction sends an action. It may be sent twice: a job that is already in the wanted state
// does not change.
func (c *Client) postJobAction(ctx context.Context, id uuid.UUID, what string) (document.Job, error) {
	var job document.Job
	return job, c.sendJSON(ctx, call{method: http.MethodPost, path: "/v1/jobs/" + id.String() + "/" + what}, &job)
}

// AwaitJob waits until a job has ended and returns it. Until then it calls report with the job at
// least once in each interval of length every, which must be positive. report may be nil.
func (c *Client) AwaitJob(ctx context.Context, id uuid.UUID, every time.Duration, report func(document.Job)) (document.Job, error) {
	return awaitEnd(every, report,
		func(wait time.Duration) (document.Job, error) { return c.Job(ctx, id, wait) },
		func(job document.Job) bool { return job.State.Ended() })
}
