package cli

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/spf13/cobra"

	"github.com/seed-7a112592/gristmill/internal/upload"
	"github.com/seed-7a112592/gristmill/pkg/client"
	"github.com/seed-7a112592/gristmill/pkg/document"
)

func newDocuments(g *globals) *cobra.Command {
	cmd := &cobra.Command{Use: "documents", Short: "Show the summaries of documents"}
	cmd.AddCommand(newSummary(g))
	return cmd
}

func newSummary(g *globals) *cobra.Command {
	var makeFirst bool
	cmd := &cobra.Command{
		Use:   "summary ID",
		Short: "Show a document's summary",
		Long: "Show the summary of a document. With --make, the newest version is summarised first if it has no summary yet. This is\n" +
			"for collections whose documents are summarised on demand.",
		Args: cobra.ExactArgs(1),
		RunE: run(func(ctx context.Context, args []string) error {
			id, err := uuid.Parse(args[0])
			if err != nil {
				return usageError("%q is not a document id", args[0])
			}
			c, err := g.client()
			if err != nil {
				return err
			}
			if makeFirst {
				if err := g.makeSummary(ctx, c, id); err != nil {
					return err
				}
			}
			summary, err := c.Summary(ctx, id)
			if err != nil {
				return err
			}
			if g.json {
				return g.printJSON(summary)
			}
			_, err = fmt.Fprintln(g.Stdout, summary.Summary)
			return err
		}),
	}
	cmd.Flags().BoolVar(&makeFirst, "make", false, "make the summary if there is none, and wait for it")
	return cmd
}

// makeSummary requests a summary of a document and waits for the end of its job.
func (g *globals) makeSummary(ctx context.Context, c *client.Client, id uuid.UUID) error {
	job, err := c.RequestSummary(ctx, id)
	if err != nil {
		return err
	}
	job, err = c.AwaitJob(ctx, job.ID, time.Second, g.showProgress)
	if err == nil && job.State != document.JobSucceeded {
		err = errors.Join(fmt.Errorf("job %s is %s", job.ID, job.State), upload.JobError(job))
	}
	return err
}
