package cli

import (
	"context"
	"fmt"

	"github.com/google/uuid"
	"github.com/spf13/cobra"

	"github.com/seed-7a112592/gristmill/pkg/document"
)

func newReindex(g *globals) *cobra.Command {
	var collection, id string
	var watch bool
	cmd := &cobra.Command{
		Use:   "reindex",
		Short: "Put documents back on the path",
		Long:  "Put documents back on the path. Passages that are unchanged are not embedded again.",
		Args:  cobra.NoArgs,
		RunE: run(func(ctx context.Context, _ []string) error {
			return g.reindex(ctx, collection, id, watch)
		}),
	}
	cmd.Flags().StringVar(&collection, "collection", "", "only documents of this collection")
	cmd.Flags().StringVar(&id, "document", "", "only the document of this id")
	cmd.Flags().BoolVar(&watch, "watch", false, "follow until all jobs have ended")
	return cmd
}

func (g *globals) reindex(ctx context.Context, collection, id string, watch bool) error {
	doc := uuid.Nil
	if id != "" {
		var err error
		if doc, err = uuid.Parse(id); err != nil {
			return usage("--document %q: want a document's id", id)
		}
	}
	c, err := g.client()
	if err != nil {
		return err
	}
	n, err := c.Reindex(ctx, collection, doc)
	if err != nil {
		return err
	}
	if g.json {
		err = g.printJSON(map[string]int{"documents": n})
	} else {
		_, err = fmt.Fprintf(g.Stdout, "%s put back on the path\n", plural(n, "document"))
	}
	if err != nil || !watch {
		return err
	}
	return g.watch(ctx, c, document.JobFilter{Collection: collection, Document: doc})
}
