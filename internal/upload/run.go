package upload

import (
	"context"
	"errors"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/seed-7a112592/gristmill/internal/required"
	"github.com/seed-7a112592/gristmill/pkg/client"
	"github.com/seed-7a112592/gristmill/pkg/document"
)

// ErrAwaitTimeout is the error of Run if Config.AwaitTimeout ends before all jobs have ended.
var ErrAwaitTimeout = errors.New("timeout: some jobs have not ended; 'gristmill jobs' shows them")

const (
	parallelUploads = 4
	// Jobs end roughly in the order of their uploads, so a few goroutines can wait for all of them.
	parallelAwaits = 8
	awaitInterval  = time.Second
)

// Config says how to upload.
type Config struct {
	Client       *client.Client
	Collection   string        `zero:"ok"` // empty for the server's default
	AwaitJobs    bool          `zero:"ok"` // wait for the end of the jobs
	AwaitTimeout time.Duration `zero:"ok"` // maximum wait after the last upload; 0 for no limit
	Report       func(Event)   `zero:"ok"` // receives events, one call at a time; may be nil
}

// Event is a change of the stage of a file.
type Event struct {
	File  File
	Stage Stage
	Job   document.Job // zero if the upload failed
	Err   error        // of a failure
}

// Stage is the stage of a file.
type Stage string

const (
	StageUploaded  Stage = "uploaded"  // accepted; Job is queued or running
	StageRunning   Stage = "progress"  // Job is running
	StageSucceeded Stage = "succeeded" // Job has succeeded
	StageFailed    Stage = "failed"    // Err says why
)

// Run uploads the files and, if config says so, waits for their jobs. A file that fails is counted
// and does not stop the others. The error is the cause of ctx or ErrAwaitTimeout; the result then
// counts what was done before.
func Run(ctx context.Context, files []File, config Config) (Result, error) {
	if err := required.Fields(config); err != nil {
		return Result{}, err
	}
	start := time.Now()
	r := &uploader{Config: config, result: Result{Warnings: []Warning{}, Failures: []Failure{}}}
	jobs := make(chan acceptedFile, len(files)) // has room for all, so that uploads do not wait for jobs

	awaitCtx, stopAwaiting := context.WithCancelCause(ctx)
	defer stopAwaiting(nil)
	var awaits sync.WaitGroup
	if config.AwaitJobs {
		for range parallelAwaits {
			awaits.Go(func() {
				for job := range jobs {
					r.awaitJob(awaitCtx, job)
				}
			})
		}
	}

	var uploads errgroup.Group
	uploads.SetLimit(parallelUploads)
	for _, file := range files {
		uploads.Go(func() error {
			r.upload(ctx, file, jobs)
			return nil
		})
	}
	_ = uploads.Wait() // failures are in the result
	close(jobs)
	if config.AwaitJobs && config.AwaitTimeout > 0 {
		timer := time.AfterFunc(config.AwaitTimeout, func() { stopAwaiting(ErrAwaitTimeout) })
		defer timer.Stop()
	}
	awaits.Wait()

	r.result.Seconds = time.Since(start).Seconds()
	return r.result, context.Cause(awaitCtx)
}

// acceptedFile is a file that the server has accepted.
type acceptedFile struct {
	file File
	document.Accepted
}

// uploader is the state of one call of Run.
type uploader struct {
	Config
	mu     sync.Mutex // guards result and calls of Report
	result Result
}

// upload uploads one file and sends it to jobs if it is accepted.
func (r *uploader) upload(ctx context.Context, file File, jobs chan<- acceptedFile) {
	if ctx.Err() != nil {
		return
	}
	request := document.UploadRequest{Collection: r.Collection, Key: file.Key}
	answer, err := r.Client.UploadFile(ctx, request, file.Path)
	if ctx.Err() != nil {
		return // the upload was stopped; the file has not failed
	}
	if err != nil {
		r.recordEvent(Event{File: file, Stage: StageFailed, Err: err}, func(result *Result) { result.addFailure(file, err) })
		return
	}
	r.recordEvent(Event{File: file, Stage: StageUploaded, Job: answer.Job}, func(result *Result) {
		result.addUpload(answer)
		if !r.AwaitJobs {
			result.addWarnings(file, answer.Job.Warnings)
		}
	})
	jobs <- acceptedFile{file, answer}
}

// awaitJob waits until the job of one file has ended.
func (r *uploader) awaitJob(ctx context.Context, upload acceptedFile) {
	if ctx.Err() != nil {
		return
	}
	job, err := r.Client.AwaitJob(ctx, upload.Job.ID, awaitInterval, func(job document.Job) {
		r.recordEvent(Event{File: upload.file, Stage: StageRunning, Job: job}, func(*Result) {})
	})
	if ctx.Err() != nil {
		return
	}
	if err == nil && job.State != document.JobSucceeded {
		err = JobError(job)
	}
	if err != nil {
		r.recordEvent(Event{File: upload.file, Stage: StageFailed, Job: job, Err: err}, func(result *Result) {
			result.addWarnings(upload.file, job.Warnings)
			result.addFailure(upload.file, err)
		})
		return
	}
	r.recordEvent(Event{File: upload.file, Stage: StageSucceeded, Job: job}, func(result *Result) {
		result.addWarnings(upload.file, job.Warnings)
		result.addJob(job, upload.Unchanged)
	})
}

// recordEvent counts an event and reports it.
func (r *uploader) recordEvent(event Event, count func(*Result)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	count(&r.result)
	if r.Report != nil {
		r.Report(event)
	}
}

// JobError returns the reason why a job ended without success.
func JobError(job document.Job) error {
	for _, reason := range []string{job.Error, job.Tasks.Knowledge.Error, job.Tasks.Summary.Error} {
		if reason != "" {
			return errors.New(reason)
		}
	}
	return errors.New("job " + job.ID.String() + " was " + string(job.State))
}
