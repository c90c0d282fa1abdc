package upload

import (
	"fmt"
	"io"
	"time"

	"github.com/schollz/progressbar/v3"
	"golang.org/x/term"
)

// ProgressBar returns a Config.Report that draws a progress bar for the number of files on w, and a
// function to call at the end. follow says that jobs are awaited. If w is not a terminal, report is
// nil and nothing is drawn.
func ProgressBar(w io.Writer, files int, follow bool) (report func(Event), finish func()) {
	if !IsTerminal(w) {
		return nil, func() {}
	}
	bar := progressbar.NewOptions(files,
		progressbar.OptionSetWriter(w),
		progressbar.OptionSetDescription("documents"),
		progressbar.OptionShowCount(),
		progressbar.OptionFullWidth(),
		progressbar.OptionThrottle(100*time.Millisecond),
		progressbar.OptionClearOnFinish(),
	)
	var passages int64
	report = func(event Event) {
		if event.Stage == StageSucceeded {
			passages += event.Job.Tasks.Knowledge.Passages
			bar.Describe(fmt.Sprintf("documents (%d passages)", passages))
		}
		if event.Stage == StageFailed || event.Stage == StageSucceeded || (event.Stage == StageUploaded && !follow) {
			_ = bar.Add(1) // an upload does not stop because the bar cannot be drawn
		}
	}
	return report, func() { _ = bar.Finish() }
}

// IsTerminal reports whether w is a terminal.
func IsTerminal(w io.Writer) bool {
	file, ok := w.(interface{ Fd() uintptr })
	return ok && term.IsTerminal(int(file.Fd()))
}
