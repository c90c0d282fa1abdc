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

// Live knows of running jobs what the database does not know yet. It may know
// nothing, or be down: answers are then less fresh, and right all the same.
type Live interface {
	// Overlay puts fresher progress of running tasks into the job.
	Overlay(ctx context.Context, job *document.Job)

	// Watch returns a channel that tells of changes of the job until stop is
	// called. It may be nil, or be closed, when changes cannot be watched.
	Watch(ctx context.Context, job uuid.UUID) (changes <-chan struct{}, stop func())
}

const (
	// maxWait bounds how long a request is held.
	maxWait = 5 * time.Minute

	// lookEvery is how often a waiting request looks at the row, in case
	// nobody told it of a change.
	lookEvery = time.Second
)

type jobsInput struct {
	Paging
	State      document.JobState `query:"state" enum:"queued,running,waiting,succeeded,failed,cancelled" doc:"Only those in this state."`
	Collection string            `query:"collection" doc:"Only those of this collection."`
	DocumentID uuid.UUID         `query:"document_id" format:"uuid" doc:"Only those of this document."`
}

type jobInput struct {
	ID   uuid.UUID `path:"id" format:"uuid" doc:"The job's id."`
	Wait string    `query:"wait" example:"30s" doc:"Answer when the job has ended, or after this long; at most 5m."`
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
	if !job.State.Ended() {
		s.Live.Overlay(ctx, &job)
	}
	return job, nil
}

// awaitEnd looks at the row whenever it may have changed. Somebody else ends
// the job, so what wakes it is only a hint.
func (s *server) awaitEnd(ctx context.Context, id uuid.UUID, wait time.Duration) (document.Job, error) {
	over := time.NewTimer(wait)
	defer over.Stop()
	look := time.NewTicker(lookEvery)
	defer look.Stop()
	changes, stop := s.Live.Watch(ctx, id)
	defer stop()
	for {
		// After the watch began, so that no change falls between.
		job, err := s.Jobs.Job(ctx, id)
		if err != nil || job.State.Ended() {
			return job, err
		}
		select {
		case _, ok := <-changes:
			if !ok {
				changes = nil
			}
		case <-look.C:
		case <-over.C:
			return job, nil
		case <-s.Stopping:
			return job, nil
		case <-ctx.Done():
			return job, ctx.Err()
		}
	}
}
