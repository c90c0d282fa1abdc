package main

import (
	"context"
	"errors"
	"fmt"
	"math"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/seed-7a112592/gristmill/internal/fault"
	"github.com/seed-7a112592/gristmill/internal/garbage"
	"github.com/seed-7a112592/gristmill/internal/rebuild"
	"github.com/seed-7a112592/gristmill/internal/task"
	"github.com/seed-7a112592/gristmill/internal/vector"
	"github.com/seed-7a112592/gristmill/pkg/document"
)

const (
	maxLockWait = 100 // ms

	soak        = time.Hour // retention of a space that is no longer active
	collectRows = 1000      // rows deleted at a time, as in internal/pipeline/sweep
)

// measureLocks measures how long statements for other documents of the collection library wait for
// a lock while a document is published or deleted, while a reindex activates its space, while that
// is reverted, and while the space is dropped.
func measureLocks(r *report, of []*database) {
	const times = 30
	waits, took := map[string][]float64{}, map[string][]float64{}
	steps := []string{"publish", "delete", "count for a reindex", "switch of a reindex", "revert of a reindex", "drop of a space"}
	for _, shared := range of {
		d := *shared
		d.fixture.collection = func() string { return plainCollection }
		t := d.startTraffic()
		note := func(step string, n int, do func()) {
			t.waits.reset()
			begin := time.Now()
			do()
			took[step] = append(took[step], time.Since(begin).Seconds()*1000/float64(n))
			waits[step] = append(waits[step], t.waits.longestMillis())
		}
		var written []writtenVersion
		var documents []uuid.UUID
		for range times {
			accepted := d.upload(d.collection(), uuid.NewString(), "{}")
			written = append(written, d.writeVersion(accepted.Job, passages(smallPassages, dimensions)))
			documents = append(documents, accepted.Document.ID)
		}
		note(steps[0], times, func() {
			for _, w := range written {
				d.must(d.publish(w))
			}
		})
		note(steps[1], times, func() {
			for _, id := range documents {
				d.must(d.store.DeleteDocument(d.ctx, id))
			}
		})
		work := d.reindexUntilSwitch()
		note(steps[2], 1, func() {
			_, err := d.store.PlanRebuild(d.ctx, work)
			d.must(err)
		})
		note(steps[3], 1, func() { d.must(d.store.ActivateSpace(d.ctx, work, soak, document.ReindexProgress{})) })
		note(steps[4], 1, func() {
			_, err := d.store.RevertReindex(d.ctx, work.JobID, soak)
			d.must(err)
		})
		t.awaitPublications() // waits for the documents that are being written to the space
		note(steps[5], 1, func() { d.dropSpace(work.Space) })
		t.stopAndWait()
	}
	for _, step := range steps {
		r.printMax(step+": longest wait of others", "ms", waits[step], maxLockWait)
		r.printRatio(step+": what it takes", "ms", took[step], 0)
	}
}

// dropSpace drops an inactive space before the end of its retention.
func (d *database) dropSpace(space vector.Space) {
	due, err := d.store.Garbage(d.ctx, 2*soak, math.MaxInt32)
	d.must(err)
	for _, g := range due {
		for more := g.Kind == garbage.KindSpace && g.SpaceID == space.ID; more; {
			more, err = d.store.CollectGarbage(d.ctx, g, 2*soak, collectRows)
			if fault.Is(err, fault.Conflict) { // other statements hold locks on its rows or its table
				more, err = true, nil
			}
			d.must(err)
		}
	}
	if d.queryBool("SELECT EXISTS (SELECT FROM public.spaces WHERE id = $1)", space.ID) {
		d.Fatalf("space %d is not dropped", space.ID)
	}
}

// reindexUntilSwitch starts a reindex of the library for another model and does everything except
// the switch. The product writes one document, in one passage, to the new space; SQL writes all
// others in the same way.
func (d *database) reindexUntilSwitch() task.Work {
	r, err := d.store.BeginReindex(d.ctx, document.ReindexRequest{Collection: plainCollection, Model: document.Model{Name: "next", Dimensions: dimensions / 2}})
	d.must(err)
	work := d.claim(document.Job{DocumentID: r.ID, Version: 1}, task.KindReindex)
	missing, err := d.store.MissingVersions(d.ctx, work, uuid.Nil, 1)
	d.must(err)
	text := passages(1, dimensions/2)
	d.must(d.store.WriteToSpace(d.ctx, work, rebuild.SpaceWrite{
		New: text,
		Versions: []rebuild.VersionWrite{{
			MissingVersion: missing[0], TotalEntries: 1,
			Entries: []vector.ManifestEntry{{Hash: text[0].Hash, End: int64(len(text[0].Content))}},
		}},
		Checkpoint: missing[0].DocumentID,
	}, document.ReindexProgress{}))
	d.cloneIntoSpace(missing[0].DocumentID, work.Space)
	return work
}

