package storetest

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/google/uuid"

	"github.com/seed-7a112592/gristmill/pkg/document"
	"github.com/seed-7a112592/gristmill/pkg/fault"
	"github.com/seed-7a112592/gristmill/pkg/tenant"
)

// CollectsAllGarbage does random things to a new store and holds the garbage list
// to a search of all rows: whatever is garbage is listed at any time, and once all
// work has ended the list leads to nothing but what is needed. Check looks into the
// rows then; it may be nil.
func CollectsAllGarbage(t *testing.T, open func(t *testing.T) Store, check func(t *testing.T)) {
	const seeds, steps = 4, 300
	for seed := range seeds {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			r := &random{
				t: t, ctx: as(t, tenant.Default), s: open(t), rand: rand.New(rand.NewPCG(uint64(seed), 11)),
				objects: map[string]bool{},
			}
			r.collections = []document.Collection{ensure(t, r.ctx, r.s, "one"), ensure(t, r.ctx, r.s, "two")}
			for step := range steps {
				name := r.step()
				if found := search(t, r.ctx, r.s, 50); found != (document.GarbageFound{}) {
					t.Fatalf("step %d, %s: nothing lists %s", step, name, found)
				}
				if t.Failed() {
					t.Fatalf("at step %d, %s", step, name)
				}
			}
			r.end()
			r.checkObjects()
			if check != nil {
				check(t)
			}
		})
	}
}

// random is a store, and who does random things to it.
type random struct {
	t    *testing.T
	ctx  context.Context
	s    Store
	rand *rand.Rand

	collections []document.Collection
	jobs        []document.Job
	reindexes   []uuid.UUID
	objects     map[string]bool // that object storage has
}

// allow fails the test unless the error is one that a caller may meet.
func (r *random) allow(err error) bool {
	r.t.Helper()
	for _, kind := range []fault.Kind{fault.Conflict, fault.NotFound, fault.Unavailable, fault.LeaseLost} {
		if fault.Is(err, kind) {
			return false
		}
	}
	if err != nil {
		r.t.Error(err)
	}
	return err == nil
}

// step does one thing, and says what.
func (r *random) step() string {
	things := []struct {
		name   string
		weight int
		do     func()
	}{
		{"upload", 6, r.upload}, {"knowledge", 12, r.knowledge}, {"summary", 5, r.summary}, {"delete", 3, r.delete},
		{"cancel", 1, r.cancel}, {"retry", 2, r.retry}, {"abandon", 1, r.abandon}, {"look up", 2, r.lookUp},
		{"begin reindex", 2, r.begin}, {"build", 6, r.build}, {"steer reindex", 2, r.steer}, {"collect", 8, r.collect},
	}
	total := 0
	for _, thing := range things {
		total += thing.weight
	}
	n := r.rand.IntN(total)
	for _, thing := range things {
		if n -= thing.weight; n < 0 {
			thing.do()
			return thing.name
		}
	}
	return ""
}

func pick[T any](r *random, from []T) (one T, ok bool) {
	if len(from) == 0 {
		return one, false
	}
	return from[r.rand.IntN(len(from))], true
}

// texts returns some of a few texts, which documents share.
func (r *random) texts() (texts []string) {
	for _, n := range r.rand.Perm(8)[:1+r.rand.IntN(4)] {
		texts = append(texts, fmt.Sprint("text ", n))
	}
	return texts
}

func (r *random) upload() {
	c, _ := pick(r, r.collections)
	upload := uploadOf(c, fmt.Sprint("key ", r.rand.IntN(4)))
	accepted := accept(r.t, r.ctx, r.s, upload)
	r.objects[upload.Object] = true
	r.jobs = append(r.jobs, accepted.Job)
}

func (r *random) abandon() {
	upload := uploadOf(r.collections[0], "abandoned")
	note(r.t, r.ctx, r.s, upload)
	r.objects[upload.Object] = true
	_, err := r.s.AbandonUploads(r.ctx, 0, 10)
	r.allow(err)
}

// knowledge makes an attempt at a task: it writes some of its passages, and is
// done, or fails, or dies.
func (r *random) knowledge() {
	job, ok := pick(r, r.jobs[max(0, len(r.jobs)-5):])
	if !ok {
		return
	}
	ttl := leaseTime
	if r.rand.IntN(4) == 0 {
		ttl = -leaseTime // dies on the way
	}
	work, err := r.s.Claim(r.ctx, refOf(r.t, r.ctx, job, document.Knowledge), ttl)
	if !r.allow(err) {
		return
	}
	texts := r.texts()
	live, err := writeIn(r.ctx, r.s, work.Space, work, texts...)
	if !r.allow(err) {
		return
	}
	var also []document.Placement
	for _, space := range work.Also {
		if r.rand.IntN(4) > 0 {
			placement, err := writeIn(r.ctx, r.s, space, work, texts...)
			if r.allow(err) {
				also = append(also, placement)
			}
		}
	}
	if ttl < 0 {
		return
	}
	switch verdicts := []document.Verdict{document.VerdictRetry, document.VerdictWait, document.VerdictFail}; r.rand.IntN(5) {
	case 0, 1:
		r.allow(r.s.Settle(r.ctx, work, document.Outcome{Verdict: verdicts[r.rand.IntN(3)], Error: "broken"}))
	default:
		r.allow(r.s.Publish(r.ctx, work, also, document.KnowledgeProgress{Passages: live.Passages}))
	}
}

