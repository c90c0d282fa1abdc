package lifecycle

import (
	"testing"
	"time"

	"github.com/seed-7a112592/gristmill/internal/fault"
	"github.com/seed-7a112592/gristmill/pkg/document"
)

// queuedAgain returns a change that requeues or restarts the knowledge task of an ended or waiting
// job.
func queuedAgain(change func(*Task), job document.JobState, of document.DocumentState) func(*Job) {
	return func(j *Job) {
		change(&j.Knowledge)
		j.State, j.Document.State, j.FinishedAt = job, of, time.Time{}
	}
}

func TestRetry(t *testing.T) {
	t.Parallel()
	retry := func(j Job) (Job, error) { return j.Retry(now) }
	checkMatrix(t, retry, `
		qq qr qq qs qf qc
		rq rr rq rs rf rc
		qq qr qq qs qf qc
		sq sr sq -- sq sq
		fq fr fq qs qq qq
		cq cr cq qs qq qq`)
	runJobTests(t, retry, map[string]jobTest{
		"failed":    {jobIn("failed", "succeeded"), queuedAgain(restarted, "running", "pending"), ""},
		"cancelled": {jobIn("cancelled", "succeeded", published(1)), queuedAgain(restarted, "running", "ready"), ""},
		"both": {jobIn("failed", "cancelled"), func(j *Job) {
			queuedAgain(restarted, "queued", "pending")(j)
			restarted(&j.Summary)
		}, ""},
		"waiting": {jobIn("waiting", "queued"), queuedAgain(requeued, "queued", "pending"), ""},
		"both wait": {jobIn("waiting", "waiting"), func(j *Job) {
			queuedAgain(requeued, "queued", "pending")(j)
			requeued(&j.Summary)
		}, ""},
		"running, the other has failed": {jobIn("failed", "running"), nil, ""},
		"succeeded":                     {jobIn("succeeded", "succeeded"), nil, fault.Conflict},
		"superseded":                    {jobIn("failed", "failed", newest(3)), nil, fault.Conflict},
		"superseded, waiting":           {jobIn("waiting", "failed", newest(3)), nil, fault.Conflict},
		"deleted":                       {jobIn("failed", "failed", deleted), nil, fault.NotFound},
		"deleted and succeeded":         {jobIn("succeeded", "succeeded", deleted), nil, fault.NotFound},
		"failed after it was published": {jobIn("failed", "succeeded", published(2)), queuedAgain(restarted, "running", "ready"), ""},
	})
}

func TestRestart(t *testing.T) {
	t.Parallel()
	restart := func(j Job) (Job, error) { return j.Restart(now), nil }
	checkMatrix(t, restart, `
		qq qq qq qs qq qq
		qq qq qq qs qq qq
		qq qq qq qs qq qq
		sq sq sq ss sq sq
		qq qq qq qs qq qq
		qq qq qq qs qq qq`)
	runJobTests(t, restart, map[string]jobTest{
		"running":   {jobIn("running", "succeeded"), queuedAgain(restarted, "running", "pending"), ""},
		"waiting":   {jobIn("waiting", "succeeded"), queuedAgain(restarted, "running", "pending"), ""},
		"failed":    {jobIn("failed", "succeeded"), queuedAgain(restarted, "running", "pending"), ""},
		"cancelled": {jobIn("cancelled", "succeeded"), queuedAgain(restarted, "running", "pending"), ""},
		"both": {jobIn("running", "failed"), func(j *Job) {
			queuedAgain(restarted, "queued", "pending")(j)
			restarted(&j.Summary)
		}, ""},
	})
}

func TestRequestSummary(t *testing.T) {
	t.Parallel()
	request := func(mode document.SummaryMode, hasSummary bool) func(Job) (Job, error) {
		return func(j Job) (Job, error) { return j.RequestSummary(mode, hasSummary, now) }
	}
	again := func(job document.JobState) func(*Job) {
		return func(j *Job) {
			restarted(&j.Summary)
			j.Summary.SummaryRequested = true
			j.State, j.FinishedAt = job, time.Time{}
		}
	}
	requested := func(j *Job) { j.Summary.SummaryRequested = true }
	runJobTests(t, request(document.SummariesOnDemand, false), map[string]jobTest{
		"on demand, queued":               {jobIn("succeeded", "queued"), again("running"), ""},
		"on demand, running":              {jobIn("queued", "running"), again("queued"), ""},
		"on demand, waiting":              {jobIn("succeeded", "waiting"), again("running"), ""},
		"on demand, succeeded without":    {jobIn("succeeded", "succeeded"), again("running"), ""},
		"on demand, failed":               {jobIn("succeeded", "failed"), again("running"), ""},
		"on demand, cancelled":            {jobIn("succeeded", "cancelled"), again("running"), ""},
		"on demand, requested, queued":    {jobIn("succeeded", "queued", requested), nil, ""},
		"on demand, requested, running":   {jobIn("succeeded", "running", requested), nil, ""},
		"on demand, requested, waiting":   {jobIn("succeeded", "waiting", requested), nil, ""},
		"on demand, requested, succeeded": {jobIn("succeeded", "succeeded", requested), again("running"), ""},
		"on demand, requested, failed":    {jobIn("succeeded", "failed", requested), again("running"), ""},
		"on demand, requested, cancelled": {jobIn("succeeded", "cancelled", requested), again("running"), ""},
		"on demand, deleted":              {jobIn("succeeded", "succeeded", deleted), nil, fault.NotFound},
	})
	checkMatrix(t, request(document.SummariesByModel, false), `
		qq qr qw qq qq qq
		rq rr rw rq rq rq
		wq wr ww wq wq wq
		sq sr sw sq sq sq
		fq fr fw fq fq fq
		cq cr cw cq cq cq`)
	runJobTests(t, request(document.SummariesByModel, false), map[string]jobTest{
		"by model, requested, queued": {jobIn("succeeded", "queued", requested), nil, ""},
		"by model, failed":            {jobIn("succeeded", "failed"), again("running"), ""},
	})
	for _, state := range document.JobStates {
		runJobTests(t, request(document.SummariesOff, false), map[string]jobTest{"off, " + string(state): {jobIn("succeeded", state), nil, fault.Conflict}})
		runJobTests(t, request(document.SummariesOnDemand, true), map[string]jobTest{"has one, " + string(state): {jobIn("succeeded", state), nil, ""}})
	}
	runJobTests(t, request(document.SummariesOff, true), map[string]jobTest{
		"off, has one":     {jobIn("succeeded", "succeeded"), nil, fault.Conflict},
		"off and deleted":  {jobIn("succeeded", "succeeded", deleted), nil, fault.NotFound},
		"deleted, running": {jobIn("running", "running", deleted), nil, fault.NotFound},
	})
}
