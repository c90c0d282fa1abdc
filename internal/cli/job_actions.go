package cli

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"net/http"

	"github.com/google/uuid"
	"github.com/spf13/cobra"

	"github.com/seed-7a112592/gristmill/pkg/client"
	"github.com/seed-7a112592/gristmill/pkg/document"
)

func newCancel(g *globals) *cobra.Command {
	return &cobra.Command{
		Use:   "cancel ID…",
		Short: "Cancel jobs; their documents stay as readers see them",
		Args:  cobra.MinimumNArgs(1),
		RunE: run(func(ctx context.Context, args []string) error {
			ids, err := jobIDs(args)
			if err != nil {
				return err
			}
			c, err := g.client()
			if err != nil {
				return err
			}
			return g.runJobAction(ctx, idSeq(ids), c.CancelJob)
		}),
	}
}

func newRetry(g *globals) *cobra.Command {
	var failed bool
	var collection string
	cmd := &cobra.Command{
		Use:   "retry ID… | --failed",
		Short: "Put jobs that failed or were cancelled back on the path, or have those that wait tried now",
		Long: "Put jobs that failed or were cancelled back on the path, where they go on from what they had done.\n" +
			"Jobs that wait are tried now, and so are models that are held.",
		RunE: run(func(ctx context.Context, args []string) error {
			switch {
			case failed == (len(args) > 0):
				return usageError("name the jobs to retry by their ids, or all that have failed by --failed")
			case collection != "" && !failed:
				return usageError("--collection narrows --failed, and says nothing about a job named by its id")
			}
			ids, err := jobIDs(args)
			if err != nil {
				return err
			}
			c, err := g.client()
			if err != nil {
				return err
			}
			jobs := idSeq(ids)
			if failed {
				jobs = failedJobs(ctx, c, collection)
			}
			return g.runJobAction(ctx, jobs, c.RetryJob)
		}),
	}
	cmd.Flags().BoolVar(&failed, "failed", false, "every job that has failed")
	cmd.Flags().StringVar(&collection, "collection", "", "of these, only jobs of this collection")
	return cmd
}

// runJobAction does something to each of the jobs and prints what it is then. A job
// that it is too late for is reported, and does not keep the others back.
func (g *globals) runJobAction(ctx context.Context, jobs iter.Seq2[uuid.UUID, error], do func(context.Context, uuid.UUID) (document.Job, error)) error {
	refused := false
	for id, err := range jobs {
		if err != nil {
			return err
		}
		job, err := do(ctx, id)
		if isJobRefusal(err) {
			refused = true
			fmt.Fprintf(g.Stderr, "%s: %v\n", id, err)
			continue
		}
		if err != nil {
			return err
		}
		if err := g.printJobState(job); err != nil {
			return err
		}
	}
	if refused {
		return silentFailure()
	}
	return nil
}

// isJobRefusal reports whether the server refused for the sake of this one job: it
// is gone, or in a state that does not allow what was asked.
func isJobRefusal(err error) bool {
	p, ok := errors.AsType[*client.Problem](err)
	return ok && (p.Status == http.StatusNotFound || p.Status == http.StatusConflict)
}

// failedJobs lists the jobs that have failed, page by page.
func failedJobs(ctx context.Context, c *client.Client, collection string) iter.Seq2[uuid.UUID, error] {
	return func(yield func(uuid.UUID, error) bool) {
		for job, err := range c.AllJobs(ctx, document.JobFilter{State: document.JobFailed, Collection: collection}) {
			if !yield(job.ID, err) {
				return
			}
		}
	}
}

func idSeq(ids []uuid.UUID) iter.Seq2[uuid.UUID, error] {
	return func(yield func(uuid.UUID, error) bool) {
		for _, id := range ids {
			if !yield(id, nil) {
				return
			}
		}
	}
}

// jobIDs reads all arguments before anything is done about one of them.
func jobIDs(args []string) ([]uuid.UUID, error) {
	ids := make([]uuid.UUID, len(args))
	for i, arg := range args {
		id, err := uuid.Parse(arg)
		if err != nil {
			return nil, usageError("job %q: want an id as 'gristmill jobs' prints it", arg)
		}
		ids[i] = id
	}
	return ids, nil
}