func (r *random) summary() {
	job, ok := pick(r, r.jobs)
	if !ok {
		return
	}
	work, err := r.s.Claim(r.ctx, refOf(r.t, r.ctx, job, document.Summarise), leaseTime)
	if !r.allow(err) {
		return
	}
	node := document.HashText(fmt.Sprint("section ", r.rand.IntN(4)))
	r.allow(r.s.SaveSectionSummaries(r.ctx, work, map[document.Hash]string{node: "text"}, document.SummaryProgress{}))
	r.allow(r.s.FinishSummary(r.ctx, work, document.Summary{}, document.SummaryProgress{}))
}

func (r *random) delete() {
	if job, ok := pick(r, r.jobs); ok {
		r.allow(r.s.DeleteDocument(r.ctx, job.DocumentID))
	}
}

func (r *random) cancel() {
	if job, ok := pick(r, r.jobs); ok {
		_, err := r.s.CancelJob(r.ctx, job.ID)
		r.allow(err)
	}
}

func (r *random) retry() {
	if job, ok := pick(r, r.jobs); ok {
		_, err := r.s.RetryJob(r.ctx, job.ID)
		r.allow(err)
	}
}

// lookUp looks up what another collection may have, as a worker that dies then.
func (r *random) lookUp() {
	c, _ := pick(r, r.collections)
	var texts []document.Embedded
	for _, text := range r.texts() {
		texts = append(texts, passageOf(text))
	}
	_, err := r.s.Known(r.ctx, live(r.t, r.ctx, r.s, c).Space, hashesOf(texts...))
	r.allow(err)
}

// listJobs finds the jobs that a reindex made.
func (r *random) listJobs() {
	list, err := r.s.Jobs(r.ctx, document.JobFilter{}, document.Page{Limit: 1000})
	if r.allow(err) {
		r.jobs = list.Items
		slices.Reverse(r.jobs)
	}
}

// collect does what the sweep does with some entries, as if much time had passed.
func (r *random) collect() {
	all, err := r.s.Garbage(r.ctx, later, 1000)
	r.allow(err)
	for _, g := range all {
		if r.rand.IntN(2) == 0 {
			r.collectEntry(g, later)
		}
	}
	if r.rand.IntN(2) == 0 {
		_, err := r.s.DropSections(r.ctx, 0, 10)
		r.allow(err)
	}
}

func (r *random) collectEntry(g document.Garbage, ahead time.Duration) {
	switch g.Kind {
	case document.GarbageSearch:
		r.allow(r.s.Unlist(r.ctx, g))
	case document.GarbageObject:
		delete(r.objects, g.Object)
		if r.rand.IntN(4) > 0 { // else it is killed in between
			r.allow(r.s.Unlist(r.ctx, g))
		}
	default:
		for range 1 + r.rand.IntN(10) {
			more, err := r.s.Collect(r.ctx, g, ahead, 2)
			if !r.allow(err) || !more {
				return
			}
		}
	}
}

// end ends all work, and collects all that is garbage.
func (r *random) end() {
	for _, id := range r.reindexes {
		_, err := r.s.CancelReindex(r.ctx, id, 0)
		r.allow(err)
	}
	r.listJobs()
	for _, job := range r.jobs {
		_, err := r.s.CancelJob(r.ctx, job.ID)
		r.allow(err)
	}
	for range 20 {
		// Spaces that are kept go too.
		all, err := r.s.Garbage(r.ctx, 10*later, 1000)
		r.allow(err)
		if len(all) == 0 {
			break
		}
		for _, g := range all {
			for range 5 {
				r.collectEntry(g, 10*later)
			}
		}
	}
	for range 3 {
		_, err := r.s.DropSections(r.ctx, -time.Hour, 100)
		r.allow(err)
	}
	if all, err := r.s.Garbage(r.ctx, 10*later, 1000); err != nil || len(all) > 0 {
		r.t.Errorf("in the end: listed %+v, %v", all, err)
	}
	if found := search(r.t, r.ctx, r.s, 2); found != (document.GarbageFound{}) {
		r.t.Errorf("in the end: nothing lists %s", found)
	}
}

// checkObjects checks that object storage has the originals of the versions that
// are needed, and nothing else.
func (r *random) checkObjects() {
	kept, err := r.s.Kept(r.ctx, document.KeptFilter{}, uuid.Nil, 1000)
	r.allow(err)
	var want, got []string
	for _, k := range kept {
		want = append(want, k.Original.Object)
		if !k.Live {
			continue
		}
		placed, err := r.s.PlacedPassages(r.ctx, k, 0, 1000)
		if r.allow(err) && int64(len(placed)) != k.Passages {
			r.t.Errorf("%d places are left of the %d of document %s", len(placed), k.Passages, k.Document)
		}
		for _, p := range placed {
			if p.Dimensions < 0 {
				r.t.Errorf("passage %d of document %s is gone", p.Ordinal, k.Document)
			}
		}
	}
	for object := range r.objects {
		got = append(got, object)
	}
	slices.Sort(want)
	slices.Sort(got)
	if diff := cmp.Diff(slices.Compact(want), got, cmpopts.EquateEmpty()); diff != "" {
		r.t.Errorf("objects (-needed +left):\n%s", diff)
	}
	r.t.Logf("%d jobs, %d reindexes; %d versions are kept", len(r.jobs), len(r.reindexes), len(kept))
}
