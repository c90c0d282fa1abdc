package document_test

import (
	"testing"

	"github.com/seed-7a112592/gristmill/pkg/document"
)

func TestCombineStates(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ knowledge, summary, want document.JobState }{
		{document.Queued, document.Queued, document.Queued},
		{document.Running, document.Queued, document.Running},
		{document.Succeeded, document.Queued, document.Running},
		{document.Succeeded, document.Waiting, document.Waiting},
		{document.Running, document.Waiting, document.Running},
		{document.Queued, document.Waiting, document.Waiting},
		{document.Succeeded, document.Succeeded, document.Succeeded},
		{document.JobFailed, document.Running, document.Running},
		{document.JobFailed, document.Succeeded, document.JobFailed},
		{document.Cancelled, document.Cancelled, document.Cancelled},
		{document.Cancelled, document.Succeeded, document.Cancelled},
		{document.JobFailed, document.Cancelled, document.JobFailed},
	} {
		if got := document.CombineStates(test.knowledge, test.summary); got != test.want {
			t.Errorf("CombineStates(%s, %s) = %s, want %s", test.knowledge, test.summary, got, test.want)
		}
	}
}
