package cli

import (
	"context"
	"strings"

	"github.com/google/uuid"
	"github.com/spf13/cobra"

	"github.com/seed-7a112592/gristmill/pkg/client"
	"github.com/seed-7a112592/gristmill/pkg/document"
)

func newReindex(g *globals) *cobra.Command {
	var request document.ReindexRequest
	var documents []string
	var overlap int
	var dryRun, watch bool
	cmd := &cobra.Command{
		Use:   "reindex [ID]",
		Short: "Re-index collections, or show or steer the reindex ID",
		Long: "Re-index a collection, or all. With another --model, --dimensions, --chunk-tokens or --chunk-overlap a new space is built\n" +
			"beside the live one, which answers searches until the new one is complete. Without, documents that are missing, failed or\n" +
			"stale are redone. What the model has embedded already is not embedded again.\n\n" +
			"With the ID of a reindex: show it, follow it with --watch, or steer it with --pause, --resume, --cancel or --revert. These\n" +
			"go without an ID too: they then mean the newest reindex of the collection (default if none is named) that they apply to.",
		Args: cobra.MaximumNArgs(1),
	}
	flags := cmd.Flags()
	flags.StringVar(&request.Collection, "collection", "", "only this collection")
	flags.StringVar(&request.KeyPrefix, "key-prefix", "", "only documents whose key begins so; not where the space changes")
	flags.StringSliceVar(&documents, "document", nil, "only the document of this id; may be repeated; not where the space changes")
	flags.StringVar(&request.Model.Name, "model", "", "embed with this model")
	flags.IntVar(&request.Model.Dimensions, "dimensions", 0, "length of its vectors; asked of a new model if left out")
	flags.IntVar(&request.Tokens, "chunk-tokens", 0, "most tokens of a passage")
	flags.IntVar(&overlap, "chunk-overlap", 0, "tokens that a passage repeats of the one before it")
	flags.BoolVar(&request.Force, "force", false, "redo documents that are whole too")
	flags.BoolVar(&dryRun, "dry-run", false, "only say what would be done, and what it would cost")
	flags.BoolVar(&watch, "watch", false, "follow until it has ended; exit status 1 unless it has succeeded")
	for _, verb := range reindexActions {
		flags.Bool(verb.name, false, verb.usage)
	}
	cmd.MarkFlagsMutuallyExclusive("pause", "resume", "cancel", "revert")
	cmd.MarkFlagsMutuallyExclusive("watch", "pause", "cancel", "dry-run")
	cmd.RunE = run(func(ctx context.Context, args []string) error {
		id, err := reindexID(args)
		if err != nil {
			return err
		}
		verb := selectedAction(cmd)
		if err := checkReindexFlags(cmd, id, verb); err != nil {
			return err
		}
		if request.DocumentIDs, err = documentIDs(documents); err != nil {
			return err
		}
		if flags.Changed("chunk-overlap") {
			request.Overlap = &overlap
		}
		c, err := g.client()
		switch {
		case err != nil:
			return err
		case verb != nil:
			return g.runReindexAction(ctx, c, verb, id, request.Collection, watch)
		case id != uuid.Nil:
			return g.showReindex(ctx, c, id, watch)
		case dryRun:
			return g.estimateReindex(ctx, c, request)
		default:
			return g.beginReindex(ctx, c, request, watch)
		}
	})
	return cmd
}

// beginFlags say what is to be begun, and nothing about a reindex that is
// there.
var beginFlags = []string{"key-prefix", "document", "model", "dimensions", "chunk-tokens", "chunk-overlap", "force", "dry-run"}

