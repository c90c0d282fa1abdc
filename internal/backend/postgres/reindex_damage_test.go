package postgres_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/seed-7a112592/gristmill/internal/fault"
	"github.com/seed-7a112592/gristmill/internal/original"
	"github.com/seed-7a112592/gristmill/internal/rebuild"
	"github.com/seed-7a112592/gristmill/internal/task"
	"github.com/seed-7a112592/gristmill/pkg/document"
)

// damages are what may become of a document's rows in a space, so that it is
// not whole.
var damages = map[string]string{
	"passage lost":    `DELETE FROM shared_passages WHERE space = %[1]d AND content = 'two' AND '%[2]s' <> ''`,
	"place lost":      `DELETE FROM manifest WHERE space = %[1]d AND document = '%[2]s' AND ordinal = 1`,
	"all places lost": `DELETE FROM manifest WHERE space = %[1]d AND document = '%[2]s'`,
	"place added": `INSERT INTO manifest (tenant, document, version, space, ordinal, hash, start_byte, end_byte)
	                SELECT tenant, document, version, space, 2, hash, 2, 3
	                FROM manifest WHERE space = %[1]d AND document = '%[2]s' AND ordinal = 1`,
	"space version lost": `DELETE FROM space_versions WHERE space = %[1]d AND document = '%[2]s'`,
}

// A space that has lost rows does not become live: what is damaged is to be
// placed again.
func TestVerifyFindsDamage(t *testing.T) {
	t.Parallel()
	for name, damage := range damages {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r, ctx := newRebuildingStore(t)
			version := r.publishTexts(t, ctx, r.work, "one", "two")
			rebuilt := wholeSpaceWrite(version, textPassage("one"), textPassage("two"))
			r.writeSpace(t, ctx, rebuilt)
			if err := r.VerifySpace(ctx, r.reindex, 10); err != nil {
				t.Fatalf("before: %v", err)
			}
			execute(t, r.owner, fmt.Sprintf(damage, r.reindex.Space.ID, version.DocumentID))
			missed := r.missedPublications(t, ctx)
			if err := r.VerifySpace(ctx, r.reindex, 10); !fault.Is(err, fault.Conflict) {
				t.Errorf("got %v, want a conflict", err)
			}
			if name != "space version lost" && r.missedPublications(t, ctx) == missed { // that one is missing already
				t.Error("a switch that has counted the documents already does not notice")
			}
			if missing, err := r.MissingVersions(ctx, r.reindex, uuid.Nil, 10); err != nil || len(missing) != 1 {
				t.Errorf("got %+v unplaced, %v, want the document", missing, err)
			}
			r.writeSpace(t, ctx, rebuilt)
			if err := r.VerifySpace(ctx, r.reindex, 10); err != nil {
				t.Errorf("placed again: %v", err)
			}
		})
	}
}

// missedPublications returns what a switch to the space compares.
func (r rebuildingStore) missedPublications(t *testing.T, ctx context.Context) (missed int64) {
	t.Helper()
	if err := r.InTenant(ctx, func(tx pgx.Tx) error {
		return tx.QueryRow(ctx, `SELECT missed_publications FROM spaces WHERE id = $1`, r.reindex.Space.ID).Scan(&missed)
	}); err != nil {
		t.Fatal(err)
	}
	return missed
}

// A reindex without a change redoes what has lost rows, and nothing else.
func TestRequeueFindsDamage(t *testing.T) {
	t.Parallel()
	for name, damage := range damages {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r, ctx := newClaimedStore(t)
			r.publishTexts(t, ctx, r.work, "one", "two")
			whole, err := upload(ctx, r.Store, original.Upload{Collection: r.collection, Key: "whole"})
			if err != nil {
				t.Fatal(err)
			}
			r.publishTexts(t, ctx, r.claim(t, ctx, whole.Job, task.KindKnowledge), "one")
			for _, job := range []document.Job{r.accepted.Job, whole.Job} {
				work := r.claim(t, ctx, job, task.KindSummary)
				if err := r.FinishSummary(ctx, work, document.Summary{}, document.SummaryProgress{}); err != nil {
					t.Fatal(err)
				}
			}
			execute(t, r.owner, fmt.Sprintf(damage, r.collection.ActiveSpace.ID, r.accepted.Document.ID))
			begun, err := r.BeginReindex(ctx, document.ReindexRequest{Collection: "c"})
			if err != nil {
				t.Fatal(err)
			}
			if got, err := r.RequeueDocuments(ctx, r.claimReindex(t, ctx, begun.ID), 10); err != nil || got != (rebuild.RequeueResult{Jobs: 1}) {
				t.Errorf("got %+v, %v, want one job", got, err)
			}
			jobs, err := r.Jobs(ctx, document.JobFilter{DocumentID: r.accepted.Document.ID}, document.Page{Limit: 10})
			if err != nil || len(jobs.Items) != 2 {
				t.Errorf("got %d jobs of the damaged document, %v, want 2", len(jobs.Items), err)
			}
		})
	}
}

// A space whose passages are not found as they should be does not become live.
func TestVerifyFindsWhatIsNotFound(t *testing.T) {
	t.Parallel()
	r, ctx := newRebuildingStore(t)
	version := r.publishTexts(t, ctx, r.work, "one")
	r.writeSpace(t, ctx, wholeSpaceWrite(version, textPassage("one")))
	// Searches see no passage, as if they used an index that has lost some.
	execute(t, r.owner, `ALTER POLICY tenant ON shared_passages USING (current_query() NOT LIKE '%<=>%')`)
	err := r.VerifySpace(ctx, r.reindex, 10)
	if err == nil || fault.As(err) != nil || !strings.Contains(err.Error(), "not found by its own vector") {
		t.Errorf("got %v, want that a passage is not found", err)
	}
}
