package cli

import (
	"fmt"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/seed-7a112592/gristmill/pkg/document"
)

// printEstimates prints what reindexes would do.
func (g *globals) printEstimates(estimates []document.ReindexEstimate) error {
	table := tabwriter.NewWriter(g.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "COLLECTION\tCHANGE\tMODEL\tDIMENSIONS\tDOCUMENTS\tPASSAGES\tREUSED\tTOKENS\tCOST\tTIME")
	sampled := false
	for _, e := range estimates {
		about := ""
		if e.Sampled {
			about, sampled = "~", true
		}
		cost, spent := "no price", "no rate"
		if e.Cost != nil {
			cost = about + dollars(*e.Cost)
		}
		if e.Seconds != nil {
			spent = about + formatDuration(seconds(*e.Seconds))
		}
		fmt.Fprintf(table, "%s\t%s\t%s\t%d\t%d\t%s%d\t%s%d\t%s%d\t%s\t%s\n", e.Collection, e.Change, e.Model, e.Dimensions, e.Documents,
			about, e.Passages, about, e.Reusable, about, e.Tokens, cost, spent)
	}
	if err := table.Flush(); err != nil {
		return err
	}
	for _, e := range estimates {
		if s := e.Summaries; s.Sections > 0 {
			about := ""
			if e.Sampled {
				about = "~"
			}
			fmt.Fprintf(g.Stdout, "Summaries of %s: %s%d calls of the chat model, about %d tokens in and %d out (%s%d of %s%d sections are kept).\n",
				e.Collection, about, s.Calls, s.Input, s.Output, about, s.Reusable, about, s.Sections)
		}
	}
	if sampled {
		fmt.Fprintln(g.Stdout, "~ reckoned from a part of the documents")
	}
	_, err := fmt.Fprintln(g.Stdout, "Nothing was begun.")
	return err
}

// dollars shows small amounts too.
func dollars(amount float64) string {
	digits := 2
	if amount > 0 && amount < 1 {
		digits = 4
	}
	return "$" + strconv.FormatFloat(amount, 'f', digits, 64)
}

// printBegun says of each reindex what it does and what can be done about it.
func (g *globals) printBegun(begun []document.Reindex) error {
	for _, r := range begun {
		_, err := fmt.Fprintf(g.Stdout, "reindex %s of %s: %s\n  follow it  %s\n  pause it   %s\n  cancel it  %s\n", r.ID, r.Collection, actionText(r),
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

// reindexCommand returns what to run to do something about it.
func (g *globals) reindexCommand(r document.Reindex, flag string) string {
	command := fmt.Sprintf("gristmill reindex %s --%s", r.ID, flag)
	if g.server != "" {
		command += " --server " + g.server
	}
	return command
}

// actionText says what a reindex does.
func actionText(r document.Reindex) string {
	switch r.Change {
	case document.ChangeModel:
		return "→ " + spaceText(r) + "; its passages are embedded again, from the stored text"
	case document.ChangeChunking:
		return "→ " + spaceText(r) + "; its originals are cut into passages again, and what is new is embedded"
	}
	what := "documents that are missing, failed or stale are redone"
	if r.Force {
		what = "all documents are redone"
	}
	if len(r.DocumentIDs) > 0 {
		what += ", of " + plural(len(r.DocumentIDs), "document")
	}
	if r.KeyPrefix != "" {
		what += fmt.Sprintf(", where the key begins with %q", r.KeyPrefix)
	}
	return what
}

// spaceText describes the space that a reindex builds.
func spaceText(r document.Reindex) string {
	space := fmt.Sprintf("%s (%d dimensions)", r.Model, r.Dimensions)
	if r.Change == document.ChangeChunking {
		space += fmt.Sprintf(", passages of at most %d tokens, %d of them repeated", r.Tokens, r.Overlap)
	}
	return space
}

// resultText says what a reindex has done.
func resultText(p document.ReindexProgress) string {
	return fmt.Sprintf("%d of %s, %d passages (%d embedded, %d reused), %s of work",
		p.DocumentsDone, plural(int(p.Documents), "document"), p.Passages, p.Embedded, p.Reused, formatDuration(seconds(p.Seconds)))
}

// printReindexState says what a reindex has come to, and what to do next.
func (g *globals) printReindexState(r document.Reindex) error {
	if g.json {
		return g.printJSON(r)
	}
	text := fmt.Sprintf("reindex %s of %s ", r.ID, r.Collection)
	switch {
	case r.State == document.JobFailed:
		text += fmt.Sprintf("has failed: %s\nSearches are as they were. Go on from what it had done: %s", oneLine(r.Error), g.reindexCommand(r, "resume"))
	case r.State == document.JobCancelled:
		text += "is cancelled; searches are as they were"
	case r.State == document.JobPaused:
		text += "is paused; go on: " + g.reindexCommand(r, "resume")
	case r.Stage == document.StageReverted:
		text += "is reverted: the space from before it answers searches again"
	case r.State != document.JobSucceeded && r.Stage == document.StageReverting:
		text += "is being reverted, once what has changed since is in the space from before too; follow it: " + g.reindexCommand(r, "watch")
	case r.State != document.JobSucceeded:
		text += fmt.Sprintf("is %s; follow it: %s", r.State, g.reindexCommand(r, "watch"))
	case r.Change == document.ChangeNothing:
		text += "has succeeded: " + resultText(r.Progress)
	default:
		text += fmt.Sprintf("has succeeded: %s\nSearches are answered by %s now.%s", resultText(r.Progress), spaceText(r), g.revertHint(r))
	}
	_, err := fmt.Fprintln(g.Stdout, text+leftOutText(r.Progress))
	return err
}

// maxListedLeftOut is how many documents that were left out are printed.
const maxListedLeftOut = 10

// leftOutText lists documents that could not be redone.
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
	b.WriteString("\nUpload them corrected, or have the next `gristmill reindex` try them again.")
	return b.String()
}

// revertHint says how long there is one, and what to run.
func (g *globals) revertHint(r document.Reindex) string {
	if r.RevertibleUntil == nil {
		return ""
	}
	left := time.Until(*r.RevertibleUntil)
	if left <= 0 {
		return " The space from before is no longer kept."
	}
	return fmt.Sprintf("\nThe space from before is kept for %s, until %s. Switch back: %s",
		formatDuration(left), r.RevertibleUntil.Local().Format(time.DateTime), g.reindexCommand(r, "revert"))
}

// printReindex prints all about a reindex.
func (g *globals) printReindex(r document.Reindex) error {
	if g.json {
		return g.printJSON(r)
	}
	table := tabwriter.NewWriter(g.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintf(table, "reindex\t%s\t%s\n", r.ID, r.State)
	fmt.Fprintf(table, "collection\t%s\t%s\n", r.Collection, actionText(r))
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

// formatDuration shows a duration to as many places as matter.
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
