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

	"github.com/seed-7a112592/gristmill/internal/fault"
	"github.com/seed-7a112592/gristmill/internal/garbage"
	"github.com/seed-7a112592/gristmill/internal/task"
	"github.com/seed-7a112592/gristmill/internal/tenant"
	"github.com/seed-7a112592/gristmill/internal/vector"
	"github.com/seed-7a112592/gristmill/internal/verification"
	"github.com/seed-7a112592/gristmill/pkg/document"
)

// CheckAllGarbageIsCollected does random things to a new store and holds the garbage list
// to a search of all rows: whatever is garbage is listed at any time, and once all
// work has ended the list leads to nothing but what is needed. Check looks into the
// rows then; it may be nil.
func CheckAllGarbageIsCollected(t *testing.T, open func(t *testing.T) Store, check func(t *testing.T)) {
	const seeds, steps = 4, 300
	for seed := range seeds {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			r := &randomClient{
				t: t, ctx: tenantContext(t, tenant.Default), s: open(t), rand: rand.New(rand.NewPCG(uint64(seed), 11)),
				objects: map[string]bool{},
			}
			r.collections = []vector.Collection{ensureCollection(t, r.ctx, r.s, "one"), ensureCollection(t, r.ctx, r.s, "two")}
			for step := range steps {
				name := r.step()
				if found := searchForGarbage(t, r.ctx, r.s, 50); found != (garbage.ScanCounts{}) {
					t.Fatalf("step %d, %s: nothing lists %s", step, name, found)
				}
				if t.Failed() {
					t.Fatalf("at step %d, %s", step, name)
				}
			}
			r.endAllWork()
			r.checkObjects()
			if check != nil {
				check(t)
			}
		})
	}
}

// randomClient is a store, and who does random things to it.
type randomClient struct {
	t    *testing.T
	ctx  context.Context
	s    Store
	rand *rand.Rand

	collections []vector.Collection
	jobs        []document.Job
	reindexes   []uuid.UUID
	objects     map[string]bool // that object storage has
}

