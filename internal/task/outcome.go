package task

import (
	"time"

	"github.com/seed-7a112592/gristmill/pkg/document"
)

// Verdict says how a task goes on after its step returned an error.
type Verdict string

const (
	VerdictFail   Verdict = "fail"   // the task fails; users see the error
	VerdictRetry  Verdict = "retry"  // run the task again; uses up an attempt
	VerdictWait   Verdict = "wait"   // a dependency is down or busy; uses up no attempt
	VerdictCancel Verdict = "cancel" // a newer version of the document made the task pointless
)

// Outcome is the outcome of a failed attempt at a task. One function decides it from the error
// (worker.DecideOutcome). A task that succeeds has no Outcome: its step records success in the
// transaction that writes the result.
type Outcome struct {
	Verdict Verdict
	Error   string        // for users
	Delay   time.Duration // until the next attempt, for retry and wait
}

// CombineStates returns the state of a job from the states of its tasks. The job is running
// while any task can still change, and final when all tasks are. A final job is failed if any
// task failed.
func CombineStates(tasks ...document.JobState) document.JobState {
	count := map[document.JobState]int{}
	ended := 0
	for _, s := range tasks {
		count[s]++
		if s.Ended() {
			ended++
		}
	}
	switch {
	case count[document.JobSucceeded] == len(tasks):
		return document.JobSucceeded
	case ended == len(tasks) && count[document.JobFailed] > 0:
		return document.JobFailed
	case ended == len(tasks):
		return document.JobCancelled
	case count[document.JobRunning] > 0:
		return document.JobRunning
	case count[document.JobWaiting] > 0:
		return document.JobWaiting
	case ended > 0:
		return document.JobRunning
	default:
		return document.JobQueued
	}
}
