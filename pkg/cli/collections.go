package cli

import (
	"context"
	"fmt"
	"slices"

	"github.com/spf13/cobra"

	"github.com/seed-7a112592/gristmill/pkg/document"
)

func newCollections(g *globals) *cobra.Command {
	cmd := &cobra.Command{Use: "collections", Short: "Show or change settings of collections"}
	cmd.AddCommand(
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

func newSetCollection(g *globals) *cobra.Command {
	var summaries string
	cmd := &cobra.Command{
		Use:   "set NAME --summaries model|on_demand|off",
		Short: "Change a collection's settings",
		Long: "Change a collection's settings. --summaries says when its documents are summarised: after each upload (model), once\n" +
			"somebody asks for it by POST /v1/documents/{id}/summary (on_demand), or never (off). Summaries that are there stay.",
		Args: cobra.ExactArgs(1),
		RunE: run(func(ctx context.Context, args []string) error {
			mode := document.SummaryMode(summaries)
			if !slices.Contains(document.SummaryModes, mode) {
				return usage("--summaries %q: want model, on_demand or off", summaries)
			}
			c, err := g.client()
			if err != nil {
				return err
			}
			settings, err := c.SetSummaries(ctx, args[0], mode)
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
	_, err := fmt.Fprintf(g.Stdout, "%s: embedded by %s (%d dimensions), passages of at most %d tokens, %d of them repeated; summaries %s\n",
		c.Name, c.Model, c.Dimensions, c.Tokens, c.Overlap, c.Summaries)
	return err
}
