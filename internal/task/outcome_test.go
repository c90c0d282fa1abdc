package task_test

import (
	"testing"

	"github.com/seed-7a112592/gristmill/internal/task"
	"github.com/seed-7a112592/gristmill/pkg/document"
)

func TestCombineStates(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ knowledge, summary, want document.JobState }{
		{document.JobQueued, document.JobQueued, document.JobQueued},
		{document.JobRunning, document.JobQueued, document.JobRunning},
		{document.JobSucceeded, document.JobQueued, document.JobRunning},
		{document.JobSucceeded, document.JobWaiting, document.JobWaiting},
		{document.JobRunning, document.JobWaiting, document.JobRunning},
		{document.JobQueued, document.JobWaiting, document.JobWaiting},
		{document.JobSucceeded, document.JobSucceeded, document.JobSucceeded},
		{document.JobFailed, document.JobRunning, document.JobRunning},
		{document.JobFailed, document.JobSucceeded, document.JobFailed},
		{document.JobCancelled, document.JobCancelled, document.JobCancelled},
		{document.JobCancelled, document.JobSucceeded, document.JobCancelled},
		{document.JobFailed, document.JobCancelled, document.JobFailed},
	} {
		if got := task.CombineStates(test.knowledge, test.summary); got != test.want {
			t.Errorf("CombineStates(%s, %s) = %s, want %s", test.knowledge, test.summary, got, test.want)
		}
	}
}
