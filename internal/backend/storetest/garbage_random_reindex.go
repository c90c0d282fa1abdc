package storetest

import (
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/seed-7a112592/gristmill/internal/task"
	"github.com/seed-7a112592/gristmill/pkg/document"
)

func (r *randomClient) beginReindex() {
	c, _ := pick(r, r.collections)
	request := changeModelRequest(c)
	switch r.rand.IntN(3) {
	case 0:
		request.Model = c.ActiveSpace.Model
	case 1:
		request = document.ReindexRequest{Collection: c.Name, Force: true}
	}
	begun, err := r.s.BeginReindex(r.ctx, request)
	if !r.checkError(err) {
		return
	}
	r.reindexes = append(r.reindexes, begun.ID)
}

// buildSpace goes on with a reindex: it places some documents, some of them twice, buys
// what it does not place, and may be done.
func (r *randomClient) buildSpace() {
	id, ok := pick(r, r.reindexes)
	if !ok {
		return
	}
	work, err := r.s.Claim(r.ctx, reindexRef(r.t, r.ctx, id), -leaseTime)
	if !r.checkError(err) {
		return
	}
	if readReindex(r.t, r.ctx, r.s, id).Change == document.ChangeNothing {
		_, err := r.s.RequeueDocuments(r.ctx, work, 2)
		r.checkError(err)
		r.listJobs()
		return
	}
	rebuild, err := r.s.PlanRebuild(r.ctx, work)
	if !r.checkError(err) {
		return
	}
	missing, err := r.s.MissingVersions(r.ctx, work, uuid.Nil, 100)
	r.checkError(err)
	all := r.rand.IntN(2) == 0
	for _, of := range missing {
		if all || r.rand.IntN(2) == 0 {
			whole := spaceWriteOf(of, passagesIn(work.Space, versionTexts(r.t, r.ctx, r.s, rebuild.From, of)...)...)
			whole.New = append(whole.New, passagesIn(work.Space, fmt.Sprint("bought ", r.rand.IntN(4)))...)
			if r.rand.IntN(2) == 0 { // what an attempt of before has placed of it
				part := spaceWriteOf(of, passagesIn(work.Space, fmt.Sprint("replaced ", r.rand.IntN(4)))...)
				part.Versions[0].TotalEntries = -1
				r.checkError(r.s.WriteToSpace(r.ctx, work, part, document.ReindexProgress{}))
			}
			for range 1 + r.rand.IntN(2) {
				r.checkError(r.s.WriteToSpace(r.ctx, work, whole, document.ReindexProgress{}))
			}
		}
	}
	if all {
		r.checkError(r.s.ActivateSpace(r.ctx, work, r.randomKeep(), document.ReindexProgress{}))
	} else if r.rand.IntN(4) == 0 {
		r.checkError(r.s.RecordOutcome(r.ctx, work, task.Outcome{Verdict: task.VerdictFail, Error: "broken"}))
	}
}

// randomKeep returns for how long a space is kept that is left: for ever, or not at all.
func (r *randomClient) randomKeep() time.Duration {
	if r.rand.IntN(2) == 0 {
		return 0
	}
	return 2 * farFuture
}

func (r *randomClient) controlReindex() {
	id, ok := pick(r, r.reindexes)
	if !ok {
		return
	}
	var err error
	switch r.rand.IntN(4) {
	case 0:
		_, err = r.s.PauseReindex(r.ctx, id)
	case 1:
		_, err = r.s.ResumeReindex(r.ctx, id)
	case 2:
		_, err = r.s.CancelReindex(r.ctx, id, r.randomKeep())
	default:
		_, err = r.s.RevertReindex(r.ctx, id, r.randomKeep())
	}
	r.checkError(err)
}
