package storetest

import (
	"context"
	"encoding/json"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"github.com/seed-7a112592/gristmill/internal/garbage"
	"github.com/seed-7a112592/gristmill/internal/task"
	"github.com/seed-7a112592/gristmill/internal/vector"
	"github.com/seed-7a112592/gristmill/pkg/document"
)

// The ids that the database of CheckRenamedColumns was written with.
const (
	RenamedDocument = "00000000-0000-7000-8000-00000000000d"
	RenamedJob      = "00000000-0000-7000-8000-00000000000e"
	RenamedReindex  = "00000000-0000-7000-8000-00000000000f"
)

// CheckRenamedColumns checks a store whose database was written before its columns had
// the names of today, in the default tenant, with the following:
//
//   - the collection "c" with the active space 1 (model m) and the space 2 (model n),
//     both of 2 dimensions and written;
//   - RenamedDocument, with a published version 1 that has the metadata {"lang":"en"},
//     the object's ETag "etag" and, in space 1, one passage with the vector [1, 0]; it
//     is left out of space 2;
//   - RenamedJob, which runs: its knowledge task has succeeded, and somebody has asked for
//     the summary;
//   - RenamedReindex, which is queued, builds space 2 and has done RenamedDocument;
//   - one entry on the garbage list: a scan that has come to space 1;
//   - a verification that has done RenamedDocument: 3 documents, 30 bytes, 1 finding.
//
// All of that is read as it was, and another version is published: space 2 misses it.
func CheckRenamedColumns(t *testing.T, ctx context.Context, s Store) {
	t.Helper()
	id := uuid.MustParse(RenamedDocument)
	if d, err := s.Document(ctx, id); err != nil || d.State != document.DocumentReady || d.ObjectETag != "etag" {
		t.Errorf("the document: got %+v, %v", d, err)
	}
	c, err := s.Collection(ctx, "c")
	if err != nil || c.ActiveSpace.ID != 1 {
		t.Fatalf("the collection: got %+v, %v, want the active space 1", c, err)
	}
	checkHits := func(when string, want map[string]int) {
		t.Helper()
		for metadata, hits := range want {
			got, err := s.NearestPassages(ctx, c.ActiveSpace, vector.Query{
				Collection: "c", Vector: []float32{1, 0}, Limit: 10, Threshold: -1, Metadata: json.RawMessage(metadata)})
			if err != nil || len(got) != hits {
				t.Errorf("%s, %s: got hits %+v, %v, want %d", when, metadata, got, err, hits)
			}
		}
	}
	checkHits("as it was", map[string]int{`{"lang":"en"}`: 1, `{"lang":"de"}`: 0})

	ref := taskRefOf(t, ctx, document.Job{DocumentID: id, Version: 1}, task.KindSummary)
	if work, err := s.Claim(ctx, ref, time.Minute); err != nil || !work.SummaryRequested {
		t.Errorf("the summary task: got %+v, %v, want it requested", work, err)
	}

	reindex := taskRefOf(t, ctx, document.Job{DocumentID: uuid.MustParse(RenamedReindex), Version: 1}, task.KindReindex)
	work, err := s.Claim(ctx, reindex, time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	plan, err := s.PlanRebuild(ctx, work)
	if err != nil || plan.Checkpoint != id || plan.From.ID != 1 || plan.To.ID != 2 {
		t.Errorf("the reindex: got %+v, %v", plan, err)
	}
	if missing, err := s.MissingVersions(ctx, work, uuid.Nil, 10); err != nil || len(missing) > 0 {
		t.Errorf("missing in space 2: got %+v, %v, want none: the version is left out", missing, err)
	}

	entries, err := s.Garbage(ctx, 0, 10)
	for i := range entries {
		entries[i].ID = 0
	}
	want := []garbage.Entry{{Kind: garbage.KindScan, ScanCursor: garbage.ScanCursor{Stage: garbage.ScanSpaces, SpaceID: 1}}}
	if diff := cmp.Diff(want, entries); err != nil || diff != "" {
		t.Errorf("the garbage list: %v (-want +got):\n%s", err, diff)
	}
	if v, err := s.VerificationProgress(ctx); err != nil || v.Checkpoint != id || v.Documents != 3 || v.Bytes != 30 || v.Findings != 1 {
		t.Errorf("the verification: got %+v, %v", v, err)
	}
	if tenants, err := s.TenantsToVerify(ctx, time.Hour); err != nil || len(tenants) == 0 {
		t.Errorf("tenants to verify: got %q, %v, want the one whose verification is under way", tenants, err)
	}

	upload := uploadOf(c, "a")
	upload.Metadata = json.RawMessage(`{"lang":"de"}`)
	publishJob(t, ctx, s, acceptUpload(t, ctx, s, upload).Job, passageOf("another", 1, 0))
	checkHits("once another version is published", map[string]int{`{"lang":"en"}`: 0, `{"lang":"de"}`: 1})
	if missing, err := s.MissingVersions(ctx, work, uuid.Nil, 10); err != nil || len(missing) != 1 || missing[0].Version != 2 {
		t.Errorf("missing in space 2: got %+v, %v, want version 2", missing, err)
	}
}
