package e2e_test

import (
	"testing"

	"github.com/seed-7a112592/gristmill/internal/test/audit"
	"github.com/seed-7a112592/gristmill/internal/test/corpus"
	"github.com/seed-7a112592/gristmill/pkg/client"
	"github.com/seed-7a112592/gristmill/pkg/document"
)

// checkCorpus checks that every job succeeded, and that every file below dir is a ready document
// with the file's bytes as its content, passages that keep promise 5, and a summary.
func checkCorpus(t *testing.T, c *client.Client, dir string) {
	t.Helper()
	for _, job := range audit.Jobs(t, c) {
		if job.State != document.JobSucceeded {
			t.Errorf("job %s of %s is %s: %s", job.ID, job.DocumentID, job.State, job.Error)
		}
	}
	documents := audit.Documents(t, c)
	files, err := corpus.Files(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		d, ok := documents[f.Key]
		if !ok {
			t.Errorf("no document for %s", f.Key)
			continue
		}
		audit.CheckDocument(t, c, d, string(f.Text))
	}
	if len(files) == 0 || len(documents) != len(files) {
		t.Errorf("%d documents for %d files", len(documents), len(files))
	}
}
