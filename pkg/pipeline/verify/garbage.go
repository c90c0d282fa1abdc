package verify

import (
	"context"
	"fmt"

	"github.com/seed-7a112592/gristmill/pkg/document"
)

// searchRows is about how many rows are searched at a time.
const searchRows = 1000

// garbage looks for rows of the tenant in ctx that nobody refers to and that no
// list of garbage names. The store lists what it finds.
func (v *Verifier) garbage(ctx context.Context, id string, report Report) error {
	var at document.GarbageSearchCursor
	var found document.GarbageFound
	for at.Stage != document.SearchEnded {
		next, part, err := v.Store.SearchGarbage(ctx, at, searchRows)
		if err != nil {
			return err
		}
		if err := v.pace(ctx, perDocument); err != nil {
			return err
		}
		at = next
		found.Add(part)
	}
	if found == (document.GarbageFound{}) {
		return nil
	}
	return report.Found(document.Finding{
		Kind: document.GarbageUnlisted, Tenant: id,
		Detail: fmt.Sprintf("nobody refers to %s, and no list of garbage named them", found),
		Remedy: "nothing is to be done: they are listed now, and will be removed; an earlier release may have left them",
	})
}
