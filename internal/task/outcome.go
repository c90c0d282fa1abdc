package task

import (
	"time"

	"github.com/seed-7a112592/gristmill/pkg/document"
)

// Verdict is what becomes of a task whose step returned an error.
type Verdict string

const (
	VerdictFail   Verdict = "fail"   // give up; the error is shown
	VerdictRetry  Verdict = "retry"  // try again; uses up an attempt
	VerdictWait   Verdict = "wait"   // a dependency is down or busy; uses up none
	VerdictCancel Verdict = "cancel" // a newer version made it pointless
)

// Outcome is what became of a task, decided in one place from its error. A
// task that is done has none: its step wrote its own end together with its
// result.
type Outcome struct {
	Verdict Verdict
	Error   string        // for people
	Delay   time.Duration // until the next attempt, for retry and wait
}

// CombineStates returns the state of a job from those of its tasks: running
// while any part still moves, final once all parts are, and failed if one of
// them is.
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
