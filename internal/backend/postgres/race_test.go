package postgres_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/seed-7a112592/gristmill/internal/backend/postgres"
	"github.com/seed-7a112592/gristmill/internal/fault"
	"github.com/seed-7a112592/gristmill/internal/garbage"
	"github.com/seed-7a112592/gristmill/internal/original"
	"github.com/seed-7a112592/gristmill/internal/rebuild"
	"github.com/seed-7a112592/gristmill/internal/task"
	"github.com/seed-7a112592/gristmill/internal/tenant"
	"github.com/seed-7a112592/gristmill/internal/vector"
	"github.com/seed-7a112592/gristmill/pkg/document"
)

// claimedStore is a store with one document whose knowledge task is claimed.
type claimedStore struct {
	*postgres.Store
	database
	collection vector.Collection
	upload     original.Upload
	accepted   document.Accepted
	work       task.Work
}

func newClaimedStore(t *testing.T) (claimedStore, context.Context) {
	t.Helper()
	r := claimedStore{database: preparedDatabase(t)}
	r.migrate(t)
	r.Store = r.open(t)
	ctx := tenant.With(t.Context(), tenant.Default)
	var err error
	if r.collection, err = r.EnsureCollection(ctx, "c", document.Model{Name: "m", Dimensions: 2}, document.Chunking{Tokens: 10}); err != nil {
		t.Fatal(err)
	}
	r.upload = original.Upload{Collection: r.collection, Key: "k"}
	if r.accepted, err = upload(ctx, r.Store, r.upload); err != nil {
		t.Fatal(err)
	}
	r.work = r.claim(t, ctx, r.accepted.Job, task.KindKnowledge)
	return r, ctx
}

