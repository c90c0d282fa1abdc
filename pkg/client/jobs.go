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
	set(query, "state", string(filter.State))
	set(query, "collection", filter.Collection)
	if filter.Document != uuid.Nil {
		query.Set("document_id", filter.Document.String())
	}
	var list document.List[document.Job]
	return list, c.get(ctx, "/v1/jobs", query, &list)
}

// AllJobs returns all jobs that match, page by page. It ends after an error.
func (c *Client) AllJobs(ctx context.Context, filter document.JobFilter) iter.Seq2[document.Job, error] {
	return all(func(page document.Page) (document.List[document.Job], error) { return c.Jobs(ctx, filter, page) })
}

// Job returns a job: at once, or when it has ended or the wait is over.
func (c *Client) Job(ctx context.Context, id uuid.UUID, wait time.Duration) (document.Job, error) {
	var job document.Job
	return job, c.get(ctx, "/v1/jobs/"+id.String(), waitQuery(wait), &job)
}

// Cancel ends a job that has not ended, and returns it. A Problem of status 409
// says that it has succeeded or failed already.
func (c *Client) Cancel(ctx context.Context, id uuid.UUID) (document.Job, error) {
	return c.steer(ctx, id, "cancel")
}

// Retry puts a job that failed or was cancelled back on the path, and returns
// it. A Problem of status 409 says that it has succeeded, or that its document
// has a newer version.
func (c *Client) Retry(ctx context.Context, id uuid.UUID) (document.Job, error) {
	return c.steer(ctx, id, "retry")
}

// steer may be sent twice: a job that is there already is left as it is.
func (c *Client) steer(ctx context.Context, id uuid.UUID, what string) (document.Job, error) {
	var job document.Job
	return job, c.receive(ctx, call{method: http.MethodPost, path: "/v1/jobs/" + id.String() + "/" + what}, &job)
}

// Await returns the job once it has ended. Until then it hands it to report,
// which may be nil, at least so often.
func (c *Client) Await(ctx context.Context, id uuid.UUID, every time.Duration, report func(document.Job)) (document.Job, error) {
	return await(every, report,
		func(wait time.Duration) (document.Job, error) { return c.Job(ctx, id, wait) },
		func(job document.Job) bool { return job.State.Ended() })
}
