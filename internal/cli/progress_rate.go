package cli

import (
	"time"

	"github.com/seed-7a112592/gristmill/pkg/document"
)

// rateWindow is how far back a reindex's pace looks. Progress comes in steps, as
// batches are written, so it looks back over one step at least.
const rateWindow = 30 * time.Second

// progressRate is how fast a reindex goes by what was seen of it.
type progressRate struct {
	samples []progressSample // of different progress, the oldest first
	now     time.Time
}

type progressSample struct {
	at time.Time
	document.ReindexProgress
}

// record notes what a reindex is at.
func (p *progressRate) record(r document.Reindex, now time.Time) {
	if r.State != document.JobRunning {
		p.samples = nil // what it waits for says nothing about its pace
		return
	}
	p.now = now
	if n := len(p.samples); n > 0 {
		last := p.samples[n-1]
		switch {
		case r.Progress.Passages < last.Passages || r.Progress.BytesDone < last.BytesDone:
			p.samples = nil // it counts anew
		case r.Progress.Passages == last.Passages && r.Progress.BytesDone == last.BytesDone:
			return
		}
	}
	p.samples = append(p.samples, progressSample{now, r.Progress})
	for len(p.samples) > 2 && now.Sub(p.samples[1].at) >= rateWindow {
		p.samples = p.samples[1:]
	}
}

// passagesPerSecond returns how many were done a second; 0 when that is not known yet.
func (p *progressRate) passagesPerSecond() float64 {
	if len(p.samples) < 2 {
		return 0
	}
	first, last := p.samples[0], p.samples[len(p.samples)-1]
	return float64(last.Passages-first.Passages) / p.now.Sub(first.at).Seconds()
}

// timeLeft returns how long the rest will take; 0 when that is not known yet. It
// goes by bytes: how many passages there will be is not known before the end.
func (p *progressRate) timeLeft() time.Duration {
	if len(p.samples) < 2 {
		return 0
	}
	first, last := p.samples[0], p.samples[len(p.samples)-1]
	done := last.BytesDone - first.BytesDone
	if done == 0 {
		return 0
	}
	return time.Duration(float64(p.now.Sub(first.at)) * float64(last.Bytes-last.BytesDone) / float64(done))
}
