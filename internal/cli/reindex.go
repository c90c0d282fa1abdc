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
		Short: "Re-index collections, or show or control the reindex ID",
		Long: "Re-index one collection or all. If --model, --dimensions, --chunk-tokens or --chunk-overlap changes, a new space is built\n" +
			"next to the active one, which answers searches until the new one is complete. Otherwise, documents that are missing,\n" +
			"failed or stale are redone. Text that the model has already embedded is not embedded again.\n\n" +
			"With the ID of a reindex: show it, follow it with --watch, or control it with --pause, --resume, --cancel or --revert.\n" +
			"Without an ID, these four apply to the newest suitable reindex of the collection (--collection, or else " + document.DefaultCollection + ").",
		Args: cobra.MaximumNArgs(1),
	}
	flags := cmd.Flags()
	flags.StringVar(&request.Collection, "collection", "", "only this collection")
	flags.StringVar(&request.KeyPrefix, "key-prefix", "", "only documents whose key has this prefix; not if the space changes")
	flags.StringSliceVar(&documents, "document", nil, "only the document with this id; may be repeated; not if the space changes")
	flags.StringVar(&request.Model.Name, "model", "", "embed with this model")
	flags.IntVar(&request.Model.Dimensions, "dimensions", 0, "dimensions of the model's vectors (default: a new model is asked)")
	flags.IntVar(&request.Tokens, "chunk-tokens", 0, "maximum number of tokens of a passage")
	flags.IntVar(&overlap, "chunk-overlap", 0, "maximum number of tokens that a passage repeats from the one before it")
	flags.BoolVar(&request.Force, "force", false, "redo complete documents too")
	flags.BoolVar(&dryRun, "dry-run", false, "only show what would be done and what it would cost")
	flags.BoolVar(&watch, "watch", false, "follow the reindex until it has ended; exit status 1 unless it has succeeded")
	for _, action := range reindexActions {
		flags.Bool(action.name, false, action.usage)
	}
	cmd.MarkFlagsMutuallyExclusive("pause", "resume", "cancel", "revert")
	cmd.MarkFlagsMutuallyExclusive("watch", "pause", "cancel", "dry-run")
	cmd.RunE = run(func(ctx context.Context, args []string) error {
		id, err := reindexID(args)
		if err != nil {
			return err
		}
		action := selectedAction(cmd)
		if err := checkReindexFlags(cmd, id, action); err != nil {
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
		case action != nil:
			return g.runReindexAction(ctx, c, action, id, request.Collection, watch)
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

// beginFlags are the flags for beginning a reindex. They have no meaning for an existing one.
var beginFlags = []string{"key-prefix", "document", "model", "dimensions", "chunk-tokens", "chunk-overlap", "force", "dry-run"}

// checkReindexFlags refuses flags that would be ignored. It also refuses empty values, for example
// of a shell variable that is not set: an empty --collection must not mean all collections.
func checkReindexFlags(cmd *cobra.Command, id uuid.UUID, action *reindexAction) error {
	flags := cmd.Flags()
	for _, name := range beginFlags {
		if flags.Changed(name) && (id != uuid.Nil || action != nil) {
			return usageError("--%s is for a new reindex, not for an existing one", name)
		}
	}
	if flags.Changed("collection") && id != uuid.Nil {
		return usageError("--collection has no effect on a reindex that is named by its id")
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

// reindexID returns the id in the arguments, or uuid.Nil if there are none.
func reindexID(args []string) (uuid.UUID, error) {
	if len(args) == 0 {
		return uuid.Nil, nil
	}
	id, err := uuid.Parse(args[0])
	if err != nil || id == uuid.Nil {
		return uuid.Nil, usageError("reindex %q: want an id, as printed by 'gristmill reindex'; use --collection to name a collection", args[0])
	}
	return id, nil
}

func documentIDs(args []string) ([]uuid.UUID, error) {
	var ids []uuid.UUID
	for _, arg := range args {
		id, err := uuid.Parse(arg)
		if err != nil {
			return nil, usageError("--document %q: want the id of a document", arg)
		}
		ids = append(ids, id)
	}
	return ids, nil
}

// estimateReindex prints what a reindex would do and cost.
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

// beginReindex begins reindexes. With watch, it follows them until they have ended.
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

// showReindex prints one reindex. With watch, it follows the reindex until it has ended, and
// returns an error unless it has succeeded.
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

// watchReindex follows one reindex until it has ended and prints its result. It returns an error
// unless the reindex has succeeded.
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

// printOneOrAll prints items in the form of the API: one item if the request names a collection or
// documents, else a list.
func printOneOrAll[T any](g *globals, request document.ReindexRequest, items []T) error {
	if len(items) == 1 && (request.Collection != "" || len(request.DocumentIDs) > 0) {
		return g.printJSON(items[0])
	}
	return g.printJSON(document.List[T]{Items: items})
}
