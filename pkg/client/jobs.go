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

// AllJobs returns all jobs that match, page by page. It ends after an error.
func (c *Client) AllJobs(ctx context.Context, filter document.JobFilter) iter.Seq2[document.Job, error] {
	return allPages(func(page document.Page) (document.List[document.Job], error) { return c.Jobs(ctx, filter, page) })
}

// Job returns a job: at once, or when it has ended or the wait is over.
func (c *Client) Job(ctx context.Context, id uuid.UUID, wait time.Duration) (document.Job, error) {
	var job document.Job
	return job, c.getJSON(ctx, "/v1/jobs/"+id.String(), waitQuery(wait), &job)
}

// CancelJob ends a job that has not ended, and returns it. A Problem of status 409
// says that it has succeeded or failed already.
func (c *Client) CancelJob(ctx context.Context, id uuid.UUID) (document.Job, error) {
	return c.postJobAction(ctx, id, "cancel")
}

// RetryJob puts a job that failed or was cancelled back on the path, and returns
// it. A Problem of status 409 says that it has succeeded, or that its document
// has a newer version.
func (c *Client) RetryJob(ctx context.Context, id uuid.UUID) (document.Job, error) {
	return c.postJobAction(ctx, id, "retry")
}

// postJobAction may be sent twice: a job that is there already is left as it is.
func (c *Client) postJobAction(ctx context.Context, id uuid.UUID, what string) (document.Job, error) {
	var job document.Job
	return job, c.sendJSON(ctx, call{method: http.MethodPost, path: "/v1/jobs/" + id.String() + "/" + what}, &job)
}

// AwaitJob returns the job once it has ended. Until then it hands it to report,
// which may be nil, at least so often.
func (c *Client) AwaitJob(ctx context.Context, id uuid.UUID, every time.Duration, report func(document.Job)) (document.Job, error) {
	return awaitEnd(every, report,
		func(wait time.Duration) (document.Job, error) { return c.Job(ctx, id, wait) },
		func(job document.Job) bool { return job.State.Ended() })
}
