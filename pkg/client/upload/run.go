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

// ErrWaitOver says that Config.Wait was over before all jobs had ended.
var ErrWaitOver = errors.New("the wait is over and some jobs have not ended")

const (
	parallelUploads = 4
	// Jobs are done roughly in the order of their uploads, so that a few
	// followers see them all end.
	parallelFollows = 8
	followEvery     = time.Second
)

// Config says how to upload.
type Config struct {
	Client     *client.Client
	Collection string        // empty for the server's default
	Follow     bool          // wait for the jobs
	Wait       time.Duration // how long to follow after the last upload; 0 for as long as it takes
	Report     func(Event)   // may be nil; never called twice at once
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
	Uploaded  Stage = "uploaded"  // accepted; Job has begun or will
	Progress  Stage = "progress"  // Job runs
	Succeeded Stage = "succeeded" // Job has succeeded
	Failed    Stage = "failed"    // Err says why
)

// Run uploads the files and, if told to, follows their jobs. Files that fail
// are counted and do not keep others back; the error is ctx's or ErrWaitOver,
// and the tally is of what was done until then.
func Run(ctx context.Context, files []File, config Config) (Tally, error) {
	start := time.Now()
	r := &run{Config: config, tally: Tally{Warnings: []Warning{}, Failures: []Failure{}}}
	jobs := make(chan accepted, len(files)) // so that uploads never wait for followers

	followCtx, stopFollowing := context.WithCancelCause(ctx)
	defer stopFollowing(nil)
	var followers sync.WaitGroup
	if config.Follow {
		for range parallelFollows {
			followers.Go(func() {
				for job := range jobs {
					r.follow(followCtx, job)
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
	if config.Follow && config.Wait > 0 {
		timer := time.AfterFunc(config.Wait, func() { stopFollowing(ErrWaitOver) })
		defer timer.Stop()
	}
	followers.Wait()

	r.tally.Seconds = time.Since(start).Seconds()
	return r.tally, context.Cause(followCtx)
}

// accepted is a file whose upload was.
type accepted struct {
	file File
	document.Accepted
}

// run is one call of Run.
type run struct {
	Config
	mu    sync.Mutex // guards tally, and Report from being called twice at once
	tally Tally
}

// upload uploads one file and passes its job on.
func (r *run) upload(ctx context.Context, file File, jobs chan<- accepted) {
	if ctx.Err() != nil {
		return
	}
	request := document.UploadRequest{Collection: r.Collection, Key: file.Key}
	answer, err := r.Client.UploadFile(ctx, request, file.Path)
	if ctx.Err() != nil {
		return // stopped, which is no failure of the file
	}
	if err != nil {
		r.settle(Event{File: file, Stage: Failed, Err: err}, func(t *Tally) { t.addFailure(file, err) })
		return
	}
	r.settle(Event{File: file, Stage: Uploaded, Job: answer.Job}, func(t *Tally) {
		t.addUpload(answer)
		if !r.Follow {
			t.addWarnings(file, answer.Job.Warnings)
		}
	})
	jobs <- accepted{file, answer}
}

// follow waits for the job of one file.
func (r *run) follow(ctx context.Context, upload accepted) {
	if ctx.Err() != nil {
		return
	}
	job, err := r.Client.Await(ctx, upload.Job.ID, followEvery, func(job document.Job) {
		r.settle(Event{File: upload.file, Stage: Progress, Job: job}, func(*Tally) {})
	})
	if ctx.Err() != nil {
		return
	}
	if err == nil && job.State != document.Succeeded {
		err = JobError(job)
	}
	if err != nil {
		r.settle(Event{File: upload.file, Stage: Failed, Job: job, Err: err}, func(t *Tally) {
			t.addWarnings(upload.file, job.Warnings)
			t.addFailure(upload.file, err)
		})
		return
	}
	r.settle(Event{File: upload.file, Stage: Succeeded, Job: job}, func(t *Tally) {
		t.addWarnings(upload.file, job.Warnings)
		t.addJob(job, upload.Unchanged)
	})
}

// settle counts an event and reports it.
func (r *run) settle(event Event, count func(*Tally)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	count(&r.tally)
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
