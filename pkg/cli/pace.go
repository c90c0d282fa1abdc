package cli

import (
	"time"

	"github.com/seed-7a112592/gristmill/pkg/document"
)

// paceOver is how far back a reindex's pace looks. Progress comes in steps, as
// batches are written, so it looks back over one step at least.
const paceOver = 30 * time.Second

// pace is how fast a reindex goes by what was seen of it.
type pace struct {
	seen []sight // of different progress, the oldest first
	now  time.Time
}

type sight struct {
	at time.Time
	document.ReindexProgress
}

// see notes what a reindex is at.
func (p *pace) see(r document.Reindex, now time.Time) {
	if r.State != document.Running {
		p.seen = nil // what it waits for says nothing about its pace
		return
	}
	p.now = now
	if n := len(p.seen); n > 0 {
		last := p.seen[n-1]
		switch {
		case r.Progress.Passages < last.Passages || r.Progress.BytesDone < last.BytesDone:
			p.seen = nil // it counts anew
		case r.Progress.Passages == last.Passages && r.Progress.BytesDone == last.BytesDone:
			return
		}
	}
	p.seen = append(p.seen, sight{now, r.Progress})
	for len(p.seen) > 2 && now.Sub(p.seen[1].at) >= paceOver {
		p.seen = p.seen[1:]
	}
}

// passages returns how many were done a second; 0 when that is not known yet.
func (p *pace) passages() float64 {
	if len(p.seen) < 2 {
		return 0
	}
	first, last := p.seen[0], p.seen[len(p.seen)-1]
	return float64(last.Passages-first.Passages) / p.now.Sub(first.at).Seconds()
}

// left returns how long the rest will take; 0 when that is not known yet. It
// goes by bytes: how many passages there will be is not known before the end.
func (p *pace) left() time.Duration {
	if len(p.seen) < 2 {
		return 0
	}
	first, last := p.seen[0], p.seen[len(p.seen)-1]
	done := last.BytesDone - first.BytesDone
	if done == 0 {
		return 0
	}
	return time.Duration(float64(p.now.Sub(first.at)) * float64(last.Bytes-last.BytesDone) / float64(done))
}