// checkReindexFlags refuses what would be ignored. What is given and empty, as
// a variable that is not set is, must not be taken for everything.
func checkReindexFlags(cmd *cobra.Command, id uuid.UUID, verb *reindexAction) error {
	flags := cmd.Flags()
	for _, name := range beginFlags {
		if flags.Changed(name) && (id != uuid.Nil || verb != nil) {
			return usageError("--%s is for a reindex that begins, not for one that is there", name)
		}
	}
	if flags.Changed("collection") && id != uuid.Nil {
		return usageError("--collection says nothing about a reindex named by its id")
	}
	for _, name := range []string{"collection", "key-prefix", "model", "document"} {
		if given := flags.Lookup(name); given.Changed && strings.Trim(given.Value.String(), "[]") == "" {
			return usageError("--%s is empty", name)
		}
	}
	for _, name := range []string{"dimensions", "chunk-tokens"} {
		if n, err := flags.GetInt(name); err == nil && flags.Changed(name) && n < 1 {
			return usageError("--%s %d: want at least 1", name, n)
		}
	}
	return nil
}

// reindexID returns the id that the command names, zero if it names none.
func reindexID(args []string) (uuid.UUID, error) {
	if len(args) == 0 {
		return uuid.Nil, nil
	}
	id, err := uuid.Parse(args[0])
	if err != nil || id == uuid.Nil {
		return uuid.Nil, usageError("reindex %q: want an id as 'gristmill reindex' prints it; a collection is named by --collection", args[0])
	}
	return id, nil
}

func documentIDs(args []string) ([]uuid.UUID, error) {
	var ids []uuid.UUID
	for _, arg := range args {
		id, err := uuid.Parse(arg)
		if err != nil {
			return nil, usageError("--document %q: want a document's id", arg)
		}
		ids = append(ids, id)
	}
	return ids, nil
}

// estimateReindex prints what would be begun.
func (g *globals) estimateReindex(ctx context.Context, c *client.Client, request document.ReindexRequest) error {
	estimates, err := c.EstimateReindex(ctx, request)
	if err != nil {
		return err
	}
	if g.json {
		return printOneOrAll(g, request, estimates)
	}
	return g.printEstimates(estimates)
}

// beginReindex begins reindexes, and follows them if they are to be watched.
func (g *globals) beginReindex(ctx context.Context, c *client.Client, request document.ReindexRequest, watch bool) error {
	begun, err := c.BeginReindex(ctx, request)
	if err != nil {
		return err
	}
	if g.json && !watch {
		return printOneOrAll(g, request, begun)
	}
	if !g.json {
		if err := g.printBegun(begun); err != nil {
			return err
		}
	}
	if !watch {
		return nil
	}
	succeeded := true
	for i, reindex := range begun {
		if begun[i], err = g.followReindex(ctx, c, reindex); err != nil {
			return err
		}
		succeeded = succeeded && begun[i].State == document.JobSucceeded
		if !g.json {
			if err := g.printReindexState(begun[i]); err != nil {
				return err
			}
		}
	}
	if g.json {
		if err := printOneOrAll(g, request, begun); err != nil {
			return err
		}
	}
	if !succeeded {
		return silentFailure()
	}
	return nil
}

// showReindex prints one reindex, at once or when it has ended; it is an error for
// it not to have succeeded then.
func (g *globals) showReindex(ctx context.Context, c *client.Client, id uuid.UUID, watch bool) error {
	reindex, err := c.Reindex(ctx, id, 0)
	if err != nil {
		return err
	}
	if !watch {
		return g.printReindex(reindex)
	}
	return g.watchReindex(ctx, c, reindex)
}

// watchReindex follows one reindex and says what it came to.
func (g *globals) watchReindex(ctx context.Context, c *client.Client, reindex document.Reindex) error {
	reindex, err := g.followReindex(ctx, c, reindex)
	if err != nil {
		return err
	}
	if err := g.printReindexState(reindex); err != nil {
		return err
	}
	if reindex.State != document.JobSucceeded {
		return silentFailure()
	}
	return nil
}

// printOneOrAll prints items as the API gives them: as a list unless the
// request is of one collection.
func printOneOrAll[T any](g *globals, request document.ReindexRequest, items []T) error {
	if len(items) == 1 && (request.Collection != "" || len(request.DocumentIDs) > 0) {
		return g.printJSON(items[0])
	}
	return g.printJSON(document.List[T]{Items: items})
}
