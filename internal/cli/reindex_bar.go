package cli

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/schollz/progressbar/v3"

	"github.com/seed-7a112592/gristmill/internal/upload"
	"github.com/seed-7a112592/gristmill/pkg/client"
	"github.com/seed-7a112592/gristmill/pkg/document"
)

// pollInterval is how often the display of a followed reindex is updated.
const pollInterval = time.Second

// followReindex waits until a reindex has ended and returns it. Meanwhile it shows the progress: a
// bar on a terminal, a line for each change elsewhere, nothing with --json.
func (g *globals) followReindex(ctx context.Context, c *client.Client, reindex document.Reindex) (document.Reindex, error) {
	if g.json {
		return c.AwaitReindex(ctx, reindex.ID, pollInterval, nil)
	}
	if !upload.IsTerminal(g.Stderr) {
		lines := reindexLines{w: g.Stderr}
		return c.AwaitReindex(ctx, reindex.ID, pollInterval, lines.show)
	}
	bar := newReindexBar(g.Stderr)
	defer bar.finish()
	return c.AwaitReindex(ctx, reindex.ID, pollInterval, func(r document.Reindex) { bar.show(r, time.Now()) })
}

// barLength is the length of the bar of a reindex. The bar reaches it only when the reindex has
// ended.
const barLength = 10000

// reindexBar shows a reindex on a terminal.
type reindexBar struct {
	w     io.Writer
	bar   *progressbar.ProgressBar
	rate  progressRate
	error string // of the reindex when it was last shown
}

func newReindexBar(w io.Writer) *reindexBar {
	return &reindexBar{w: w, bar: progressbar.NewOptions(barLength,
		progressbar.OptionSetWriter(w),
		progressbar.OptionSetPredictTime(false), // the prediction would be wrong for a reindex that is already running
		progressbar.OptionSetElapsedTime(false),
		progressbar.OptionFullWidth(),
		progressbar.OptionClearOnFinish(),
	)}
}

func (b *reindexBar) show(r document.Reindex, now time.Time) {
	b.rate.record(r, now)
	if r.Error != b.error && r.Error != "" {
		_ = b.bar.Clear() // the command does not stop because the bar cannot be drawn
		fmt.Fprintln(b.w, statusLine(r))
	}
	b.error = r.Error
	b.bar.Describe(barText(r, &b.rate))
	_ = b.bar.Set(min(int(barLength*doneFraction(r.Progress)), barLength-1))
}

func (b *reindexBar) finish() { _ = b.bar.Finish() }

// barText returns the stage of a reindex, its rate and the time left.
func barText(r document.Reindex, p *progressRate) string {
	text := r.Collection + ": " + stageText(r)
	var details []string
	if rate := p.passagesPerSecond(); rate > 0 {
		digits := 0
		if rate < 10 {
			digits = 1
		}
		details = append(details, fmt.Sprintf("%.*f passages/s", digits, rate))
	}
	if left := p.timeLeft(); left > 0 {
		details = append(details, formatDuration(left)+" left")
	}
	if len(details) > 0 {
		text += " (" + strings.Join(details, ", ") + ")"
	}
	return text
}

// doneFraction returns the part of a reindex that is done, 0 to 1.
func doneFraction(p document.ReindexProgress) float64 {
	switch {
	case p.Bytes > 0:
		return float64(p.BytesDone) / float64(p.Bytes)
	case p.Documents > 0:
		return float64(p.DocumentsDone) / float64(p.Documents)
	default:
		return 0
	}
}

// stageText returns the state of a reindex, or its stage if it is running, in a few words.
func stageText(r document.Reindex) string {
	switch {
	case r.State != document.JobRunning:
		return string(r.State)
	case r.Stage == document.StageIndex:
		return "building the index"
	case r.Stage == document.StageVerify:
		return "verifying"
	case r.Stage == document.StageReverting:
		return "completing the previous space"
	case r.Change == document.ChangeNothing:
		return "redoing documents"
	default:
		return "embedding"
	}
}

// statusLine returns the state of a reindex and the reason for it, on one line.
func statusLine(r document.Reindex) string {
	text := fmt.Sprintf("reindex %s of %s: %s", r.ID, r.Collection, stageText(r))
	if r.NextAttemptAt != nil {
		text += " until " + r.NextAttemptAt.Local().Format(time.TimeOnly)
	}
	if r.Error != "" {
		text += ": " + oneLine(r.Error)
	}
	return text
}

// reindexLines shows a reindex with one line for each change.
type reindexLines struct {
	w    io.Writer
	last string
}

func (l *reindexLines) show(r document.Reindex) {
	if line := statusLine(r); line != l.last {
		l.last = line
		fmt.Fprintln(l.w, line)
	}
}