func (r claimedStore) claim(t *testing.T, ctx context.Context, job document.Job, kind task.Kind) task.Work {
	t.Helper()
	work, err := r.Claim(ctx, task.Ref{DocumentID: job.DocumentID, Version: job.Version, Kind: kind}, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	return work
}

func (r claimedStore) claimReindex(t *testing.T, ctx context.Context, id uuid.UUID) task.Work {
	t.Helper()
	work, err := r.Claim(ctx, task.Ref{DocumentID: id, Version: 1, Kind: task.KindReindex}, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	return work
}

// callDuringTransaction runs statements in a transaction, starts call, and commits once
// call waits for the transaction, or did not have to.
func (r claimedStore) callDuringTransaction(t *testing.T, ctx context.Context, call func() error, statements ...string) error {
	t.Helper()
	done := make(chan error, 1)
	var early error
	ended := false
	if err := r.InTenant(ctx, func(tx pgx.Tx) error {
		for _, statement := range statements {
			if _, err := tx.Exec(ctx, statement); err != nil {
				return fmt.Errorf("%s: %w", statement, err)
			}
		}
		go func() { done <- call() }()
		early, ended = r.waitUntilBlocked(t, 1, done)
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if ended {
		return early
	}
	return <-done
}

// waitUntilBlocked returns when n connections of the store wait for a lock that
// another client holds, or when the call that was to wait has ended without. What
// they wait for otherwise passes: a table that grows, say, or its vacuum.
func (r claimedStore) waitUntilBlocked(t *testing.T, n int, done <-chan error) (err error, ended bool) {
	t.Helper()
	conn := connect(t, r.owner)
	defer conn.Close(context.Background())
	for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline); {
		select {
		case err := <-done:
			return err, true
		default:
		}
		var blocked bool
		if err := conn.QueryRow(context.Background(), `
			SELECT count(*) >= $2 FROM pg_stat_activity waits
			WHERE usename = $1 AND wait_event_type = 'Lock'
			  AND EXISTS (SELECT FROM pg_stat_activity holds
			              WHERE holds.backend_type = 'client backend' AND holds.pid = ANY (pg_blocking_pids(waits.pid)))`, r.role, n).Scan(&blocked); err != nil {
			t.Fatal(err)
		}
		if blocked {
			return nil, false
		}
	}
	t.Fatal("the call neither waits for a lock nor ends")
	return nil, false
}

func TestWriteLosesItsLeaseHalfWay(t *testing.T) {
	t.Parallel()
	r, ctx := newClaimedStore(t)
	hash := document.HashText("text")
	err := r.callDuringTransaction(t, ctx, func() error {
		return r.WriteBatch(ctx, r.work, vector.Batch{
			New:     []vector.EmbeddedPassage{{Hash: hash, PassageText: document.PassageText{Content: "text"}, Vector: []float32{1, 0}}},
			Entries: []vector.ManifestEntry{{Hash: hash, End: 4}},
		}, document.KnowledgeProgress{})
	}, `UPDATE tasks SET lease = gen_random_uuid() WHERE kind = 'knowledge'`)
	if !fault.Is(err, fault.LeaseLost) {
		t.Errorf("got %v, want the lease lost", err)
	}
	if known, err := r.ReusePassages(ctx, r.collection.ActiveSpace, []document.ContentHash{hash}); err != nil || len(known) != 0 {
		t.Errorf("a stale worker wrote %d passages, %v", len(known), err)
	}
}

// A worker renews its lease while it publishes, and finds that there is none when
// it has: that ends the context it publishes under, and must not hide the end.
func TestPublishThatItsOwnEndInterrupts(t *testing.T) {
	t.Parallel()
	r, ctx := newClaimedStore(t)
	leased, lost := context.WithCancel(ctx)
	defer lost()
	published := make(chan error, 1)
	if err := r.InTenant(ctx, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, `SELECT FROM tasks FOR UPDATE`); err != nil {
			return err
		}
		go func() { published <- r.Publish(leased, r.work, nil, document.KnowledgeProgress{}) }()
		if err, ended := r.waitUntilBlocked(t, 1, published); ended {
			t.Fatalf("ended before its last statement: %v", err)
		}
		lost()
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if err := <-published; err != nil {
		t.Errorf("the version is published, and its worker was told: %v", err)
	}
	if d, err := r.Document(ctx, r.accepted.Document.ID); err != nil || d.State != document.DocumentReady {
		t.Errorf("got the document %s, %v; want it ready", d.State, err)
	}
	if err := r.RenewLease(ctx, r.work, time.Hour); !fault.Is(err, fault.LeaseLost) {
		t.Errorf("renewed after the end: got %v, want the lease lost", err)
	}
}

func TestTasksOfAJobEndAtOnce(t *testing.T) {
	t.Parallel()
	r, ctx := newClaimedStore(t)
	if err := r.callDuringTransaction(t, ctx, func() error {
		return r.RecordOutcome(ctx, r.work, task.Outcome{Verdict: task.VerdictFail, Error: "broken"})
	}, `SELECT FROM documents FOR NO KEY UPDATE`,
		`UPDATE tasks SET state = 'failed' WHERE kind = 'summary'`); err != nil {
		t.Fatal(err)
	}
	if job, err := r.Job(ctx, r.accepted.Job.ID); err != nil || job.State != document.JobFailed {
		t.Errorf("got the job %s, %v; want it failed", job.State, err)
	}
}

func TestAcceptWhileTheDocumentIsDeleted(t *testing.T) {
	t.Parallel()
	r, ctx := newClaimedStore(t)
	var got document.Accepted
	if err := r.callDuringTransaction(t, ctx, func() (err error) {
		got, err = upload(ctx, r.Store, r.upload)
		return err
	}, `UPDATE documents SET deleted_at = now(), state = 'deleting'`); err != nil {
		t.Fatal(err)
	}
	if got.Unchanged || got.Document.ID == r.accepted.Document.ID {
		t.Errorf("got %+v, want a new document", got)
	}
}

func TestRequeueWhileANewVersionArrives(t *testing.T) {
	t.Parallel()
	r, ctx := newClaimedStore(t)
	for _, kind := range task.JobKinds {
		work := r.work
		if kind != work.Kind {
			work = r.claim(t, ctx, r.accepted.Job, kind)
		}
		if err := r.RecordOutcome(ctx, work, task.Outcome{Verdict: task.VerdictFail}); err != nil {
			t.Fatal(err)
		}
	}
	reindex, err := r.BeginReindex(ctx, document.ReindexRequest{Collection: "c", Force: true})
	if err != nil {
		t.Fatal(err)
	}
	work := r.claimReindex(t, ctx, reindex.ID)
	var got rebuild.RequeueResult
	if err := r.callDuringTransaction(t, ctx, func() (err error) {
		got, err = r.RequeueDocuments(ctx, work, 10)
		return err
	}, `UPDATE documents SET newest_version = 2`,
		`INSERT INTO versions SELECT tenant, document, 2, title, metadata, object, size, sha256, media_type FROM versions`,
		`INSERT INTO jobs (id, document, version, size) SELECT gen_random_uuid(), document, 2, size FROM jobs`,
		`INSERT INTO tasks (job, kind, document, version)
		 SELECT j.id, kind, j.document, 2 FROM jobs j, unnest('{knowledge,summary}'::text[]) AS kind WHERE j.version = 2`); err != nil {
		t.Fatal(err)
	}
	if got.Jobs > 0 {
		t.Errorf("got %+v, want no job: version 2 is on its way", got)
	}
}

// Collect has found that a passage stands nowhere; before it locks it, a Write
// that reuses the passage begins and commits.
func TestCollectWhileAPassageIsReused(t *testing.T) {
	t.Parallel()
	r, ctx := newClaimedStore(t)
	hash := document.HashText("text")
	if err := r.WriteBatch(ctx, r.work, vector.Batch{New: []vector.EmbeddedPassage{{Hash: hash, PassageText: document.PassageText{Content: "text"}, Vector: []float32{1, 0}}}}, document.KnowledgeProgress{}); err != nil {
		t.Fatal(err)
	}
	if err := r.DeleteDocument(ctx, r.accepted.Document.ID); err != nil {
		t.Fatal(err)
	}
	next, err := upload(ctx, r.Store, r.upload)
	if err != nil {
		t.Fatal(err)
	}
	work := r.claim(t, ctx, next.Job, task.KindKnowledge)
	space := r.collection.ActiveSpace.ID
	execute(t, r.owner, `INSERT INTO garbage (tenant, kind, space, hashes) VALUES ('default', 'passages', $1, ARRAY[$2::bytea])`, space, hash[:])
	entries, err := r.Garbage(ctx, 0, 10)
	if err != nil {
		t.Fatal(err)
	}
	var entry garbage.Entry
	for _, g := range entries {
		if g.Kind == garbage.KindPassages {
			entry = g
		}
	}

	// A reader of what attempts have paid for, as Collect is to find orphans
	// and Write does not, waits for the owner.
	execute(t, r.owner, `INSERT INTO garbage (tenant, kind, space, document, hashes) VALUES ('default', 'passages', $1, gen_random_uuid(), '{}')`, space)
	execute(t, r.owner, `ALTER POLICY tenant ON garbage USING (kind <> 'passages' OR document IS NULL OR pg_advisory_xact_lock_shared(1)::text IS NOT NULL)`)
	owner := connect(t, r.owner)
	defer owner.Close(context.Background())
	if _, err := owner.Exec(ctx, `SELECT pg_advisory_lock(1)`); err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() {
		_, err := r.CollectGarbage(ctx, entry, 0, 10)
		done <- err
	}()
	if err, ended := r.waitUntilBlocked(t, 1, done); ended {
		t.Fatalf("Collect did not wait: %v", err)
	}
	if err := r.WriteBatch(ctx, work, vector.Batch{Entries: []vector.ManifestEntry{{Hash: hash, End: 4}}}, document.KnowledgeProgress{}); err != nil {
		t.Fatal(err)
	}
	if _, err := owner.Exec(ctx, `SELECT pg_advisory_unlock(1)`); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
	if err := r.Publish(ctx, work, nil, document.KnowledgeProgress{Passages: 1}); err != nil {
		t.Error(err)
	}
}

// A delivery to a webhook that goes at the same moment must not keep the job
// from ending: it would undo the whole transaction.
func TestJobEndsWhileItsWebhookIsDeleted(t *testing.T) {
	t.Parallel()
	r, ctx := newClaimedStore(t)
	if _, err := r.AddWebhook(ctx, document.Webhook{ID: uuid.New(), Secret: document.NewWebhookSecret()}); err != nil {
		t.Fatal(err)
	}
	kept, err := r.AddWebhook(ctx, document.Webhook{ID: uuid.Max, Secret: document.NewWebhookSecret()})
	if err != nil {
		t.Fatal(err)
	}
	if err := r.callDuringTransaction(t, ctx, func() error {
		return r.DeleteDocument(ctx, r.accepted.Document.ID)
	}, `DELETE FROM webhooks WHERE id <> '`+kept.ID.String()+`'`); err != nil {
		t.Fatal(err)
	}
	if list, err := r.Deliveries(ctx, kept.ID, document.Page{Limit: 10}); err != nil || len(list.Items) != 1 {
		t.Errorf("got %d deliveries to the webhook that stays, %v; want 1", len(list.Items), err)
	}
}
