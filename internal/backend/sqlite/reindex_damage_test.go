package sqlite

import (
	"context"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"github.com/seed-7a112592/gristmill/internal/fault"
	"github.com/seed-7a112592/gristmill/internal/rebuild"
	"github.com/seed-7a112592/gristmill/internal/task"
	"github.com/seed-7a112592/gristmill/internal/tenant"
	"github.com/seed-7a112592/gristmill/internal/vector"
	"github.com/seed-7a112592/gristmill/pkg/document"
)

// twoDocuments returns a store with a collection of two documents, which have
// the passages of their first version in common.
func twoDocuments(t *testing.T) (context.Context, *Store, vector.Collection, []document.Document) {
	t.Helper()
	ctx := tenant.With(t.Context(), tenant.Default)
	s, c := openCollection(t, ctx, 8)
	for _, key := range []string{"b", "a"} {
		if err := publishVersion(ctx, s, c, key, 0, 3); err != nil {
			t.Fatal(err)
		}
	}
	list, err := s.Documents(ctx, document.DocumentFilter{}, document.Page{Limit: 10})
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range list.Items { // the knowledge is what matters here
		summarise(t, ctx, s, d.ID, 1)
	}
	return ctx, s, c, list.Items
}

// summarise does the summary task of a version.
func summarise(t *testing.T, ctx context.Context, s *Store, id uuid.UUID, version int) {
	t.Helper()
	work, err := s.Claim(ctx, task.Ref{DocumentID: id, Version: version, Kind: task.KindSummary}, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.FinishSummary(ctx, work, document.Summary{Summary: "a"}, document.SummaryProgress{}); err != nil {
		t.Fatal(err)
	}
}

// claimReindex begins a reindex and claims it.
func claimReindex(t *testing.T, ctx context.Context, s *Store, request document.ReindexRequest) task.Work {
	t.Helper()
	r, err := s.BeginReindex(ctx, request)
	if err != nil {
		t.Fatal(err)
	}
	work, err := s.Claim(ctx, task.Ref{DocumentID: r.ID, Version: 1, Kind: task.KindReindex}, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	return work
}

// writeMissing places all that is unplaced, with new vectors.
func writeMissing(t *testing.T, ctx context.Context, s *Store, c vector.Collection, work task.Work) {
	t.Helper()
	for _, of := range missingVersions(t, ctx, s, work) {
		stored, err := s.VersionPassages(ctx, c.ActiveSpace, of, 0, 10)
		if err != nil {
			t.Fatal(err)
		}
		places := rebuild.VersionWrite{MissingVersion: of, TotalEntries: int64(len(stored))}
		var rebuilt rebuild.SpaceWrite
		for _, p := range stored {
			rebuilt.New = append(rebuilt.New, vector.EmbeddedPassage{Hash: p.Hash, PassageText: p.PassageText, Vector: randomVector(work.Space.Model.Dimensions)})
			places.Entries = append(places.Entries, p.ManifestEntry)
		}
		rebuilt.Versions = []rebuild.VersionWrite{places}
		if err := s.WriteToSpace(ctx, work, rebuilt, document.ReindexProgress{}); err != nil {
			t.Fatal(err)
		}
	}
}

func missingVersions(t *testing.T, ctx context.Context, s *Store, work task.Work) []rebuild.MissingVersion {
	t.Helper()
	found, err := s.MissingVersions(ctx, work, uuid.Nil, 10)
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// damageRows does to the rows what nobody is to do.
func damageRows(t *testing.T, s *Store, statement string, args ...any) {
	t.Helper()
	if _, err := s.writer.ExecContext(t.Context(), `PRAGMA foreign_keys = OFF`); err != nil {
		t.Fatal(err)
	}
	result, err := s.writer.ExecContext(t.Context(), statement, args...)
	if err != nil {
		t.Fatal(err)
	}
	if rows, err := result.RowsAffected(); err != nil || rows == 0 {
		t.Fatalf("%s: did nothing, %v", statement, err)
	}
	if _, err := s.writer.ExecContext(t.Context(), `PRAGMA foreign_keys = ON`); err != nil {
		t.Fatal(err)
	}
}

func TestVerifyFindsWhatIsLost(t *testing.T) {
	t.Parallel()
	ctx, s, c, documents := twoDocuments(t)
	work := claimReindex(t, ctx, s, document.ReindexRequest{Collection: "c", Model: document.Model{Name: "n", Dimensions: 4}})
	writeMissing(t, ctx, s, c, work)
	if err := s.VerifySpace(ctx, work, 20); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		lost, statement string
		unplaced        int
	}{
		{"a place", `DELETE FROM manifest WHERE document = ?1 AND space = ?2 AND ordinal = 1`, 1},
		{"the last place", `DELETE FROM manifest WHERE document = ?1 AND space = ?2 AND ordinal = 2`, 1},
		{"a passage", `DELETE FROM passages WHERE space = ?2 AND id IN (
			SELECT passage FROM manifest WHERE document = ?1 AND ordinal = 1)`, 2},
	} {
		damageRows(t, s, test.statement, documents[0].ID, work.Space.ID)
		if got := missingVersions(t, ctx, s, work); len(got) > 0 {
			t.Fatalf("%s: %+v is unplaced before it was looked for", test.lost, got)
		}
		missed := missedPublications(t, s, work.Space.ID)
		if err := s.VerifySpace(ctx, work, 20); !fault.Is(err, fault.Conflict) {
			t.Errorf("%s: got %v, want a failure of kind conflict", test.lost, err)
		}
		if missedPublications(t, s, work.Space.ID) == missed {
			t.Errorf("%s: a switch that has counted the documents already does not notice", test.lost)
		}
		if got := missingVersions(t, ctx, s, work); len(got) != test.unplaced {
			t.Errorf("%s: %d documents are unplaced, want %d", test.lost, len(got), test.unplaced)
		}
		writeMissing(t, ctx, s, c, work)
		if err := s.VerifySpace(ctx, work, 20); err != nil {
			t.Errorf("%s, placed again: %v", test.lost, err)
		}
	}
	if err := s.ActivateSpace(ctx, work, time.Hour, document.ReindexProgress{}); err != nil {
		t.Error(err)
	}
}

func missedPublications(t *testing.T, s *Store, space int64) (missed int64) {
	t.Helper()
	if err := s.writer.QueryRowContext(t.Context(), `SELECT missed_publications FROM spaces WHERE id = ?1`, space).Scan(&missed); err != nil {
		t.Fatal(err)
	}
	return missed
}

func TestVerifyFindsBrokenVectors(t *testing.T) {
	t.Parallel()
	ctx, s, c, _ := twoDocuments(t)
	work := claimReindex(t, ctx, s, document.ReindexRequest{Collection: "c", Model: document.Model{Name: "n", Dimensions: 4}})
	writeMissing(t, ctx, s, c, work)
	damageRows(t, s, `UPDATE passages SET embedding = substr(embedding, 1, 12) WHERE id = (SELECT max(id) FROM passages)`)
	if err := s.VerifySpace(ctx, work, 20); err == nil || fault.As(err) != nil {
		t.Errorf("got %v, want an internal failure", err)
	}
}

func TestRequeueFindsWhatIsLost(t *testing.T) {
	t.Parallel()
	ctx, s, _, documents := twoDocuments(t)
	for _, test := range []struct {
		lost, statement string
		jobs            int
	}{
		{"nothing", `UPDATE manifest SET start_byte = start_byte`, 0},
		{"a place", `DELETE FROM manifest WHERE document = ?1 AND ordinal = 1`, 1},
		{"that it is whole", `DELETE FROM space_versions WHERE document = ?1`, 1},
		{"a passage", `DELETE FROM passages WHERE id IN (
			SELECT passage FROM manifest WHERE document = ?1 AND ordinal = 0)`, 2},
	} {
		damageRows(t, s, test.statement, documents[0].ID)
		estimate, err := s.EstimateReindex(ctx, document.ReindexRequest{Collection: "c"})
		if err != nil || estimate.Documents != int64(test.jobs) {
			t.Errorf("%s: the estimate is %+v, %v, want %d documents", test.lost, estimate, err, test.jobs)
		}
		work := claimReindex(t, ctx, s, document.ReindexRequest{Collection: "c"})
		got, err := s.RequeueDocuments(ctx, work, 8)
		if want := (rebuild.RequeueResult{Jobs: test.jobs, Ended: test.jobs == 0}); err != nil || got != want {
			t.Errorf("%s: got %+v, %v, want %+v", test.lost, got, err, want)
		}
		finishJobs(t, ctx, s)
		if got, err := s.RequeueDocuments(ctx, work, 8); test.jobs > 0 && (err != nil || !got.Ended) {
			t.Errorf("%s, once all is done: got %+v, %v, want the end", test.lost, got, err)
		}
	}
}

// finishJobs does what is queued, with three passages a document.
func finishJobs(t *testing.T, ctx context.Context, s *Store) {
	t.Helper()
	list, err := s.Jobs(ctx, document.JobFilter{State: document.JobQueued}, document.Page{Limit: 10})
	if err != nil {
		t.Fatal(err)
	}
	for _, job := range list.Items {
		if err := publishJob(ctx, s, job, job.Version, 3); err != nil {
			t.Fatal(err)
		}
		summarise(t, ctx, s, job.DocumentID, job.Version)
	}
}

// Whoever had the database open before us is dead, and so is its lease.
func TestReleasedReindexesAreDue(t *testing.T) {
	t.Parallel()
	ctx, s, _, _ := twoDocuments(t)
	work := claimReindex(t, ctx, s, document.ReindexRequest{Collection: "c", Force: true})
	if _, err := s.Claim(ctx, work.Ref, time.Hour); !fault.Is(err, fault.Conflict) {
		t.Errorf("claim under the dead one's lease: got %v, want a failure of kind conflict", err)
	}
	if err := s.ExpireLeases(ctx); err != nil {
		t.Fatal(err)
	}
	due, err := s.RedispatchOverdue(ctx, time.Hour, 10)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]task.Dispatch{{Ref: work.Ref, Round: 1}}, due); diff != "" {
		t.Errorf("due (-want +got):\n%s", diff)
	}
	if again, err := s.Claim(ctx, work.Ref, time.Hour); err != nil || again.Attempt != 2 || again.Crashes != 1 {
		t.Errorf("got attempt %d, %d crashes, %v; want the end of the process counted as a crash", again.Attempt, again.Crashes, err)
	}
}
