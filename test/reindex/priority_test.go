package reindex_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/seed-7a112592/gristmill/pkg/document"
)

// An upload does not wait for the documents of a reindex, with or without a change of the model:
// when it is done, most of those are still to do.
func TestUploadHasPriorityOverReindex(t *testing.T) {
	t.Parallel()
	m := newTestEnv(t, 40*time.Millisecond)
	var files []file
	for i := range ifShort(150, 400) {
		files = append(files, plainFile(fmt.Sprintf("old/%d.md", i), 8, 6))
	}
	m.upload(files)
	for i, request := range []document.ReindexRequest{{Collection: collection, Force: true}, toModel(largeModel)} {
		reindex := m.begin(request)
		m.awaitProgress(reindex.ID, 0.02)
		if _, err := m.uploadAndWait(t.Context(), m.client(), plainFile(fmt.Sprintf("new/%d.md", i), 8, 6)); err != nil {
			t.Fatal(err)
		}
		p := m.reindex(reindex.ID).Progress
		t.Logf("the upload was done after %d of %d documents of a reindex of %s", p.DocumentsDone, p.Documents, reindex.Change)
		if p.DocumentsDone > int64(len(files)/2) {
			t.Errorf("the upload was done after %d of %d documents of a reindex of %s", p.DocumentsDone, p.Documents, reindex.Change)
		}
		m.awaitSuccess(reindex.ID)
	}
	m.audit(4) // probes
}