// cloneIntoSpace writes all published documents of a collection to a space, like the document
// written, which the product has written to it.
func (d *database) cloneIntoSpace(written uuid.UUID, space vector.Space) {
	for _, table := range d.queryTexts(`
		SELECT c.relname FROM pg_class c
		WHERE c.relnamespace = 'public'::regnamespace AND c.relkind = 'r'
		  AND (SELECT count(*) FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attname IN ('document', 'space') AND NOT a.attisdropped) = 2`) {
		into, values := "", ""
		for _, c := range d.columns(table) {
			value := fmt.Sprintf("made.%q", c.name)
			switch {
			case c.identity:
				continue
			case c.name == "document":
				value = "d.id"
			case c.name == "version":
				value = "d.published_version"
			}
			if into != "" {
				into, values = into+", ", values+", "
			}
			into, values = into+fmt.Sprintf("%q", c.name), values+value
		}
		d.exec(fmt.Sprintf(`
			INSERT INTO public.%[1]q (%[2]s)
			SELECT %[3]s
			FROM (SELECT * FROM public.%[1]q WHERE document = $1 AND space = $2) AS made
			CROSS JOIN public.documents d
			WHERE d.collection = $3 AND d.deleted_at IS NULL AND d.published_version IS NOT NULL AND d.id <> $1
			ON CONFLICT DO NOTHING`, table, into, values), written, space.ID, space.CollectionID)
	}
	d.exec("ANALYZE")
}

// traffic consists of other clients that use documents of the collection at the same time.
type traffic struct {
	d     *database
	stop  context.CancelFunc
	done  sync.WaitGroup
	waits *lockWaits

	publishing sync.RWMutex // held for reading while a document is ingested
}

const trafficName = "traffic" // application_name of its connections

func (d *database) startTraffic() *traffic {
	ctx, stop := context.WithCancel(d.ctx)
	theirs := *d
	installation := *d.installation
	installation.AppURL += "&application_name=" + trafficName
	theirs.installation = &installation
	theirs.store = theirs.openStore(connections)
	theirs.owner = installation.Connect() // used only by the goroutine that reads
	t := &traffic{d: &theirs, stop: stop, waits: d.watchWaits(ctx)}
	template := d.fixture.templates[0]
	for range 2 {
		t.done.Go(func() {
			for ctx.Err() == nil {
				t.publishOne()
			}
		})
	}
	t.done.Go(func() {
		for i := 0; ctx.Err() == nil; i++ {
			n := template.first + i*7919%template.count
			_, err := theirs.store.Job(d.ctx, theirs.cloneID(template.original.Job.ID, n))
			d.must(err)
			_, err = theirs.store.Passages(d.ctx, theirs.cloneID(template.original.Document.ID, n), document.Page{Limit: pageLimit})
			d.must(err)
		}
	})
	return t
}

// publishOne ingests another document. Its task waits if a space becomes active to which it is not
// written.
func (t *traffic) publishOne() {
	t.publishing.RLock()
	defer t.publishing.RUnlock()
	d := t.d
	job := d.upload(d.collection(), uuid.NewString(), "{}").Job
	w := d.writeVersion(job, passages(smallPassages, dimensions))
	if err := d.publish(w); fault.Is(err, fault.Unavailable) {
		d.must(d.store.RecordOutcome(d.ctx, w.work, task.Outcome{Verdict: task.VerdictWait, Delay: time.Hour}))
	} else {
		d.must(err)
	}
}

// awaitPublications waits until all documents that are being ingested are published.
func (t *traffic) awaitPublications() {
	t.publishing.Lock()
	defer t.publishing.Unlock()
}

func (t *traffic) stopAndWait() {
	t.stop()
	t.done.Wait()
	t.waits.done.Wait()
	t.d.store.Close()
	t.d.owner.Close(context.WithoutCancel(t.d.ctx))
}

// lockWaits samples how long connections of the traffic have been waiting for a lock.
type lockWaits struct {
	longest atomic.Int64 // microseconds
	samples atomic.Int64
	done    sync.WaitGroup
}

func (d *database) watchWaits(ctx context.Context) *lockWaits {
	w := &lockWaits{}
	name := databaseOf(d, d.installation.OwnerURL)
	server := d.serverConn()
	w.done.Go(func() {
		for ctx.Err() == nil {
			var waited int64
			err := server.QueryRow(ctx, `
				SELECT coalesce(max(extract(epoch FROM clock_timestamp() - l.waitstart) * 1e6), 0)::bigint
				FROM pg_locks l JOIN pg_stat_activity a ON a.pid = l.pid
				WHERE NOT l.granted AND a.datname = $1 AND a.application_name = $2`, name, trafficName).Scan(&waited)
			if err != nil {
				if ctx.Err() == nil && !errors.Is(err, pgx.ErrNoRows) {
					d.Errorf("read lock waits: %w", err)
				}
				return
			}
			for old := w.longest.Load(); waited > old && !w.longest.CompareAndSwap(old, waited); old = w.longest.Load() {
			}
			w.samples.Add(1)
		}
	})
	return w
}

func (w *lockWaits) reset() { w.longest.Store(0) }

// longestMillis returns the longest wait since the last reset, in milliseconds.
func (w *lockWaits) longestMillis() float64 { return float64(w.longest.Load()) / 1000 }
