package cli

import (
	"cmp"
	"context"
	"fmt"

	"github.com/google/uuid"
	"github.com/spf13/cobra"

	"github.com/seed-7a112592/gristmill/pkg/client"
	"github.com/seed-7a112592/gristmill/pkg/document"
)

// reindexVerb is what can be done to a reindex.
type reindexVerb struct {
	name, usage string
	do          func(c *client.Client, ctx context.Context, id uuid.UUID) (document.Reindex, error)
	applies     func(reindex document.Reindex) bool
	none        string // why it applies to none
}

var reindexVerbs = []reindexVerb{
	{
		name: "pause", usage: "have it do nothing more until it is resumed",
		do:      (*client.Client).PauseReindex,
		applies: func(r document.Reindex) bool { return !r.State.Ended() },
		none:    "none is under way",
	}, {
		name: "resume", usage: "go on with one that is paused or has failed",
		do:      (*client.Client).ResumeReindex,
		applies: func(r document.Reindex) bool { return r.State == document.Paused || r.State == document.JobFailed },
		none:    "none is paused, and none has failed since it was last re-indexed",
	}, {
		name: "cancel", usage: "end it; searches stay as they are",
		do:      (*client.Client).CancelReindex,
		applies: func(r document.Reindex) bool { return !r.State.Ended() },
		none:    "none is under way",
	}, {
		name: "revert", usage: "switch back to the space that was live before",
		do: (*client.Client).RevertReindex,
		// Whether it is too late, the server knows.
		applies: func(r document.Reindex) bool { return switched(r) || r.Stage == document.StageReverting },
		none:    "none has changed its space",
	},
}

// switched reports whether a reindex has made another space the live one.
func switched(r document.Reindex) bool {
	return r.State == document.Succeeded && r.Change != document.ChangeNothing
}

// reindexVerbOf returns the one that was asked for, nil if none was.
func reindexVerbOf(cmd *cobra.Command) *reindexVerb {
	for i, verb := range reindexVerbs {
		if set, err := cmd.Flags().GetBool(verb.name); err == nil && set {
			return &reindexVerbs[i]
		}
	}
	return nil
}

// steerReindex does something to a reindex, the collection's newest that it
// applies to if none is named, and prints what it is then.
func (g *globals) steerReindex(ctx context.Context, c *client.Client, verb *reindexVerb, id uuid.UUID, collection string, watch bool) (err error) {
	if id == uuid.Nil {
		if id, err = findReindex(ctx, c, verb, cmp.Or(collection, "default")); err != nil {
			return err
		}
	}
	reindex, err := verb.do(c, ctx, id)
	if err != nil {
		return err
	}
	if watch {
		return g.watchReindex(ctx, c, reindex)
	}
	return g.printReindexState(reindex)
}

// findReindex looks for the collection's newest reindex that the verb applies
// to. What was before the last switch is history, to be named by its id.
func findReindex(ctx context.Context, c *client.Client, verb *reindexVerb, collection string) (uuid.UUID, error) {
	for reindex, err := range c.AllReindexes(ctx, document.ReindexFilter{Collection: collection}) {
		if err != nil {
			return uuid.Nil, err
		}
		if verb.applies(reindex) {
			return reindex.ID, nil
		}
		if switched(reindex) {
			break
		}
	}
	return uuid.Nil, fmt.Errorf("collection %q has no reindex to %s: %s", collection, verb.name, verb.none)
}
