package httpapi

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/google/uuid"

	"github.com/seed-7a112592/gristmill/pkg/document"
	"github.com/seed-7a112592/gristmill/pkg/fault"
	"github.com/seed-7a112592/gristmill/pkg/telemetry"
)

// Jobs reads the tenant's jobs: the truth about them. What is not there is
// fault.NotFound, a cursor that is not ours fault.BadRequest.
type Jobs interface {
	Job(ctx context.Context, id uuid.UUID) (document.Job, error)
	Jobs(ctx context.Context, filter document.JobFilter, page document.Page) (document.List[document.Job], error)
}

// Steerer ends jobs early and begins them again. Both return the job as it
// then is, may be called twice, and refuse with fault.NotFound what is not
// there and with fault.Conflict what it is too late for.
type Steerer interface {
	// Cancel ends a job that has not ended. One that is cancelled already is
	// returned as it is.
	Cancel(ctx context.Context, id uuid.UUID) (document.Job, error)

	// Retry puts a job that has failed or was cancelled back on the path,
	// where it goes on from what it had done. One that has not ended is
	// returned as it is.
	Retry(ctx context.Context, id uuid.UUID) (document.Job, error)
}

// maxWait bounds how long a request is held.
const maxWait = 5 * time.Minute

type jobsInput struct {
	Paging
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
	Wait string `query:"wait" example:"30s" doc:"Answer when the job has ended, or after this long; at most 5m."`
}

// wait returns how long the answer may be held.
func (in *jobInput) wait() (time.Duration, error) {
	if in.Wait == "" {
		return 0, nil
	}
	d, err := time.ParseDuration(in.Wait)
	if err != nil || d < 0 {
		return 0, fault.New(fault.BadRequest, "query.wait: %q is no duration; write 30s or 2m", in.Wait)
	}
	return min(d, maxWait), nil
}

func (s *server) routeJobs() {
	register(s, huma.Operation{
		OperationID: "list-jobs",
		Method:      http.MethodGet,
		Path:        "/v1/jobs",
		Summary:     "List jobs, newest first",
	}, func(ctx context.Context, in *jobsInput) (*output[document.List[document.Job]], error) {
		filter := document.JobFilter{State: in.State, Collection: in.Collection, Document: in.DocumentID}
		return listOutput(s.Jobs.Jobs(ctx, filter, in.page()))
	})
	register(s, huma.Operation{
		OperationID: "get-job",
		Method:      http.MethodGet,
		Path:        "/v1/jobs/{id}",
		Summary:     "Get a job, now or when it has ended",
	}, func(ctx context.Context, in *jobInput) (*output[document.Job], error) {
		wait, err := in.wait()
		if err != nil {
			return nil, err
		}
		return itemOutput(s.job(ctx, in.ID, wait))
	})
	register(s, huma.Operation{
		OperationID: "cancel-job",
		Method:      http.MethodPost,
		Path:        "/v1/jobs/{id}/cancel",
		Summary:     "Cancel a job",
		Description: "Its document stays as readers see it. 409 when the job has succeeded or failed already.",
	}, func(ctx context.Context, in *JobPath) (*output[document.Job], error) {
		return itemOutput(s.steer(ctx, in.ID, s.Steerer.Cancel))
	})
	register(s, huma.Operation{
		OperationID: "retry-job",
		Method:      http.MethodPost,
		Path:        "/v1/jobs/{id}/retry",
		Summary:     "Put a job that failed or was cancelled back on the path",
		Description: "It goes on from what it had done. 409 when the job has succeeded, or its document has a newer version.",
	}, func(ctx context.Context, in *JobPath) (*output[document.Job], error) {
		return itemOutput(s.steer(ctx, in.ID, s.Steerer.Retry))
	})
	s.routeEvents()
}

// job returns the job as it is once it has ended, the wait is over or the
// server stops.
func (s *server) job(ctx context.Context, id uuid.UUID, wait time.Duration) (document.Job, error) {
	ctx = telemetry.With(ctx, jobAttr(id))
	job, err := s.Jobs.Job(ctx, id)
	if err == nil && wait > 0 && !job.State.Ended() {
		job, err = s.awaitEnd(ctx, id, wait)
	}
	if err != nil {
		return document.Job{}, err
	}
	return s.shown(ctx, job), nil
}

// steer does something to a job and returns what it is then.
func (s *server) steer(ctx context.Context, id uuid.UUID, do func(context.Context, uuid.UUID) (document.Job, error)) (document.Job, error) {
	ctx = telemetry.With(ctx, jobAttr(id))
	job, err := do(ctx, id)
	if err != nil {
		return document.Job{}, err
	}
	return s.shown(ctx, job), nil
}

// shown is a job as clients see it: while it moves, with the progress that its
// row does not have yet.
func (s *server) shown(ctx context.Context, job document.Job) document.Job {
	if !job.State.Ended() {
		s.Live.Overlay(ctx, &job)
	}
	return job
}
