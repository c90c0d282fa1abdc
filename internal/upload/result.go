package upload

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/dustin/go-humanize"

	"github.com/seed-7a112592/gristmill/pkg/document"
)

// Result counts what became of the files. Passages, Embedded and Reused are
// known only of jobs that were followed to their end.
type Result struct {
	Documents int       `json:"documents"` // accepted, unchanged ones too
	Unchanged int       `json:"unchanged"` // of these, already there as they are
	Restored  int       `json:"restored"`  // of these, their original was lost and is restored
	Bytes     int64     `json:"bytes"`     // of the accepted documents
	Passages  int64     `json:"passages"`
	Embedded  int64     `json:"embedded"` // passages that a model was asked about now
	Reused    int64     `json:"reused"`   // passages whose vectors were there already
	Seconds   float64   `json:"seconds"`
	Warnings  []Warning `json:"warnings"`
	Failures  []Failure `json:"failures"`
}

// Warning is a warning about a file that was accepted. Those of the knowledge
// step are known only of jobs that were followed to their end.
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

func (t *Result) addUpload(answer document.Accepted) {
	t.Documents++
	t.Bytes += answer.Document.Size
	if answer.Unchanged {
		t.Unchanged++
	}
	if answer.Restored {
		t.Restored++
	}
}

// addJob counts a job that succeeded. One that was there already embedded
// nothing now.
func (t *Result) addJob(job document.Job, unchanged bool) {
	done := job.Tasks.Knowledge.KnowledgeProgress
	t.Passages += done.Passages
	if unchanged {
		t.Reused += done.Passages
	} else {
		t.Embedded += done.Embedded
		t.Reused += done.Reused
	}
}

func (t *Result) addFailure(file File, err error) {
	t.Failures = append(t.Failures, Failure{Path: file.Path, Key: file.Key, Reason: err.Error()})
}

func (t *Result) addWarnings(file File, warnings document.Warnings) {
	for _, w := range warnings {
		t.Warnings = append(t.Warnings, Warning{file.Path, file.Key, w})
	}
}

// WarningText says what a warning is about, for people.
func WarningText(w document.Warning) string {
	if w.End == 0 {
		return w.Detail
	}
	return fmt.Sprintf("bytes %d to %d: %s", w.Start, w.End, w.Detail)
}

// Print writes the tally as a table for people.
func (t Result) Print(w io.Writer) error {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintf(table, "documents\t%s\t(%s unchanged)\n", humanize.Comma(int64(t.Documents)), humanize.Comma(int64(t.Unchanged)))
	if t.Restored > 0 {
		fmt.Fprintf(table, "restored\t%s\t(their originals were gone or damaged)\n", humanize.Comma(int64(t.Restored)))
	}
	if t.Passages > 0 {
		fmt.Fprintf(table, "passages\t%s\t(%s embedded, %s reused)\n", humanize.Comma(t.Passages), humanize.Comma(t.Embedded), humanize.Comma(t.Reused))
	}
	fmt.Fprintf(table, "bytes\t%s\n", humanize.Comma(t.Bytes))
	fmt.Fprintf(table, "seconds\t%.1f\n", t.Seconds)
	if len(t.Warnings) > 0 {
		fmt.Fprintf(table, "warnings\t%d\n", len(t.Warnings))
	}
	for _, warning := range t.Warnings {
		fmt.Fprintf(table, "  %s\t%s: %s\n", warning.Path, warning.Code, strings.Join(strings.Fields(WarningText(warning.Warning)), " "))
	}
	fmt.Fprintf(table, "failures\t%d\n", len(t.Failures))
	for _, failure := range t.Failures {
		fmt.Fprintf(table, "  %s\t%s\n", failure.Path, failure.Reason)
	}
	return table.Flush()
}
