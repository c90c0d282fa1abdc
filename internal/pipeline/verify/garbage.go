package verify

import (
	"context"
	"fmt"

	"github.com/seed-7a112592/gristmill/internal/garbage"
	"github.com/seed-7a112592/gristmill/internal/verification"
)

// searchBatch is about how many rows are searched at a time.
const searchBatch = 1000

// findGarbage looks for rows of the tenant in ctx that nobody refers to and that no
// list of garbage names. The store lists what it finds.
func (v *Verifier) findGarbage(ctx context.Context, id string, report Observer) error {
	var at garbage.ScanCursor
	var found garbage.ScanCounts
	for at.Stage != garbage.ScanEnded {
		next, part, err := v.Store.ScanForGarbage(ctx, at, searchBatch)
		if err != nil {
			return err
		}
		if err := v.throttle(ctx, documentOverhead); err != nil {
			return err
		}
		at = next
		found.Add(part)
	}
	if found == (garbage.ScanCounts{}) {
		return nil
	}
	return report.OnFinding(verification.Finding{
		Kind: verification.FindingGarbageUnlisted, Tenant: id,
		Detail: fmt.Sprintf("nobody refers to %s, and no list of garbage named them", found),
		Remedy: "nothing is to be done: they are listed now, and will be removed; an earlier release may have left them",
	})
}
