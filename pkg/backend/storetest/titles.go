package storetest

import (
	"context"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"github.com/seed-7a112592/gristmill/pkg/document"
)

// tellsOwnTitles looks at what those who cut documents learn of them: a title
// that is only the file's name is none.
func tellsOwnTitles(t *testing.T, ctx context.Context, s Store) {
	c := ensure(t, ctx, s, "own titles")
	for _, fromKey := range []bool{false, true} {
		upload := uploadOf(c, fmt.Sprint("dir/titled ", fromKey, ".txt"))
		upload.Title, upload.FromKey, upload.MediaType = document.BaseName(upload.Key), fromKey, "text/plain"
		want := document.Source{Title: upload.Title, MediaType: "text/plain", Key: upload.Key}
		if fromKey {
			want.Title = ""
		}
		accepted := publishDocument(t, ctx, s, upload, passageOf(upload.Key, 1, 0, 0))
		if title := readDocument(t, ctx, s, accepted.Document.ID).Title; title != upload.Title {
			t.Errorf("readers see the title %q, want %q", title, upload.Title)
		}
		work := startReindex(t, ctx, s, anotherModel(c))
		found := unplaced(t, ctx, s, work)
		if diff := cmp.Diff(want, found[len(found)-1].Source()); diff != "" {
			t.Errorf("what a reindex learns of a document (-want +got):\n%s", diff)
		}
		cancelReindex(t, ctx, s, work.Job, leaseTime)
		reindex, jobs := redo(t, ctx, s, document.ReindexRequest{Collection: c.Name, Force: true, Documents: []uuid.UUID{accepted.Document.ID}})
		for _, kind := range document.TaskKinds {
			work := claim(t, ctx, s, jobs[0], kind)
			if diff := cmp.Diff(want, work.Source()); diff != "" {
				t.Errorf("what the task %s of the next version learns (-want +got):\n%s", kind, diff)
			}
			settle(t, ctx, s, work, document.Outcome{Verdict: document.VerdictFail, Error: "broken"})
		}
		requeue(t, ctx, s, reindex, 100, document.Requeued{Ended: true})
	}
}
