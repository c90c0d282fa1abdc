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

// reindexAction is what can be done to a reindex.
type reindexAction struct {
	name, usage string
	run         func(c *client.Client, ctx context.Context, id uuid.UUID) (document.Reindex, error)
	applies     func(reindex document.Reindex) bool
	noneReason  string // why it applies to none
}

var reindexActions = []reindexAction{
	{
		name: "pause", usage: "have it do nothing more until it is resumed",
		run:        (*client.Client).PauseReindex,
		applies:    func(r document.Reindex) bool { return !r.State.Ended() },
		noneReason: "none is under way",
	}, {
		name: "resume", usage: "go on with one that is paused or has failed",
		run:        (*client.Client).ResumeReindex,
		applies:    func(r document.Reindex) bool { return r.State == document.JobPaused || r.State == document.JobFailed },
		noneReason: "none is paused, and none has failed since it was last re-indexed",
	}, {
		name: "cancel", usage: "end it; searches stay as they are",
		run:        (*client.Client).CancelReindex,
		applies:    func(r document.Reindex) bool { return !r.State.Ended() },
		noneReason: "none is under way",
	}, {
		name: "revert", usage: "switch back to the space that was live before",
		run: (*client.Client).RevertReindex,
		// Whether it is too late, the server knows.
		applies:    func(r document.Reindex) bool { return hasSwitchedSpace(r) || r.Stage == document.StageReverting },
		noneReason: "none has changed its space",
	},
}

// hasSwitchedSpace reports whether a reindex has made another space the live one.
func hasSwitchedSpace(r document.Reindex) bool {
	return r.State == document.JobSucceeded && r.Change != document.ChangeNothing
}

// selectedAction returns the one that was asked for, nil if none was.
func selectedAction(cmd *cobra.Command) *reindexAction {
	for i, verb := range reindexActions {
		if set, err := cmd.Flags().GetBool(verb.name); err == nil && set {
			return &reindexActions[i]
		}
	}
	return nil
}

// runReindexAction does something to a reindex, the collection's newest that it
// applies to if none is named, and prints what it is then.
func (g *globals) runReindexAction(ctx context.Context, c *client.Client, verb *reindexAction, id uuid.UUID, collection string, watch bool) (err error) {
	if id == uuid.Nil {
		if id, err = findReindex(ctx, c, verb, cmp.Or(collection, "default")); err != nil {
			return err
		}
	}
	reindex, err := verb.run(c, ctx, id)
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
func findReindex(ctx context.Context, c *client.Client, verb *reindexAction, collection string) (uuid.UUID, error) {
	for reindex, err := range c.AllReindexes(ctx, document.ReindexFilter{Collection: collection}) {
		if err != nil {
			return uuid.Nil, err
		}
		if verb.applies(reindex) {
			return reindex.ID, nil
		}
		if hasSwitchedSpace(reindex) {
			break
		}
	}
	return uuid.Nil, fmt.Errorf("collection %q has no reindex to %s: %s", collection, verb.name, verb.noneReason)
}
