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

// A reindex leaves out a document of which the new model refuses a passage, one
// for a passage of which it answers nonsense, and one whose original is lost, and
// lists them with why. All others are found, one that is cut with a warning. The
// space from before takes all of them, so that going back brings them back.
func TestReindexLeavesOutWhatCannotBePlaced(t *testing.T) {
	t.Parallel()
	m := newTestEnv(t, 10*time.Millisecond)
	files := []file{plainFile("refused.md", 6, 6), plainFile("nonsense.md", 6, 6), plainFile("lost.md", 6, 6), plainFile("cut.md", 6, 6)}
	for _, key := range []string{"a.md", "b.md", "k.md", "y.md", "z.md"} {
		files = append(files, plainFile(key, 6, 6))
	}
	m.upload(files)
	before := audit.Documents(t, m.client())

	m.provider.SetScript(func(r fakeprovider.Request) fakeprovider.Fault {
		if r.Model != largeModel.Name {
			return nil
		}
		var nonsense fakeprovider.Fault
		for i, text := range r.Texts {
			switch {
			case !strings.Contains(text, "Section 3"):
			case strings.Contains(text, "About refused.md"):
				return fakeprovider.Status(400, "the model does not like this")
			case strings.Contains(text, "About cut.md") && len(text) > 200:
				return fakeprovider.Status(400, "This model's maximum context length is 50 tokens.")
			case strings.Contains(text, "About nonsense.md"):
				nonsense = func(a *fakeprovider.Answer) { // unless it refuses another text of the request
					clear(a.Vectors[i].Vector)
					a.Correct, a.InvalidVectors = true, []int{i}
				}
			}
		}
		return nonsense
	})
	m.removeOriginal("lost.md")
	request := toModel(largeModel)
	request.Tokens = 150 // so that originals are read
	reindex := m.awaitSuccess(m.begin(request).ID)
	m.wantActiveModel(largeModel)

	why := map[string]string{
		"refused.md":  "the model does not like this",
		"nonsense.md": "nothing but zeros",
		"lost.md":     "original",
	}
	p := reindex.Progress
	if p.LeftOutCount != int64(len(why)) || len(p.LeftOut) != len(why) || p.DocumentsDone != int64(len(files)) {
		t.Errorf("%d of %d documents are left out, want %d of %d: %+v", p.LeftOutCount, p.DocumentsDone, len(why), len(files), p.LeftOut)
	}
	for _, out := range p.LeftOut {
		t.Logf("%s: %s", out.Key, out.Error)
		names := strings.Contains(out.Error, "does not take passage ") && strings.Contains(out.Error, ", bytes ")
		if why[out.Key] == "" || !strings.Contains(out.Error, why[out.Key]) || names == (out.Key == "lost.md") || out.DocumentID != before[out.Key].ID {
			t.Errorf("left out: %+v", out)
		}
	}
	for key, d := range audit.Documents(t, m.client()) {
		want := document.DocumentReady
		if why[key] != "" {
			want = document.DocumentFailed
		}
		if d.State != want {
			t.Errorf("%s is %s, want %s", key, d.State, want)
		}
		cut := slices.ContainsFunc(d.Warnings, func(w document.Warning) bool { return w.Code == "passage_truncated" })
		if cut != (key == "cut.md") || len(before[key].Warnings) > 0 {
			t.Errorf("%s had the warnings %v and has %v", key, before[key].Warnings, d.Warnings)
		}
	}

	m.must(m.client().RevertReindex(t.Context(), reindex.ID))
	m.wantActiveModel(smallModel)
	for key, d := range audit.Documents(t, m.client()) {
		if d.State != document.DocumentReady || len(d.Warnings) > 0 {
			t.Errorf("after going back %s is %s with warnings %v", key, d.State, d.Warnings)
		}
	}
}

// removeOriginal removes the original of a document's newest version behind the
// programs' back.
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
