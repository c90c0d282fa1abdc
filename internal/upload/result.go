package upload

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/dustin/go-humanize"

	"github.com/seed-7a112592/gristmill/pkg/document"
)

// Result counts the results of uploads. Passages, Embedded and Reused count only jobs that were
// awaited to their end.
type Result struct {
	Documents int       `json:"documents"` // accepted, including unchanged documents
	Unchanged int       `json:"unchanged"` // already stored with the same content
	Restored  int       `json:"restored"`  // the original was lost or damaged, and was restored
	Bytes     int64     `json:"bytes"`     // of the accepted documents
	Passages  int64     `json:"passages"`
	Embedded  int64     `json:"embedded"` // passages that the model embedded for this upload
	Reused    int64     `json:"reused"`   // passages that already had a vector
	Seconds   float64   `json:"seconds"`
	Warnings  []Warning `json:"warnings"`
	Failures  []Failure `json:"failures"`
}

// Warning is a warning about an accepted file. Warnings of the knowledge step are known only if the
// job was awaited to its end.
type Warning struct {
	Path string `json:"path"`
	Key  string `json:"key"`
	document.Warning
}

// Failure is a file that was not accepted, or whose job did not succeed.
type Failure struct {
	Path   string `json:"path"`
	Key    string `json:"key"`
	Reason string `json:"reason"`
}

func (r *Result) addUpload(answer document.Accepted) {
	r.Documents++
	r.Bytes += answer.Document.Size
	if answer.Unchanged {
		r.Unchanged++
	}
	if answer.Restored {
		r.Restored++
	}
}

// addJob counts a job that succeeded. The job of an unchanged document embedded nothing for this
// upload.
func (r *Result) addJob(job document.Job, unchanged bool) {
	done := job.Tasks.Knowledge.KnowledgeProgress
	r.Passages += done.Passages
	if unchanged {
		r.Reused += done.Passages
	} else {
		r.Embedded += done.Embedded
		r.Reused += done.Reused
	}
}

func (r *Result) addFailure(file File, err error) {
	r.Failures = append(r.Failures, Failure{Path: file.Path, Key: file.Key, Reason: err.Error()})
}

func (r *Result) addWarnings(file File, warnings document.Warnings) {
	for _, w := range warnings {
		r.Warnings = append(r.Warnings, Warning{file.Path, file.Key, w})
	}
}

// WarningText returns the detail of a warning and the bytes that it is about, for people.
func WarningText(w document.Warning) string {
	if w.End == 0 {
		return w.Detail
	}
	return fmt.Sprintf("bytes %d to %d: %s", w.Start, w.End, w.Detail)
}

// Print writes the result as a table for people.
func (r Result) Print(w io.Writer) error {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintf(table, "documents\t%s\t(%s unchanged)\n", humanize.Comma(int64(r.Documents)), humanize.Comma(int64(r.Unchanged)))
	if r.Restored > 0 {
		fmt.Fprintf(table, "restored\t%s\t(their originals were lost or damaged)\n", humanize.Comma(int64(r.Restored)))
	}
	if r.Passages > 0 {
		fmt.Fprintf(table, "passages\t%s\t(%s embedded, %s reused)\n", humanize.Comma(r.Passages), humanize.Comma(r.Embedded), humanize.Comma(r.Reused))
	}
	fmt.Fprintf(table, "bytes\t%s\n", humanize.Comma(r.Bytes))
	fmt.Fprintf(table, "seconds\t%.1f\n", r.Seconds)
	if len(r.Warnings) > 0 {
		fmt.Fprintf(table, "warnings\t%d\n", len(r.Warnings))
	}
	for _, warning := range r.Warnings {
		fmt.Fprintf(table, "  %s\t%s: %s\n", warning.Path, warning.Code, strings.Join(strings.Fields(WarningText(warning.Warning)), " "))
	}
	fmt.Fprintf(table, "failures\t%d\n", len(r.Failures))
	for _, failure := range r.Failures {
		fmt.Fprintf(table, "  %s\t%s\n", failure.Path, failure.Reason)
	}
	return table.Flush()
}
