package e2e_test

import (
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode"

	"github.com/google/uuid"

	"github.com/seed-7a112592/gristmill/pkg/client"
	"github.com/seed-7a112592/gristmill/pkg/document"
	"github.com/seed-7a112592/gristmill/pkg/markdown"
)

// allDocuments returns every document of the server, by key.
func allDocuments(t *testing.T, c *client.Client) map[string]document.Document {
	t.Helper()
	documents := map[string]document.Document{}
	for page := (document.Page{Limit: 100}); ; {
		list, err := c.Documents(t.Context(), document.DocumentFilter{}, page)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range list.Items {
			documents[d.Key] = d
		}
		if list.NextCursor == "" {
			return documents
		}
		page.Cursor = list.NextCursor
	}
}

// allJobs returns every job of the server.
func allJobs(t *testing.T, c *client.Client) []document.Job {
	t.Helper()
	var jobs []document.Job
	for job, err := range c.AllJobs(t.Context(), document.JobFilter{}) {
		if err != nil {
			t.Fatal(err)
		}
		jobs = append(jobs, job)
	}
	return jobs
}

// allPassages returns the passages of a document's live version.
func allPassages(t *testing.T, c *client.Client, id uuid.UUID) []document.Passage {
	t.Helper()
	var passages []document.Passage
	for page := (document.Page{Limit: 1000}); ; {
		list, err := c.Passages(t.Context(), id, page)
		if err != nil {
			t.Fatal(err)
		}
		passages = append(passages, list.Items...)
		if list.NextCursor == "" {
			return passages
		}
		page.Cursor = list.NextCursor
	}
}

// checkCorpus checks that every file below dir is a document that is ready,
// with its very bytes as content, passages that keep promise 5, and a summary;
// and that every job succeeded.
func checkCorpus(t *testing.T, c *client.Client, dir string) {
	t.Helper()
	for _, job := range allJobs(t, c) {
		if job.State != document.Succeeded {
			t.Errorf("job %s of %s is %s: %s", job.ID, job.DocumentID, job.State, job.Error)
		}
	}
	documents := allDocuments(t, c)
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
		checkDocument(t, c, d, string(source))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if files == 0 || len(documents) != files {
		t.Errorf("%d documents for %d files", len(documents), files)
	}
}

func checkDocument(t *testing.T, c *client.Client, d document.Document, source string) {
	t.Helper()
	if d.State != document.Ready || d.Size != int64(len(source)) {
		t.Errorf("%s is %s with %d bytes, its file has %d", d.Key, d.State, d.Size, len(source))
	}
	content, err := c.Content(t.Context(), d.ID)
	if err != nil {
		t.Fatalf("content of %s: %v", d.Key, err)
	}
	defer content.Close()
	if stored, err := io.ReadAll(content); err != nil || string(stored) != source {
		t.Errorf("content of %s is not its file: %v", d.Key, err)
	}
	checkPassages(t, d.Key, source, allPassages(t, c, d.ID))
	summary, err := c.Summary(t.Context(), d.ID)
	if err != nil || strings.TrimSpace(summary.Summary) == "" || summary.Version != d.Version {
		t.Errorf("summary of %s version %d is %+v, %v", d.Key, d.Version, summary, err)
	}
}

// checkPassages holds passages to promise 5: verbatim, in order, without
// overlap, and together all that is not white space, but for front matter.
func checkPassages(t *testing.T, key, source string, passages []document.Passage) {
	t.Helper()
	head := []byte(source[:min(len(source), markdown.HeadSize)])
	_, body := markdown.FrontMatter(head)
	end := int64(body)
	for i, p := range passages {
		if p.Ordinal != i || p.Start < end || p.End <= p.Start || p.End > int64(len(source)) {
			t.Errorf("%s: passage %d is %d to %d after %d", key, p.Ordinal, p.Start, p.End, end)
			return
		}
		if p.Content != source[p.Start:p.End] {
			t.Errorf("%s: passage %d is not what stands in its source", key, i)
		}
		if p.Tokens < 1 || p.Tokens > 400 {
			t.Errorf("%s: passage %d has %d tokens", key, i, p.Tokens)
		}
		checkBlank(t, key, source[end:p.Start])
		end = p.End
	}
	checkBlank(t, key, source[end:])
}

func checkBlank(t *testing.T, key, gap string) {
	t.Helper()
	if strings.ContainsFunc(gap, func(r rune) bool { return !unicode.IsSpace(r) }) {
		t.Errorf("%s: no passage covers %.60q", key, gap)
	}
}
