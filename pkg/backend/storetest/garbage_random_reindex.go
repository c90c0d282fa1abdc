package storetest

import (
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/seed-7a112592/gristmill/pkg/document"
)

func (r *random) begin() {
	c, _ := pick(r, r.collections)
	request := anotherModel(c)
	switch r.rand.IntN(3) {
	case 0:
		request.Model = c.Space.Model
	case 1:
		request = document.ReindexRequest{Collection: c.Name, Force: true}
	}
	begun, err := r.s.BeginReindex(r.ctx, request)
	if !r.allow(err) {
		return
	}
	r.reindexes = append(r.reindexes, begun.ID)
}

// build goes on with a reindex: it places some documents, some of them twice, buys
// what it does not place, and may be done.
func (r *random) build() {
	id, ok := pick(r, r.reindexes)
	if !ok {
		return
	}
	work, err := r.s.Claim(r.ctx, reindexRef(r.t, r.ctx, id), -leaseTime)
	if !r.allow(err) {
		return
	}
	if readReindex(r.t, r.ctx, r.s, id).Change == document.ChangeNothing {
		_, err := r.s.Requeue(r.ctx, work, 2)
		r.allow(err)
		r.listJobs()
		return
	}
	rebuild, err := r.s.Rebuild(r.ctx, work)
	if !r.allow(err) {
		return
	}
	missing, err := r.s.Unplaced(r.ctx, work, uuid.Nil, 100)
	r.allow(err)
	all := r.rand.IntN(2) == 0
	for _, of := range missing {
		if all || r.rand.IntN(2) == 0 {
			whole := wholeOf(of, passagesIn(work.Space, storedTexts(r.t, r.ctx, r.s, rebuild.From, of)...)...)
			whole.New = append(whole.New, passagesIn(work.Space, fmt.Sprint("bought ", r.rand.IntN(4)))...)
			if r.rand.IntN(2) == 0 { // what an attempt of before has placed of it
				part := wholeOf(of, passagesIn(work.Space, fmt.Sprint("replaced ", r.rand.IntN(4)))...)
				part.Places[0].Whole = -1
				r.allow(r.s.Place(r.ctx, work, part, document.ReindexProgress{}))
			}
			for range 1 + r.rand.IntN(2) {
				r.allow(r.s.Place(r.ctx, work, whole, document.ReindexProgress{}))
			}
		}
	}
	if all {
		r.allow(r.s.Switch(r.ctx, work, r.keep(), document.ReindexProgress{}))
	} else if r.rand.IntN(4) == 0 {
		r.allow(r.s.Settle(r.ctx, work, document.Outcome{Verdict: document.VerdictFail, Error: "broken"}))
	}
}

// keep returns for how long a space is kept that is left: for ever, or not at all.
func (r *random) keep() time.Duration {
	if r.rand.IntN(2) == 0 {
		return 0
	}
	return 2 * later
}

func (r *random) steer() {
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
		_, err = r.s.CancelReindex(r.ctx, id, r.keep())
	default:
		_, err = r.s.RevertReindex(r.ctx, id, r.keep())
	}
	r.allow(err)
}
