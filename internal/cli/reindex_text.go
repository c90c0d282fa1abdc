package cli

import (
	"fmt"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/seed-7a112592/gristmill/pkg/document"
)

// printEstimates prints what reindexes would do and cost, as a table.
func (g *globals) printEstimates(estimates []document.ReindexEstimate) error {
	table := tabwriter.NewWriter(g.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "COLLECTION\tCHANGE\tMODEL\tDIMENSIONS\tDOCUMENTS\tPASSAGES\tREUSED\tTOKENS\tCOST\tTIME")
	sampled := false
	for _, e := range estimates {
		approx := ""
		if e.Sampled {
			approx, sampled = "~", true
		}
		cost, duration := "no price", "no rate"
		if e.Cost != nil {
			cost = approx + dollars(*e.Cost)
		}
		if e.Seconds != nil {
			duration = approx + formatDuration(seconds(*e.Seconds))
		}
		fmt.Fprintf(table, "%s\t%s\t%s\t%d\t%d\t%s%d\t%s%d\t%s%d\t%s\t%s\n", e.Collection, e.Change, e.Model, e.Dimensions, e.Documents,
			approx, e.Passages, approx, e.Reusable, approx, e.Tokens, cost, duration)
	}
	if err := table.Flush(); err != nil {
		return err
	}
	for _, e := range estimates {
		if s := e.Summaries; s.Sections > 0 {
			approx := ""
			if e.Sampled {
				approx = "~"
			}
			fmt.Fprintf(g.Stdout, "Summaries of %s: %s%d calls of the chat model, about %d tokens of input and %d of output (%s%d of %s%d sections are reused).\n",
				e.Collection, approx, s.Calls, s.Input, s.Output, approx, s.Reusable, approx, s.Sections)
		}
	}
	if sampled {
		fmt.Fprintln(g.Stdout, "~ estimated from a part of the documents")
	}
	_, err := fmt.Fprintln(g.Stdout, "Dry run: no reindex was begun.")
	return err
}

// dollars returns an amount in US dollars, with four decimals if it is less than one.
func dollars(amount float64) string {
	digits := 2
	if amount > 0 && amount < 1 {
		digits = 4
	}
	return "$" + strconv.FormatFloat(amount, 'f', digits, 64)
}

// printBegun prints what each reindex does, and the commands to follow and control it.
func (g *globals) printBegun(begun []document.Reindex) error {
	for _, r := range begun {
		_, err := fmt.Fprintf(g.Stdout, "reindex %s of %s: %s\n  follow it  %s\n  pause it   %s\n  cancel it  %s\n", r.ID, r.Collection, changeText(r),
			g.reindexCommand(r, "watch"), g.reindexCommand(r, "pause"), g.reindexCommand(r, "cancel"))
		if err != nil {
			return err
		}
	}
	if len(begun) == 0 {
		fmt.Fprintln(g.Stderr, "There are no collections.")
	}
	return nil
}

// reindexCommand returns the command that calls gristmill reindex for r with a flag.
func (g *globals) reindexCommand(r document.Reindex, flag string) string {
	command := fmt.Sprintf("gristmill reindex %s --%s", r.ID, flag)
	if g.server != "" {
		command += " --server " + g.server
	}
	return command
}

// changeText says what a reindex does.
func changeText(r document.Reindex) string {
	switch r.Change {
	case document.ChangeModel:
		return "→ " + spaceText(r) + "; all passages are embedded again, from the stored text"
	case document.ChangeChunking:
		return "→ " + spaceText(r) + "; all originals are split again, and new passages are embedded"
	}
	what := "documents that are missing, failed or stale are redone"
	if r.Force {
		what = "all documents are redone"
	}
	if len(r.DocumentIDs) > 0 {
		what += ", among " + plural(len(r.DocumentIDs), "document")
	}
	if r.KeyPrefix != "" {
		what += fmt.Sprintf(", if their keys begin with %q", r.KeyPrefix)
	}
	return what
}

// spaceText describes the space that a reindex builds.
func spaceText(r document.Reindex) string {
	space := fmt.Sprintf("%s (%d dimensions)", r.Model, r.Dimensions)
	if r.Change == document.ChangeChunking {
		space += fmt.Sprintf(", passages of at most %d tokens, overlap %d", r.Tokens, r.Overlap)
	}
	return space
}

// resultText says what a reindex has done.
func resultText(p document.ReindexProgress) string {
	return fmt.Sprintf("%d of %s, %d passages (%d embedded, %d reused), %s of work",
		p.DocumentsDone, plural(int(p.Documents), "document"), p.Passages, p.Embedded, p.Reused, formatDuration(seconds(p.Seconds)))
}

