package httpapi

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"
	"github.com/google/uuid"

	"github.com/seed-7a112592/gristmill/pkg/document"
)

// Jobs reads the tenant's jobs: the truth about them. What is not there is
// fault.NotFound, a cursor that is not ours fault.BadRequest.
type Jobs interface {
	Job(ctx context.Context, id uuid.UUID) (document.Job, error)
	Jobs(ctx context.Context, filter document.JobFilter, page document.Page) (document.List[document.Job], error)
}

// JobController ends jobs early and begins them again. Both return the job as it
// then is, may be called twice, and refuse with fault.NotFound what is not
// there and with fault.Conflict what it is too late for.
type JobController interface {
	// Cancel ends a job that has not ended. One that is cancelled already is
	// returned as it is.
	Cancel(ctx context.Context, id uuid.UUID) (document.Job, error)

	// Retry puts a job that has failed or was cancelled back on the path,
	// where it goes on from what it had done. What waits of one that has not
	// ended is tried now.
	Retry(ctx context.Context, id uuid.UUID) (document.Job, error)

	// RequestSummary has a document summarised that is not, and returns its job.
	RequestSummary(ctx context.Context, document uuid.UUID) (document.Job, error)
}

type jobsInput struct {
	PageParams
	State      document.JobState `query:"state" enum:"queued,running,waiting,succeeded,failed,cancelled" doc:"Only those in this state; error says why a failed one was given up."`
	Collection string            `query:"collection" doc:"Only those of this collection."`
	DocumentID uuid.UUID         `query:"document_id" format:"uuid" doc:"Only those of this document."`
}

// JobPath names a job.
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
		Summary:     "Get a job, now or when it has ended",
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
		Description: "Its document stays as readers see it. 409 when the job has succeeded or failed already.",
	}, func(ctx context.Context, in *JobPath) (*output[document.Job], error) {
		return itemOutput(jobs.runAction(ctx, in.ID, s.JobController.Cancel))
	})
	register(s, huma.Operation{
		OperationID: "retry-job",
		Method:      http.MethodPost,
		Path:        "/v1/jobs/{id}/retry",
		Summary:     "Put a job that failed or was cancelled back on the path, or have one that waits tried now",
		Description: "It goes on from what it had done. Models that are held are tried again, too. 409 when the job has succeeded, or its document has a newer version.",
	}, func(ctx context.Context, in *JobPath) (*output[document.Job], error) {
		return itemOutput(jobs.runAction(ctx, in.ID, s.JobController.Retry))
	})
	s.registerRaw(jobs.describeEvents("/v1/jobs", "Follow a job to its end as server-sent events"), jobs.serveEvents)
}

// withProgress is a job as clients see it: while it moves, with the progress that
// its row does not have yet.
func (s *server) withProgress(ctx context.Context, job document.Job) document.Job {
	if !job.State.Ended() {
		s.Progress.RefreshProgress(ctx, &job)
	}
	return job
}
