package cli

import (
	"time"

	"github.com/seed-7a112592/gristmill/pkg/document"
)

// rateWindow is the time over which the rate of a reindex is measured. Progress changes in steps,
// when batches are written; the window is longer if it would have less than one step.
const rateWindow = 30 * time.Second

// progressRate measures the rate of a reindex from samples of its progress.
type progressRate struct {
	samples []progressSample // with different progress, the oldest first
	now     time.Time        // of the last record
}

type progressSample struct {
	at time.Time
	document.ReindexProgress
}

// record adds a sample of a reindex.
func (p *progressRate) record(r document.Reindex, now time.Time) {
	if r.State != document.JobRunning {
		p.samples = nil // time that is spent waiting must not change the rate
		return
	}
	p.now = now
	if n := len(p.samples); n > 0 {
		last := p.samples[n-1]
		switch {
		case r.Progress.Passages < last.Passages || r.Progress.BytesDone < last.BytesDone:
			p.samples = nil // the count began again
		case r.Progress.Passages == last.Passages && r.Progress.BytesDone == last.BytesDone:
			return
		}
	}
	p.samples = append(p.samples, progressSample{now, r.Progress})
	for len(p.samples) > 2 && now.Sub(p.samples[1].at) >= rateWindow {
		p.samples = p.samples[1:]
	}
}

// passagesPerSecond returns the rate in passages per second, 0 if it is not known yet.
func (p *progressRate) passagesPerSecond() float64 {
	if len(p.samples) < 2 {
		return 0
	}
	first, last := p.samples[0], p.samples[len(p.samples)-1]
	return float64(last.Passages-first.Passages) / p.now.Sub(first.at).Seconds()
}

// timeLeft returns the estimated time until the end, 0 if it is not known yet. It is based on
// bytes, because the total number of passages is not known before the end.
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