// printReindexState prints the state of a reindex, or its result, and the commands that may come
// next.
func (g *globals) printReindexState(r document.Reindex) error {
	if g.json {
		return g.printJSON(r)
	}
	text := fmt.Sprintf("reindex %s of %s ", r.ID, r.Collection)
	switch {
	case r.State == document.JobFailed:
		text += fmt.Sprintf("has failed: %s\nSearches have not changed. To continue from the work done so far: %s", oneLine(r.Error), g.reindexCommand(r, "resume"))
	case r.State == document.JobCancelled:
		text += "is cancelled; searches have not changed"
	case r.State == document.JobPaused:
		text += "is paused; continue it: " + g.reindexCommand(r, "resume")
	case r.Stage == document.StageReverted:
		text += "is reverted: the previous space answers searches again"
	case r.State != document.JobSucceeded && r.Stage == document.StageReverting:
		text += "is being reverted: documents that have changed since are added to the previous space first; follow it: " + g.reindexCommand(r, "watch")
	case r.State != document.JobSucceeded:
		text += fmt.Sprintf("is %s; follow it: %s", r.State, g.reindexCommand(r, "watch"))
	case r.Change == document.ChangeNothing:
		text += "has succeeded: " + resultText(r.Progress)
	default:
		text += fmt.Sprintf("has succeeded: %s\nSearches now use %s.%s", resultText(r.Progress), spaceText(r), g.revertHint(r))
	}
	_, err := fmt.Fprintln(g.Stdout, text+leftOutText(r.Progress))
	return err
}

// maxListedLeftOut is the maximum number of documents that leftOutText lists.
const maxListedLeftOut = 10

// leftOutText lists the documents that could not be redone, and says what to do. It is empty if
// there are none.
func leftOutText(p document.ReindexProgress) string {
	if p.LeftOutCount == 0 {
		return ""
	}
	var b strings.Builder
	fmt.Fprintf(&b, "\nLeft out: %s, whose latest version searches do not find:", plural(int(p.LeftOutCount), "document"))
	shown := p.LeftOut[:min(len(p.LeftOut), maxListedLeftOut)]
	for _, out := range shown {
		fmt.Fprintf(&b, "\n  %s (%s): %s", out.Key, out.DocumentID, oneLine(out.Error))
	}
	if more := p.LeftOutCount - int64(len(shown)); more > 0 {
		fmt.Fprintf(&b, "\n  and %d more", more)
	}
	b.WriteString("\nUpload corrected versions, or run `gristmill reindex` to try these again.")
	return b.String()
}

// revertHint says how long the previous space is kept, and which command switches back to it.
func (g *globals) revertHint(r document.Reindex) string {
	if r.RevertibleUntil == nil {
		return ""
	}
	left := time.Until(*r.RevertibleUntil)
	if left <= 0 {
		return " The previous space is no longer kept."
	}
	return fmt.Sprintf("\nThe previous space is kept for %s, until %s. Switch back: %s",
		formatDuration(left), r.RevertibleUntil.Local().Format(time.DateTime), g.reindexCommand(r, "revert"))
}

// printReindex prints the details of a reindex.
func (g *globals) printReindex(r document.Reindex) error {
	if g.json {
		return g.printJSON(r)
	}
	table := tabwriter.NewWriter(g.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintf(table, "reindex\t%s\t%s\n", r.ID, r.State)
	fmt.Fprintf(table, "collection\t%s\t%s\n", r.Collection, changeText(r))
	if r.Stage != "" {
		fmt.Fprintf(table, "stage\t%s\tattempt %d\n", r.Stage, r.Attempt)
	}
	fmt.Fprintf(table, "progress\t%d of %d bytes\t%s\n", r.Progress.BytesDone, r.Progress.Bytes, resultText(r.Progress))
	if r.Error != "" {
		fmt.Fprintf(table, "error\t%s\n", oneLine(r.Error))
	}
	if r.NextAttemptAt != nil {
		fmt.Fprintf(table, "next attempt\t%s\n", r.NextAttemptAt.Local().Format(time.DateTime))
	}
	if r.RevertibleUntil != nil {
		fmt.Fprintf(table, "revertible\tuntil %s\t%s\n", r.RevertibleUntil.Local().Format(time.DateTime), g.reindexCommand(r, "revert"))
	}
	if err := table.Flush(); err != nil {
		return err
	}
	_, err := fmt.Fprint(g.Stdout, strings.TrimPrefix(leftOutText(r.Progress)+"\n", "\n"))
	return err
}

func seconds(n float64) time.Duration { return time.Duration(n * float64(time.Second)) }

// formatDuration returns a duration, rounded to a precision that fits its size.
func formatDuration(d time.Duration) string {
	switch {
	case d >= time.Hour:
		d = d.Round(time.Minute)
	case d >= 10*time.Second:
		d = d.Round(time.Second)
	default:
		d = d.Round(100 * time.Millisecond)
	}
	text := d.String()
	if strings.HasSuffix(text, "m0s") {
		text = strings.TrimSuffix(text, "0s")
	}
	if strings.HasSuffix(text, "h0m") {
		text = strings.TrimSuffix(text, "0m")
	}
	return text
}
