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

// reindexAction is an action on a reindex.
type reindexAction struct {
	name, usage string
	run         func(c *client.Client, ctx context.Context, id uuid.UUID) (document.Reindex, error)
	applies     func(reindex document.Reindex) bool
	noneReason  string // why the action applies to no reindex
}

var reindexActions = []reindexAction{
	{
		name: "pause", usage: "pause the reindex until it is resumed",
		run:        (*client.Client).PauseReindex,
		applies:    func(r document.Reindex) bool { return !r.State.Ended() },
		noneReason: "none is running",
	}, {
		name: "resume", usage: "continue a paused or failed reindex",
		run:        (*client.Client).ResumeReindex,
		applies:    func(r document.Reindex) bool { return r.State == document.JobPaused || r.State == document.JobFailed },
		noneReason: "none is paused, and none has failed since the last change of the space",
	}, {
		name: "cancel", usage: "cancel the reindex; searches do not change",
		run:        (*client.Client).CancelReindex,
		applies:    func(r document.Reindex) bool { return !r.State.Ended() },
		noneReason: "none is running",
	}, {
		name: "revert", usage: "switch back to the previous active space",
		run: (*client.Client).RevertReindex,
		// The server decides whether it is too late.
		applies:    func(r document.Reindex) bool { return hasSwitchedSpace(r) || r.Stage == document.StageReverting },
		noneReason: "none has changed the space",
	},
}

// hasSwitchedSpace reports whether a reindex has made another space active.
func hasSwitchedSpace(r document.Reindex) bool {
	return r.State == document.JobSucceeded && r.Change != document.ChangeNothing
}

// selectedAction returns the action that the flags select, or nil.
func selectedAction(cmd *cobra.Command) *reindexAction {
	for i, action := range reindexActions {
		if set, err := cmd.Flags().GetBool(action.name); err == nil && set {
			return &reindexActions[i]
		}
	}
	return nil
}

// runReindexAction runs an action on a reindex and prints its new state. If id is uuid.Nil, it
// selects the collection's newest reindex to which the action applies.
func (g *globals) runReindexAction(ctx context.Context, c *client.Client, action *reindexAction, id uuid.UUID, collection string, watch bool) (err error) {
	if id == uuid.Nil {
		if id, err = findReindex(ctx, c, action, cmp.Or(collection, document.DefaultCollection)); err != nil {
			return err
		}
	}
	reindex, err := action.run(c, ctx, id)
	if err != nil {
		return err
	}
	if watch {
		return g.watchReindex(ctx, c, reindex)
	}
	return g.printReindexState(reindex)
}

// findReindex returns the collection's newest reindex to which the action applies. It ignores
// reindexes before the last change of the space: they can only be named by their ids.
func findReindex(ctx context.Context, c *client.Client, action *reindexAction, collection string) (uuid.UUID, error) {
	for reindex, err := range c.AllReindexes(ctx, document.ReindexFilter{Collection: collection}) {
		if err != nil {
			return uuid.Nil, err
		}
		if action.applies(reindex) {
			return reindex.ID, nil
		}
		if hasSwitchedSpace(reindex) {
			break
		}
	}
	return uuid.Nil, fmt.Errorf("collection %q has no reindex to %s: %s", collection, action.name, action.noneReason)
}
