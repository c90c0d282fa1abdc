package main

import (
	"fmt"

	"github.com/google/uuid"

	"github.com/seed-7a112592/gristmill/internal/task"
	"github.com/seed-7a112592/gristmill/internal/tenant"
)

// queueSeries are databases in which one tenant has many waiting jobs and another has none.
var queueSeries = series{
	name:    "queue",
	sizes:   func(o options) []int { return []int{o.n / 10, o.n, 10 * o.n, 100 * o.n} },
	fill:    fillQueue,
	figures: []figure{{"calls", measureQueueCalls}, {"memory", measureMemory}},
}

const otherTenant = "other" // tenant

func fillQueue(d *database) {
	d.fixture.collection, d.fixture.jobsWait = func() string { return indexedCollection }, true
	d.exec("INSERT INTO public.tenants (id) VALUES ($1)", otherTenant)
	d.ingest(d.ensureCollection(indexedCollection, shortModel), "searched.md", "{}", passages(smallPassages, dimensions))
	waiting := d.upload(d.ensureCollection(indexedCollection, shortModel), "waiting/made.md", "{}")
	d.addClones(docTemplate{original: waiting, prefix: "waiting/", count: d.size, waiting: true})
	d.exec("ANALYZE")
	for _, s := range d.fixture.templates {
		d.checkClones(s)
	}
	backlog, err := d.store.Backlog(d.ctx)
	d.must(err)
	if want := (task.Backlog{Jobs: int64(d.size) + 1, Bytes: 4000 * (int64(d.size) + 1)}); backlog != want {
		d.Fatalf("the backlog is %+v, want %+v", backlog, want)
	}
	_, err = d.store.Dispatch(d.ctx, dispatchWindows) // fills the dispatch window
	d.must(err)
}

func measureQueueCalls(r *report, of []*database) {
	r.time(of,
		call{"one task ends, the next is dispatched", maxRatio, func(d *database, _ int) func() error {
			return func() error {
				due, err := d.store.RedispatchOverdue(d.ctx, 0, 1) // any task in the queue
				if err != nil {
					return err
				}
				work, err := d.store.Claim(d.ctx, due[0].Ref, lease)
				if err != nil {
					return err
				}
				if err := d.store.RecordOutcome(d.ctx, work, task.Outcome{Verdict: task.VerdictFail, Error: "ended"}); err != nil {
					return err
				}
				_, err = d.store.Dispatch(d.ctx, dispatchWindows)
				return err
			}
		}},
		call{"the queue is refilled after it was lost", maxRatio, func(d *database, _ int) func() error {
			return func() error {
				_, err := d.store.RedispatchOverdue(d.ctx, 0, 500)
				return err
			}
		}},
		call{"the backlog is read", maxRatio, func(d *database, _ int) func() error {
			return func() error {
				_, err := d.store.Backlog(d.ctx)
				return err
			}
		}},
		call{"another tenant's upload is dispatched", maxRatio, func(d *database, _ int) func() error {
			theirs := *d
			theirs.ctx = tenant.With(d.Context(), otherTenant)
			c := theirs.ensureCollection("theirs", shortModel)
			if before := d.fixture.uploaded; before != uuid.Nil {
				_, err := d.store.CancelJob(theirs.ctx, before)
				d.must(err)
			}
			return func() error {
				d.fixture.uploaded = theirs.upload(c, uuid.NewString(), "{}").Job.ID
				dispatched, err := d.store.Dispatch(theirs.ctx, dispatchWindows)
				if err == nil && len(dispatched) != len(task.JobKinds) {
					err = fmt.Errorf("%d tasks were dispatched, want the two of the upload", len(dispatched))
				}
				return err
			}
		}},
	)
}
