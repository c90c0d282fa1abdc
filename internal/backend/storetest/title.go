package storetest

import (
	"context"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"github.com/seed-7a112592/gristmill/internal/rebuild"
	"github.com/seed-7a112592/gristmill/internal/task"
	"github.com/seed-7a112592/gristmill/pkg/document"
)

// returnsOwnTitles looks at what those who cut documents learn of them: a title
// that is only the file's name is none.
func returnsOwnTitles(t *testing.T, ctx context.Context, s Store) {
	c := ensureCollection(t, ctx, s, "own titles")
	for _, fromKey := range []bool{false, true} {
		upload := uploadOf(c, fmt.Sprint("dir/titled ", fromKey, ".txt"))
		upload.Title, upload.TitleFromKey, upload.MediaType = document.BaseName(upload.Key), fromKey, "text/plain"
		want := document.SourceInfo{Title: upload.Title, MediaType: "text/plain", Key: upload.Key}
		if fromKey {
			want.Title = ""
		}
		accepted := publishDocument(t, ctx, s, upload, passageOf(upload.Key, 1, 0, 0))
		if title := readDocument(t, ctx, s, accepted.Document.ID).Title; title != upload.Title {
			t.Errorf("readers see the title %q, want %q", title, upload.Title)
		}
		work := startReindex(t, ctx, s, changeModelRequest(c))
		found := missingVersions(t, ctx, s, work)
		if diff := cmp.Diff(want, found[len(found)-1].SourceInfo()); diff != "" {
			t.Errorf("what a reindex learns of a document (-want +got):\n%s", diff)
		}
		cancelReindex(t, ctx, s, work.JobID, leaseTime)
		reindex, jobs := runRequeue(t, ctx, s, document.ReindexRequest{Collection: c.Name, Force: true, DocumentIDs: []uuid.UUID{accepted.Document.ID}})
		for _, kind := range task.JobKinds {
			work := claimTask(t, ctx, s, jobs[0], kind)
			if diff := cmp.Diff(want, work.SourceInfo()); diff != "" {
				t.Errorf("what the task %s of the next version learns (-want +got):\n%s", kind, diff)
			}
			recordOutcome(t, ctx, s, work, task.Outcome{Verdict: task.VerdictFail, Error: "broken"})
		}
		requeue(t, ctx, s, reindex, 100, rebuild.RequeueResult{Ended: true})
	}
}
