package e2e_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/seed-7a112592/gristmill/pkg/client"
	"github.com/seed-7a112592/gristmill/pkg/document"
	"github.com/seed-7a112592/gristmill/test/audit"
)

// checkCorpus checks that every file below dir is a document that is ready,
// with its very bytes as content, passages that keep promise 5, and a summary;
// and that every job succeeded.
func checkCorpus(t *testing.T, c *client.Client, dir string) {
	t.Helper()
	for _, job := range audit.Jobs(t, c) {
		if job.State != document.Succeeded {
			t.Errorf("job %s of %s is %s: %s", job.ID, job.DocumentID, job.State, job.Error)
		}
	}
	documents := audit.Documents(t, c)
	files := 0
	err := filepath.WalkDir(dir, func(path string, entry os.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		files++
		source, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		key, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		d, ok := documents[filepath.ToSlash(key)]
		if !ok {
			t.Errorf("no document for %s", key)
			return nil
		}
		audit.Document(t, c, d, string(source))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if files == 0 || len(documents) != files {
		t.Errorf("%d documents for %d files", len(documents), files)
	}
}
