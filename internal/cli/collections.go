package cli

import (
	"context"
	"fmt"
	"slices"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/seed-7a112592/gristmill/pkg/document"
)

func newCollections(g *globals) *cobra.Command {
	cmd := &cobra.Command{Use: "collections", Short: "Show or change settings of collections"}
	cmd.AddCommand(
		newListCollections(g),
		&cobra.Command{
			Use:   "get NAME",
			Short: "Show a collection's settings",
			Args:  cobra.ExactArgs(1),
			RunE: run(func(ctx context.Context, args []string) error {
				c, err := g.client()
				if err != nil {
					return err
				}
				settings, err := c.Collection(ctx, args[0])
				if err != nil {
					return err
				}
				return g.printSettings(settings)
			}),
		},
		newSetCollection(g),
	)
	return cmd
}

func newListCollections(g *globals) *cobra.Command {
	var page document.Page
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List the newest collections with their settings",
		Args:  cobra.NoArgs,
		RunE: run(func(ctx context.Context, _ []string) error {
			c, err := g.client()
			if err != nil {
				return err
			}
			list, err := c.Collections(ctx, page)
			if err != nil {
				return err
			}
			if g.json {
				return g.printJSON(list)
			}
			table := tabwriter.NewWriter(g.Stdout, 0, 0, 2, ' ', 0)
			fmt.Fprintln(table, "COLLECTION\tMODEL\tDIMENSIONS\tTOKENS\tOVERLAP\tSUMMARIES")
			for _, c := range list.Items {
				fmt.Fprintf(table, "%s\t%s\t%d\t%d\t%d\t%s\n", oneLine(c.Name), c.Model, c.Dimensions, c.Tokens, c.Overlap, c.Summaries)
			}
			if err := table.Flush(); err != nil || list.NextCursor == "" {
				return err
			}
			_, err = fmt.Fprintf(g.Stderr, "there are more collections; to list them, add --cursor %s\n", list.NextCursor)
			return err
		}),
	}
	cmd.Flags().IntVar(&page.Limit, "limit", 20, "maximum number of collections")
	cmd.Flags().StringVar(&page.Cursor, "cursor", "", "continue a list at the cursor that the command printed")
	return cmd
}

func newSetCollection(g *globals) *cobra.Command {
	var summaries string
	cmd := &cobra.Command{
		Use:   "set NAME --summaries model|on_demand|off",
		Short: "Change a collection's settings",
		Long: "Change a collection's settings. --summaries says when its documents are summarised: after each upload (model), on\n" +
			"request with 'gristmill documents summary --make' (on_demand), or never (off). Existing summaries are kept.",
		Args: cobra.ExactArgs(1),
		RunE: run(func(ctx context.Context, args []string) error {
			mode := document.SummaryMode(summaries)
			if !slices.Contains(document.SummaryModes, mode) {
				return usageError("--summaries %q: want model, on_demand or off", summaries)
			}
			c, err := g.client()
			if err != nil {
				return err
			}
			settings, err := c.SetSummaryMode(ctx, args[0], mode)
			if err != nil {
				return err
			}
			return g.printSettings(settings)
		}),
	}
	cmd.Flags().StringVar(&summaries, "summaries", "", "when documents are summarised: model, on_demand or off")
	return cmd
}

func (g *globals) printSettings(c document.CollectionSettings) error {
	if g.json {
		return g.printJSON(c)
	}
	_, err := fmt.Fprintf(g.Stdout, "%s: embedded by %s (%d dimensions), passages of at most %d tokens, overlap %d; summaries %s\n",
		c.Name, c.Model, c.Dimensions, c.Tokens, c.Overlap, c.Summaries)
	return err
}
