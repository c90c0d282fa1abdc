package audit

import (
	"testing"

	"github.com/google/uuid"

	"github.com/seed-7a112592/gristmill/pkg/client"
	"github.com/seed-7a112592/gristmill/pkg/document"
)

// Documents returns all documents of the server, by key.
func Documents(t testing.TB, c *client.Client) map[string]document.Document {
	t.Helper()
	documents := map[string]document.Document{}
	for page := (document.Page{Limit: 1000}); ; {
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

// Jobs returns all jobs of the server.
func Jobs(t testing.TB, c *client.Client) []document.Job {
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

// Passages returns the passages of a document's published version.
func Passages(t testing.TB, c *client.Client, id uuid.UUID) []document.Passage {
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
