package cli

import (
	"bytes"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/seed-7a112592/gristmill/pkg/document"
)

// runningReindex returns a running reindex with the given progress.
func runningReindex(passages, bytes int64) document.Reindex {
	return document.Reindex{
		Collection: "docs", Change: document.ChangeModel, State: document.JobRunning, Stage: document.StageDocuments,
		Progress: document.ReindexProgress{Passages: passages, Bytes: 10000, BytesDone: bytes},
	}
}

func TestProgressRate(t *testing.T) {
	t.Parallel()
	start := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	type sample struct {
		after   int // seconds since the start
		reindex document.Reindex
	}
	paused := runningReindex(100, 1000)
	paused.State = document.JobPaused
	for name, test := range map[string]struct {
		samples  []sample
		passages float64
		left     time.Duration
	}{
		"no sample":                     {nil, 0, 0},
		"one sample":                    {[]sample{{0, runningReindex(5000, 5000)}}, 0, 0},
		"half done at the first sample": {[]sample{{0, runningReindex(5000, 5000)}, {1, runningReindex(5010, 5100)}}, 10, 49 * time.Second},
		"in steps":                      {[]sample{{0, runningReindex(0, 0)}, {1, runningReindex(0, 0)}, {2, runningReindex(100, 1000)}, {3, runningReindex(100, 1000)}, {4, runningReindex(100, 1000)}}, 25, 36 * time.Second},
		"samples before the window":     {[]sample{{0, runningReindex(0, 0)}, {10, runningReindex(1000, 1000)}, {60, runningReindex(1100, 2000)}, {90, runningReindex(1130, 3000)}}, 1, 210 * time.Second},
		"a long stall":                  {[]sample{{0, runningReindex(0, 0)}, {10, runningReindex(1000, 1000)}, {110, runningReindex(1000, 1000)}}, 1000. / 110, 990 * time.Second},
		"after a pause":                 {[]sample{{0, runningReindex(0, 0)}, {1, runningReindex(100, 1000)}, {2, paused}, {90, runningReindex(100, 1000)}, {91, runningReindex(120, 2000)}}, 20, 8 * time.Second},
		"the count begins again":        {[]sample{{0, runningReindex(0, 0)}, {1, runningReindex(100, 1000)}, {2, runningReindex(50, 500)}}, 0, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var p progressRate
			for _, sample := range test.samples {
				p.record(sample.reindex, start.Add(time.Duration(sample.after)*time.Second))
			}
			if got := p.passagesPerSecond(); math.Abs(got-test.passages) > 1e-9 {
				t.Errorf("%g passages a second, want %g", got, test.passages)
			}
			if got := p.timeLeft().Round(time.Second); got != test.left {
				t.Errorf("%s left, want %s", got, test.left)
			}
		})
	}
}

func TestReindexBar(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	bar := newReindexBar(&out)
	start := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	waiting := runningReindex(100, 2500)
	waiting.State, waiting.Error = document.JobWaiting, "the provider is down"
	index := runningReindex(400, 10000)
	index.Stage = document.StageIndex
	for i, step := range []struct {
		reindex document.Reindex
		want    []string
	}{
		{runningReindex(0, 0), []string{"docs: embedding "}},
		{runningReindex(100, 2500), []string{"docs: embedding (100 passages/s, 3s left)  25%"}},
		{waiting, []string{"docs: waiting: the provider is down\n", "docs: waiting  25%"}},
		{waiting, []string{"docs: waiting  25%"}},
		{index, []string{"docs: building the index  99%"}},
	} {
		out.Reset()
		bar.show(step.reindex, start.Add(time.Duration(i)*time.Second))
		for _, want := range step.want {
			if !strings.Contains(out.String(), want) {
				t.Errorf("step %d draws %q, want %q", i, out.String(), want)
			}
		}
		if shown := strings.Contains(out.String(), "is down"); shown != (i == 2) {
			t.Errorf("step %d shows the error: %v, want it in step 2 only", i, shown)
		}
	}
	out.Reset()
	bar.finish()
	if text := strings.Trim(out.String(), " \r\n"); strings.Contains(text, "docs") {
		t.Errorf("at the end %q remains, want nothing", text)
	}
}

func TestFormatDuration(t *testing.T) {
	t.Parallel()
	for d, want := range map[time.Duration]string{
		0: "0s", 1234 * time.Millisecond: "1.2s", 59600 * time.Millisecond: "1m", 125 * time.Second: "2m5s", time.Hour: "1h",
		24*time.Hour - time.Millisecond: "24h", 3725 * time.Second: "1h2m", 10 * time.Minute: "10m",
	} {
		if got := formatDuration(d); got != want {
			t.Errorf("%s is shown as %s, want %s", d, got, want)
		}
	}
}
