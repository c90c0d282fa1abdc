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
		Short: "Cancel jobs; published versions of their documents do not change",
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
		Short: "Retry failed or cancelled jobs, and waiting jobs immediately",
		Long: "Retry failed or cancelled jobs. They keep the work that they have already done.\n" +
			"Waiting jobs, and models that are held, are tried immediately.",
		RunE: run(func(ctx context.Context, args []string) error {
			switch {
			case failed == (len(args) > 0):
				return usageError("want either the ids of the jobs to retry, or --failed for all failed jobs")
			case collection != "" && !failed:
				return usageError("--collection has no effect without --failed: a job is named by its id alone")
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
	cmd.Flags().BoolVar(&failed, "failed", false, "all failed jobs")
	cmd.Flags().StringVar(&collection, "collection", "", "with --failed: only jobs of this collection")
	return cmd
}

// runJobAction calls do for each job and prints the new state of the job. A job whose state does
// not allow the action is reported and does not stop the others.
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

// isJobRefusal reports whether the server refused the action because of this job: it does not
// exist, or its state does not allow the action.
func isJobRefusal(err error) bool {
	p, ok := errors.AsType[*client.Problem](err)
	return ok && (p.Status == http.StatusNotFound || p.Status == http.StatusConflict)
}

// failedJobs yields the ids of all failed jobs. It requests them page by page.
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

// jobIDs parses all arguments, so that a wrong one is reported before any job is changed.
func jobIDs(args []string) ([]uuid.UUID, error) {
	ids := make([]uuid.UUID, len(args))
	for i, arg := range args {
		id, err := uuid.Parse(arg)
		if err != nil {
			return nil, usageError("job %q: want an id, as printed by 'gristmill jobs'", arg)
		}
		ids[i] = id
	}
	return ids, nil
}
