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

// pollInterval is how often a reindex that is followed is shown.
const pollInterval = time.Second

// followReindex returns a reindex once it has ended, and shows on the way where
// it is: by a bar to a person, by a line for each change elsewhere, and not at
// all with --json.
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

// barLength is what the bar of a reindex counts to; it is there when the
// reindex has ended.
const barLength = 10000

// reindexBar shows a reindex on a terminal.
type reindexBar struct {
	w     io.Writer
	bar   *progressbar.ProgressBar
	rate  progressRate
	error string // the last one shown
}

func newReindexBar(w io.Writer) *reindexBar {
	return &reindexBar{w: w, bar: progressbar.NewOptions(barLength,
		progressbar.OptionSetWriter(w),
		progressbar.OptionSetPredictTime(false), // it would count from where it came in
		progressbar.OptionSetElapsedTime(false),
		progressbar.OptionFullWidth(),
		progressbar.OptionClearOnFinish(),
	)}
}

func (b *reindexBar) show(r document.Reindex, now time.Time) {
	b.rate.record(r, now)
	if r.Error != b.error && r.Error != "" {
		_ = b.bar.Clear() // a bar that cannot be drawn is no reason to stop
		fmt.Fprintln(b.w, statusLine(r))
	}
	b.error = r.Error
	b.bar.Describe(barText(r, &b.rate))
	_ = b.bar.Set(min(int(barLength*doneFraction(r.Progress)), barLength-1))
}

func (b *reindexBar) finish() { _ = b.bar.Finish() }

// barText says what a reindex is at, how fast it goes and how long it will
// take.
func barText(r document.Reindex, p *progressRate) string {
	text := r.Collection + ": " + stageText(r)
	var about []string
	if rate := p.passagesPerSecond(); rate > 0 {
		digits := 0
		if rate < 10 {
			digits = 1
		}
		about = append(about, fmt.Sprintf("%.*f passages/s", digits, rate))
	}
	if left := p.timeLeft(); left > 0 {
		about = append(about, formatDuration(left)+" left")
	}
	if len(about) > 0 {
		text += " (" + strings.Join(about, ", ") + ")"
	}
	return text
}

// doneFraction returns how much of a reindex is done, 0 to 1.
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

// stageText says in a word or two what a reindex is at.
func stageText(r document.Reindex) string {
	switch {
	case r.State != document.JobRunning:
		return string(r.State)
	case r.Stage == document.StageIndex:
		return "building the index"
	case r.Stage == document.StageVerify:
		return "verifying"
	case r.Stage == document.StageReverting:
		return "completing the space from before"
	case r.Change == document.ChangeNothing:
		return "redoing documents"
	default:
		return "embedding"
	}
}

// statusLine says what a reindex is at, and why it is there.
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

// reindexLines shows a reindex by a line for each change.
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
