package reindex_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"github.com/seed-7a112592/gristmill/internal/test/audit"
	"github.com/seed-7a112592/gristmill/internal/test/fakeprovider"
	"github.com/seed-7a112592/gristmill/pkg/document"
)

// A reindex without a change processes failed and damaged documents again, and with force all
// selected ones. Passages that have a vector are not sent again.
func TestReindexRetriesFailedDocuments(t *testing.T) {
	t.Parallel()
	const failed, damaged = "one/failed.md", "two/damaged.md"
	m := newTestEnv(t, 10*time.Millisecond)
	files := []file{plainFile(damaged, 8, 6)}
	for i := range ifShort(4, 40) {
		files = append(files, plainFile(fmt.Sprintf("one/%d.md", i), 8, 6), plainFile(fmt.Sprintf("two/%d.md", i), 8, 6))
	}
	m.upload(files)
	ctx, c := t.Context(), m.client()
	m.provider.FailTexts("About "+failed, fakeprovider.Status(400, "the model refuses this text"))
	f := plainFile(failed, 8, 6)
	if id, err := m.uploadAndWait(ctx, c, f); err == nil {
		t.Fatalf("document %s succeeded although the provider refuses its text", id)
	}
	m.provider.FailTexts("", nil)
	documents := audit.Documents(t, c)
	m.installation.Exec(fmt.Sprintf(`DELETE FROM manifest WHERE document = '%s'`, documents[damaged].ID))

	versions := m.versions()
	redo := func(what string, request document.ReindexRequest, which func(key string) bool) {
		t.Helper()
		for key := range versions {
			if which(key) {
				versions[key]++
			}
		}
		request.Collection = collection
		m.awaitSuccess(m.begin(request).ID)
		if diff := cmp.Diff(versions, m.versions()); diff != "" {
			t.Errorf("%s: versions (-want +got):\n%s", what, diff)
		}
		if n := m.installation.QueryInt(`SELECT count(*) FROM documents WHERE state <> 'ready'`); n != 0 {
			t.Errorf("%s: %d documents are not ready", what, n)
		}
	}
	sent := m.sentTexts(smallModel)
	redo("failed documents", document.ReindexRequest{}, func(key string) bool { return key == failed || key == damaged })
	if diff := cmp.Diff(m.split([]file{f}, 400), subtractTexts(m.sentTexts(smallModel), sent)); diff != "" {
		t.Errorf("the reindex of failed documents sent (-want +got):\n%s", diff)
	}

	sent = m.sentTexts(smallModel)
	redo("nothing", document.ReindexRequest{}, func(string) bool { return false })
	redo("all", document.ReindexRequest{Force: true}, func(string) bool { return true })
	redo("a prefix", document.ReindexRequest{Force: true, KeyPrefix: "one/"}, func(key string) bool { return strings.HasPrefix(key, "one/") })
	redo("a document", document.ReindexRequest{Force: true, DocumentIDs: []uuid.UUID{documents[damaged].ID}},
		func(key string) bool { return key == damaged })
	if rest := subtractTexts(m.sentTexts(smallModel), sent); len(rest) > 0 {
		t.Errorf("reindexes of documents with vectors sent %s", excerpt(rest))
	}
	m.audit(0)
}

// versions returns the newest version of each document.
func (m *testEnv) versions() map[string]int {
	m.t.Helper()
	versions := map[string]int{}
	for key, d := range audit.Documents(m.t, m.client()) {
		versions[key] = d.Version
	}
	return versions
}
