package httpapi

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"
	"github.com/google/uuid"

	"github.com/seed-7a112592/gristmill/pkg/document"
)

// Jobs reads the tenant's jobs from the database. Methods return fault.NotFound for a missing job, and
// fault.BadRequest for an invalid cursor.
type Jobs interface {
	Job(ctx context.Context, id uuid.UUID) (document.Job, error)
	Jobs(ctx context.Context, filter document.JobFilter, page document.Page) (document.List[document.Job], error)
}

// JobController cancels and retries jobs. The methods return the changed job, and may be called
// twice. They return fault.NotFound for a missing job or document, and fault.Conflict if the state of
// the job does not allow the change.
type JobController interface {
	// Cancel cancels a job that has not ended. It returns a cancelled job unchanged.
	Cancel(ctx context.Context, id uuid.UUID) (document.Job, error)

	// Retry queues the failed and cancelled tasks of a job again; they continue where they stopped.
	// It makes waiting tasks due immediately.
	Retry(ctx context.Context, id uuid.UUID) (document.Job, error)

	// RequestSummary queues the summary of a document that has none, and returns its job.
	RequestSummary(ctx context.Context, document uuid.UUID) (document.Job, error)
}

type jobsInput struct {
	PageParams
	State      document.JobState `query:"state" enum:"queued,running,waiting,succeeded,failed,cancelled" doc:"Only jobs in this state. The error of a failed job says why it failed."`
	Collection string            `query:"collection" doc:"Only jobs of this collection."`
	DocumentID uuid.UUID         `query:"document_id" format:"uuid" doc:"Only jobs of this document."`
}

// JobPath has the id of a job.
type JobPath struct {
	ID uuid.UUID `path:"id" format:"uuid" doc:"The job's id."`
}

type jobInput struct {
	JobPath
	WaitParams
}

func (s *server) routeJobs() {
	jobs := &trackedResource[document.Job]{
		server:  s,
		name:    "job",
		load:    s.Jobs.Job,
		state:   func(job document.Job) document.JobState { return job.State },
		present: s.withProgress,
	}
	register(s, huma.Operation{
		OperationID: "list-jobs",
		Method:      http.MethodGet,
		Path:        "/v1/jobs",
		Summary:     "List jobs, newest first",
	}, func(ctx context.Context, in *jobsInput) (*output[document.List[document.Job]], error) {
		filter := document.JobFilter{State: in.State, Collection: in.Collection, DocumentID: in.DocumentID}
		return listOutput(s.Jobs.Jobs(ctx, filter, in.page()))
	})
	register(s, huma.Operation{
		OperationID: "get-job",
		Method:      http.MethodGet,
		Path:        "/v1/jobs/{id}",
		Summary:     "Get a job, immediately or when it has ended",
	}, func(ctx context.Context, in *jobInput) (*output[document.Job], error) {
		wait, err := in.parseWait()
		if err != nil {
			return nil, err
		}
		return itemOutput(jobs.get(ctx, in.ID, wait))
	})
	register(s, huma.Operation{
		OperationID: "cancel-job",
		Method:      http.MethodPost,
		Path:        "/v1/jobs/{id}/cancel",
		Summary:     "Cancel a job",
		Description: "The published version of the document does not change. 409 if the job has succeeded or failed.",
	}, func(ctx context.Context, in *JobPath) (*output[document.Job], error) {
		return itemOutput(jobs.runAction(ctx, in.ID, s.JobController.Cancel))
	})
	register(s, huma.Operation{
		OperationID: "retry-job",
		Method:      http.MethodPost,
		Path:        "/v1/jobs/{id}/retry",
		Summary:     "Retry a job that has failed, was cancelled or waits",
		Description: "The job continues where it stopped. A waiting job is tried immediately, and held models are tried again. 409 if the job has succeeded, or its document has a newer version.",
	}, func(ctx context.Context, in *JobPath) (*output[document.Job], error) {
		return itemOutput(jobs.runAction(ctx, in.ID, s.JobController.Retry))
	})
	s.registerRaw(jobs.describeEvents("/v1/jobs", "Follow a job to its end as server-sent events"), jobs.serveEvents)
}

// withProgress returns the job in the form for clients: if it has not ended, with the progress that is
// not in the database yet.
func (s *server) withProgress(ctx context.Context, job document.Job) document.Job {
	if !job.State.Ended() {
		s.Progress.RefreshProgress(ctx, &job)
	}
	return job
}
