package reindex_test

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/minio/minio-go/v7"

	"github.com/seed-7a112592/gristmill/internal/test/audit"
	"github.com/seed-7a112592/gristmill/internal/test/fakeprovider"
	"github.com/seed-7a112592/gristmill/pkg/document"
)

// A reindex leaves out a document with a passage that the new model refuses, one with a passage
// that gets an invalid vector, and one whose original is lost. It lists them with the reasons. All
// other documents are found; one with a truncated passage has a warning. The previous space still
// contains all documents, so a revert restores them.
func TestReindexLeavesOutFailedDocuments(t *testing.T) {
	t.Parallel()
	m := newTestEnv(t, 10*time.Millisecond)
	files := []file{plainFile("refused.md", 6, 6), plainFile("invalid.md", 6, 6), plainFile("lost.md", 6, 6), plainFile("truncated.md", 6, 6)}
	for _, key := range []string{"a.md", "b.md", "k.md", "y.md", "z.md"} {
		files = append(files, plainFile(key, 6, 6))
	}
	m.upload(files)
	before := audit.Documents(t, m.client())

	m.provider.SetScript(func(r fakeprovider.Request) fakeprovider.Fault {
		if r.Model != largeModel.Name {
			return nil
		}
		var invalid fakeprovider.Fault
		for i, text := range r.Texts {
			switch {
			case !strings.Contains(text, "Section 3"):
			case strings.Contains(text, "About refused.md"):
				return fakeprovider.Status(400, "the model refuses this text")
			case strings.Contains(text, "About truncated.md") && len(text) > 200:
				return fakeprovider.Status(400, "This model's maximum context length is 50 tokens.")
			case strings.Contains(text, "About invalid.md"):
				invalid = func(a *fakeprovider.Answer) { // unless the model refuses another text of the request
					clear(a.Vectors[i].Vector)
					a.Correct, a.InvalidVectors = true, []int{i}
				}
			}
		}
		return invalid
	})
	m.removeOriginal("lost.md")
	request := toModel(largeModel)
	request.Tokens = 150 // another chunking, so that originals are read
	reindex := m.awaitSuccess(m.begin(request).ID)
	m.wantActiveModel(largeModel)

	reasons := map[string]string{
		"refused.md": "the model refuses this text",
		"invalid.md": "only zeros",
		"lost.md":    "original",
	}
	p := reindex.Progress
	if p.LeftOutCount != int64(len(reasons)) || len(p.LeftOut) != len(reasons) || p.DocumentsDone != int64(len(files)) {
		t.Errorf("%d of %d documents are left out, want %d of %d: %+v", p.LeftOutCount, p.DocumentsDone, len(reasons), len(files), p.LeftOut)
	}
	for _, out := range p.LeftOut {
		t.Logf("%s: %s", out.Key, out.Error)
		namesPassage := strings.Contains(out.Error, "refuses passage ") && strings.Contains(out.Error, ", bytes ")
		if reasons[out.Key] == "" || !strings.Contains(out.Error, reasons[out.Key]) || namesPassage == (out.Key == "lost.md") || out.DocumentID != before[out.Key].ID {
			t.Errorf("left out: %+v", out)
		}
	}
	for key, d := range audit.Documents(t, m.client()) {
		want := document.DocumentReady
		if reasons[key] != "" {
			want = document.DocumentFailed
		}
		if d.State != want {
			t.Errorf("%s is %s, want %s", key, d.State, want)
		}
		truncated := slices.ContainsFunc(d.Warnings, func(w document.Warning) bool { return w.Code == "passage_truncated" })
		if truncated != (key == "truncated.md") || len(before[key].Warnings) > 0 {
			t.Errorf("%s had the warnings %v and has %v", key, before[key].Warnings, d.Warnings)
		}
	}

	m.must(m.client().RevertReindex(t.Context(), reindex.ID))
	m.wantActiveModel(smallModel)
	for key, d := range audit.Documents(t, m.client()) {
		if d.State != document.DocumentReady || len(d.Warnings) > 0 {
			t.Errorf("after the revert %s is %s with warnings %v", key, d.State, d.Warnings)
		}
	}
}

// removeOriginal deletes the original of a document's newest version directly in the bucket.
func (m *testEnv) removeOriginal(key string) {
	m.t.Helper()
	conn := m.installation.Connect()
	defer conn.Close(context.WithoutCancel(m.t.Context()))
	var object string
	err := conn.QueryRow(m.t.Context(), `
		SELECT v.object FROM documents d JOIN versions v ON v.document = d.id AND v.version = d.newest_version
		WHERE d.key = $1`, key).Scan(&object)
	if err == nil {
		err = audit.S3Client(m.t, m.installation.S3).RemoveObject(m.t.Context(), m.installation.S3.Bucket, object, minio.RemoveObjectOptions{})
	}
	if err != nil {
		m.t.Fatal(err)
	}
}