// checkError fails the test unless the error is one that a caller may meet.
func (r *randomClient) checkError(err error) bool {
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
func (r *randomClient) step() string {
	things := []struct {
		name   string
		weight int
		do     func()
	}{
		{"upload", 6, r.upload}, {"knowledge", 12, r.knowledge}, {"summary", 5, r.summary}, {"delete", 3, r.delete},
		{"cancel", 1, r.cancel}, {"retry", 2, r.retry}, {"abandon", 1, r.expireUpload}, {"look up", 2, r.reusePassages},
		{"begin reindex", 2, r.beginReindex}, {"build", 6, r.buildSpace}, {"steer reindex", 2, r.controlReindex}, {"collect", 8, r.collect},
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

func pick[T any](r *randomClient, from []T) (one T, ok bool) {
	if len(from) == 0 {
		return one, false
	}
	return from[r.rand.IntN(len(from))], true
}

// texts returns some of a few texts, which documents share.
func (r *randomClient) texts() (texts []string) {
	for _, n := range r.rand.Perm(8)[:1+r.rand.IntN(4)] {
		texts = append(texts, fmt.Sprint("text ", n))
	}
	return texts
}

func (r *randomClient) upload() {
	c, _ := pick(r, r.collections)
	upload := uploadOf(c, fmt.Sprint("key ", r.rand.IntN(4)))
	accepted := acceptUpload(r.t, r.ctx, r.s, upload)
	r.objects[upload.Object] = true
	r.jobs = append(r.jobs, accepted.Job)
}

func (r *randomClient) expireUpload() {
	upload := uploadOf(r.collections[0], "abandoned")
	beginUpload(r.t, r.ctx, r.s, upload)
	r.objects[upload.Object] = true
	_, err := r.s.ExpireUploads(r.ctx, 0, 10)
	r.checkError(err)
}

// knowledge makes an attempt at a task: it writes some of its passages, and is
// done, or fails, or dies.
func (r *randomClient) knowledge() {
	job, ok := pick(r, r.jobs[max(0, len(r.jobs)-5):])
	if !ok {
		return
	}
	ttl := leaseTime
	if r.rand.IntN(4) == 0 {
		ttl = -leaseTime // dies on the way
	}
	work, err := r.s.Claim(r.ctx, taskRefOf(r.t, r.ctx, job, task.KindKnowledge), ttl)
	if !r.checkError(err) {
		return
	}
	texts := r.texts()
	live, err := writeInSpace(r.ctx, r.s, work.Space, work, texts...)
	if !r.checkError(err) {
		return
	}
	var also []vector.SpaceVersion
	for _, space := range work.OtherSpaces {
		if r.rand.IntN(4) > 0 {
			spaceVersion, err := writeInSpace(r.ctx, r.s, space, work, texts...)
			if r.checkError(err) {
				also = append(also, spaceVersion)
			}
		}
	}
	if ttl < 0 {
		return
	}
	switch verdicts := []task.Verdict{task.VerdictRetry, task.VerdictWait, task.VerdictFail}; r.rand.IntN(5) {
	case 0, 1:
		r.checkError(r.s.RecordOutcome(r.ctx, work, task.Outcome{Verdict: verdicts[r.rand.IntN(3)], Error: "broken"}))
	default:
		r.checkError(r.s.Publish(r.ctx, work, also, document.KnowledgeProgress{Passages: live.Passages}))
	}
}

func (r *randomClient) summary() {
	job, ok := pick(r, r.jobs)
	if !ok {
		return
	}
	work, err := r.s.Claim(r.ctx, taskRefOf(r.t, r.ctx, job, task.KindSummary), leaseTime)
	if !r.checkError(err) {
		return
	}
	node := document.HashText(fmt.Sprint("section ", r.rand.IntN(4)))
	r.checkError(r.s.SaveSectionSummaries(r.ctx, work, map[document.ContentHash]string{node: "text"}, document.SummaryProgress{}))
	r.checkError(r.s.FinishSummary(r.ctx, work, document.Summary{}, document.SummaryProgress{}))
}

func (r *randomClient) delete() {
	if job, ok := pick(r, r.jobs); ok {
		r.checkError(r.s.DeleteDocument(r.ctx, job.DocumentID))
	}
}

func (r *randomClient) cancel() {
	if job, ok := pick(r, r.jobs); ok {
		_, err := r.s.CancelJob(r.ctx, job.ID)
		r.checkError(err)
	}
}

func (r *randomClient) retry() {
	if job, ok := pick(r, r.jobs); ok {
		_, err := r.s.RetryJob(r.ctx, job.ID)
		r.checkError(err)
	}
}

// reusePassages looks up what another collection may have, as a worker that dies then.
func (r *randomClient) reusePassages() {
	c, _ := pick(r, r.collections)
	var texts []vector.EmbeddedPassage
	for _, text := range r.texts() {
		texts = append(texts, passageOf(text))
	}
	_, err := r.s.ReusePassages(r.ctx, readCollection(r.t, r.ctx, r.s, c).ActiveSpace, hashesOf(texts...))
	r.checkError(err)
}

// listJobs finds the jobs that a reindex made.
func (r *randomClient) listJobs() {
	list, err := r.s.Jobs(r.ctx, document.JobFilter{}, document.Page{Limit: 1000})
	if r.checkError(err) {
		r.jobs = list.Items
		slices.Reverse(r.jobs)
	}
}

// collect does what the sweep does with some entries, as if much time had passed.
func (r *randomClient) collect() {
	all, err := r.s.Garbage(r.ctx, farFuture, 1000)
	r.checkError(err)
	for _, g := range all {
		if r.rand.IntN(2) == 0 {
			r.collectEntry(g, farFuture)
		}
	}
	if r.rand.IntN(2) == 0 {
		_, err := r.s.DeleteUnusedSectionSummaries(r.ctx, 0, 10)
		r.checkError(err)
	}
}

func (r *randomClient) collectEntry(g garbage.Entry, ahead time.Duration) {
	switch g.Kind {
	case garbage.KindScan:
		r.checkError(r.s.DeleteGarbageEntries(r.ctx, g))
	case garbage.KindObject:
		delete(r.objects, g.Object)
		if r.rand.IntN(4) > 0 { // else it is killed in between
			r.checkError(r.s.DeleteGarbageEntries(r.ctx, g))
		}
	default:
		for range 1 + r.rand.IntN(10) {
			more, err := r.s.CollectGarbage(r.ctx, g, ahead, 2)
			if !r.checkError(err) || !more {
				return
			}
		}
	}
}

// endAllWork ends all work, and collects all that is garbage.
func (r *randomClient) endAllWork() {
	for _, id := range r.reindexes {
		_, err := r.s.CancelReindex(r.ctx, id, 0)
		r.checkError(err)
	}
	r.listJobs()
	for _, job := range r.jobs {
		_, err := r.s.CancelJob(r.ctx, job.ID)
		r.checkError(err)
	}
	for range 20 {
		// Spaces that are kept go too.
		all, err := r.s.Garbage(r.ctx, 10*farFuture, 1000)
		r.checkError(err)
		if len(all) == 0 {
			break
		}
		for _, g := range all {
			for range 5 {
				r.collectEntry(g, 10*farFuture)
			}
		}
	}
	for range 3 {
		_, err := r.s.DeleteUnusedSectionSummaries(r.ctx, -time.Hour, 100)
		r.checkError(err)
	}
	if all, err := r.s.Garbage(r.ctx, 10*farFuture, 1000); err != nil || len(all) > 0 {
		r.t.Errorf("in the end: listed %+v, %v", all, err)
	}
	if found := searchForGarbage(r.t, r.ctx, r.s, 2); found != (garbage.ScanCounts{}) {
		r.t.Errorf("in the end: nothing lists %s", found)
	}
}

// checkObjects checks that object storage has the originals of the versions that
// are needed, and nothing else.
func (r *randomClient) checkObjects() {
	kept, err := r.s.RetainedVersions(r.ctx, verification.Filter{}, uuid.Nil, 1000)
	r.checkError(err)
	var want, got []string
	for _, k := range kept {
		want = append(want, k.Original.Object)
		if !k.Published {
			continue
		}
		placed, err := r.s.ManifestPassages(r.ctx, k, 0, 1000)
		if r.checkError(err) && int64(len(placed)) != k.Passages {
			r.t.Errorf("%d places are left of the %d of document %s", len(placed), k.Passages, k.DocumentID)
		}
		for _, p := range placed {
			if p.Dimensions < 0 {
				r.t.Errorf("passage %d of document %s is gone", p.Ordinal, k.DocumentID)
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
