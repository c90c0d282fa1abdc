package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/google/uuid"
	"github.com/spf13/cobra"

	"github.com/seed-7a112592/gristmill/internal/upload"
	"github.com/seed-7a112592/gristmill/pkg/client"
	"github.com/seed-7a112592/gristmill/pkg/document"
)

func newJobs(g *globals) *cobra.Command {
	var watch, failed bool
	var filter document.JobFilter
	var limit int
	cmd := &cobra.Command{
		Use:   "jobs [ID]",
		Short: "Show the newest jobs, or one job",
		Args:  cobra.MaximumNArgs(1),
		RunE: run(func(ctx context.Context, args []string) error {
			ids, err := jobIDs(args)
			if err != nil {
				return err
			}
			if failed {
				filter.State = document.JobFailed
			}
			c, err := g.client()
			switch {
			case err != nil:
				return err
			case len(ids) == 1:
				return g.showJob(ctx, c, ids[0], watch)
			case watch:
				return g.watch(ctx, c, filter)
			default:
				return g.listJobs(ctx, c, filter, limit)
			}
		}),
	}
	cmd.Flags().BoolVar(&watch, "watch", false, "wait until the job, or all jobs that match, have ended")
	cmd.Flags().StringVar((*string)(&filter.State), "state", "", "only jobs in this state: queued, running, waiting, succeeded, failed, cancelled")
	cmd.Flags().BoolVar(&failed, "failed", false, "short for --state failed: jobs that were given up, with the reason")
	cmd.MarkFlagsMutuallyExclusive("state", "failed")
	cmd.Flags().StringVar(&filter.Collection, "collection", "", "only jobs of this collection")
	cmd.Flags().IntVar(&limit, "limit", 20, "maximum number of jobs")
	return cmd
}

// listJobs prints the newest jobs.
func (g *globals) listJobs(ctx context.Context, c *client.Client, filter document.JobFilter, limit int) error {
	list, err := c.Jobs(ctx, filter, document.Page{Limit: limit})
	if err != nil {
		return err
	}
	if g.json {
		return g.printJSON(list)
	}
	table := tabwriter.NewWriter(g.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "JOB\tSTATE\tPASSAGES\tEMBEDDED\tSECTIONS\tCOLLECTION\tCREATED\tERROR")
	for _, job := range list.Items {
		k, s := job.Tasks.Knowledge, job.Tasks.Summary
		fmt.Fprintf(table, "%s\t%s\t%d\t%d\t%d/%d\t%s\t%s\t%s\n", job.ID, job.State,
			k.Passages, k.Embedded, s.SectionsDone, s.Sections, job.Collection, job.CreatedAt.Local().Format(time.DateTime), oneLine(job.Error))
	}
	return table.Flush()
}

// showJob prints one job. With watch, it waits until the job has ended, and returns an error unless
// the job has succeeded.
func (g *globals) showJob(ctx context.Context, c *client.Client, id uuid.UUID, watch bool) (err error) {
	var job document.Job
	if watch {
		job, err = c.AwaitJob(ctx, id, time.Second, g.showProgress)
	} else {
		job, err = c.Job(ctx, id, 0)
	}
	if err != nil {
		return err
	}
	if err := g.printJob(job); err != nil {
		return err
	}
	if watch && job.State != document.JobSucceeded {
		return silentFailure()
	}
	return nil
}

func (g *globals) printJob(job document.Job) error {
	if g.json {
		return g.printJSON(job)
	}
	table := tabwriter.NewWriter(g.Stdout, 0, 0, 2, ' ', 0)
	k, s := job.Tasks.Knowledge, job.Tasks.Summary
	fmt.Fprintf(table, "job\t%s\t%s\n", job.ID, job.State)
	fmt.Fprintf(table, "document\t%s\tversion %d in %s\n", job.DocumentID, job.Version, job.Collection)
	fmt.Fprintf(table, "knowledge\t%s\t%d passages (%d embedded, %d reused), %d of %d bytes, attempt %d\n",
		k.State, k.Passages, k.Embedded, k.Reused, k.BytesDone, k.BytesTotal, k.Attempt)
	fmt.Fprintf(table, "summary\t%s\t%d of %d sections (%d reused), attempt %d\n", s.State, s.SectionsDone, s.Sections, s.SectionsReused, s.Attempt)
	reasons := []string{job.Error, k.Error, s.Error}
	for i, reason := range reasons {
		if reason != "" && !slices.Contains(reasons[:i], reason) {
			fmt.Fprintf(table, "error\t%s\n", oneLine(reason))
		}
	}
	for _, w := range job.Warnings {
		fmt.Fprintf(table, "warning\t%s\t%s\n", w.Code, oneLine(upload.WarningText(w)))
	}
	if job.NextAttemptAt != nil {
		fmt.Fprintf(table, "next attempt\t%s\n", job.NextAttemptAt.Local().Format(time.DateTime))
	}
	return table.Flush()
}

// showProgress prints one line about a running job.
func (g *globals) showProgress(job document.Job) {
	k, s := job.Tasks.Knowledge, job.Tasks.Summary
	fmt.Fprintf(g.Stderr, "%s %s: %d of %d bytes, %d passages, %d of %d sections\n",
		job.ID, job.State, k.BytesDone, k.BytesTotal, k.Passages, s.SectionsDone, s.Sections)
}

// watch waits for all jobs that match and have not ended, and prints each one when it has ended. It
// returns an error unless all have succeeded.
func (g *globals) watch(ctx context.Context, c *client.Client, filter document.JobFilter) error {
	states := []document.JobState{document.JobQueued, document.JobRunning, document.JobWaiting}
	if filter.State != "" {
		states = []document.JobState{filter.State}
	}
	var pending []document.Job
	for _, state := range states {
		filter.State = state
		for job, err := range c.AllJobs(ctx, filter) {
			if err != nil {
				return err
			}
			pending = append(pending, job)
		}
	}
	failed := 0
	seen := map[uuid.UUID]bool{} // a job that changes its state meanwhile may be in several lists
	for _, job := range pending {
		if seen[job.ID] {
			continue
		}
		seen[job.ID] = true
		ended, err := c.AwaitJob(ctx, job.ID, longPollTimeout, nil)
		if err != nil {
			return err
		}
		if ended.State != document.JobSucceeded {
			failed++
		}
		if err := g.printJobState(ended); err != nil {
			return err
		}
	}
	if failed > 0 {
		return errors.New(plural(failed, "job") + " did not succeed")
	}
	return nil
}

// longPollTimeout is how long the server may hold each request for the end of a job. It may be
// long, because nothing is shown meanwhile.
const longPollTimeout = 30 * time.Second

// printJobState prints one line about a job, with the reason if it ended without success.
func (g *globals) printJobState(job document.Job) error {
	if g.json {
		return g.printJSON(job)
	}
	reason := ""
	if job.State.Ended() && job.State != document.JobSucceeded {
		reason = "  " + oneLine(upload.JobError(job).Error())
	}
	_, err := fmt.Fprintf(g.Stdout, "%s  %s%s\n", job.ID, job.State, reason)
	return err
}

// oneLine returns s on one line, for a row of a table.
func oneLine(s string) string { return strings.Join(strings.Fields(s), " ") }

func plural(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
