package upload

import (
	"context"
	"errors"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/seed-7a112592/gristmill/pkg/client"
	"github.com/seed-7a112592/gristmill/pkg/document"
)

// ErrAwaitTimeout says that Config.Wait was over before all jobs had ended.
var ErrAwaitTimeout = errors.New("the wait is over and some jobs have not ended")

const (
	parallelUploads = 4
	// Jobs are done roughly in the order of their uploads, so that a few
	// followers see them all end.
	parallelAwaits = 8
	awaitInterval  = time.Second
)

// Config says how to upload.
type Config struct {
	Client       *client.Client
	Collection   string        // empty for the server's default
	AwaitJobs    bool          // wait for the jobs
	AwaitTimeout time.Duration // how long to follow after the last upload; 0 for as long as it takes
	Report       func(Event)   // may be nil; never called twice at once
}

// Event is something that happened to a file.
type Event struct {
	File  File
	Stage Stage
	Job   document.Job // not of a failed upload
	Err   error        // of a failure
}

// Stage is how far a file has come.
type Stage string

const (
	StageUploaded  Stage = "uploaded"  // accepted; Job has begun or will
	StageRunning   Stage = "progress"  // Job runs
	StageSucceeded Stage = "succeeded" // Job has succeeded
	StageFailed    Stage = "failed"    // Err says why
)

// Run uploads the files and, if told to, follows their jobs. Files that fail
// are counted and do not keep others back; the error is ctx's or ErrWaitOver,
// and the tally is of what was done until then.
func Run(ctx context.Context, files []File, config Config) (Result, error) {
	start := time.Now()
	r := &uploader{Config: config, result: Result{Warnings: []Warning{}, Failures: []Failure{}}}
	jobs := make(chan acceptedFile, len(files)) // so that uploads never wait for followers

	followCtx, stopFollowing := context.WithCancelCause(ctx)
	defer stopFollowing(nil)
	var followers sync.WaitGroup
	if config.AwaitJobs {
		for range parallelAwaits {
			followers.Go(func() {
				for job := range jobs {
					r.awaitJob(followCtx, job)
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
	_ = uploads.Wait() // failures are in the tally
	close(jobs)
	if config.AwaitJobs && config.AwaitTimeout > 0 {
		timer := time.AfterFunc(config.AwaitTimeout, func() { stopFollowing(ErrAwaitTimeout) })
		defer timer.Stop()
	}
	followers.Wait()

	r.result.Seconds = time.Since(start).Seconds()
	return r.result, context.Cause(followCtx)
}

// acceptedFile is a file whose upload was.
type acceptedFile struct {
	file File
	document.Accepted
}

// uploader is one call of Run.
type uploader struct {
	Config
	mu     sync.Mutex // guards tally, and Report from being called twice at once
	result Result
}

// upload uploads one file and passes its job on.
func (r *uploader) upload(ctx context.Context, file File, jobs chan<- acceptedFile) {
	if ctx.Err() != nil {
		return
	}
	request := document.UploadRequest{Collection: r.Collection, Key: file.Key}
	answer, err := r.Client.UploadFile(ctx, request, file.Path)
	if ctx.Err() != nil {
		return // stopped, which is no failure of the file
	}
	if err != nil {
		r.recordEvent(Event{File: file, Stage: StageFailed, Err: err}, func(t *Result) { t.addFailure(file, err) })
		return
	}
	r.recordEvent(Event{File: file, Stage: StageUploaded, Job: answer.Job}, func(t *Result) {
		t.addUpload(answer)
		if !r.AwaitJobs {
			t.addWarnings(file, answer.Job.Warnings)
		}
	})
	jobs <- acceptedFile{file, answer}
}

// awaitJob waits for the job of one file.
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
		r.recordEvent(Event{File: upload.file, Stage: StageFailed, Job: job, Err: err}, func(t *Result) {
			t.addWarnings(upload.file, job.Warnings)
			t.addFailure(upload.file, err)
		})
		return
	}
	r.recordEvent(Event{File: upload.file, Stage: StageSucceeded, Job: job}, func(t *Result) {
		t.addWarnings(upload.file, job.Warnings)
		t.addJob(job, upload.Unchanged)
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

// JobError says why a job that has ended did not succeed.
func JobError(job document.Job) error {
	for _, reason := range []string{job.Error, job.Tasks.Knowledge.Error, job.Tasks.Summary.Error} {
		if reason != "" {
			return errors.New(reason)
		}
	}
	return errors.New("job " + job.ID.String() + " was " + string(job.State))
}
