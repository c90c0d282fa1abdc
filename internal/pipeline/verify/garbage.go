package verify

import (
	"context"
	"fmt"

	"github.com/seed-7a112592/gristmill/internal/garbage"
	"github.com/seed-7a112592/gristmill/internal/verification"
)

// scanBatch is the approximate number of rows that are scanned at a time.
const scanBatch = 1000

// findGarbage finds rows of ctx's tenant, whose id is given, that are unreferenced and not on the
// garbage list. The store adds them to the list.
func (v *Verifier) findGarbage(ctx context.Context, id string, report Observer) error {
	var at garbage.ScanCursor
	var found garbage.ScanCounts
	for at.Stage != garbage.ScanEnded {
		next, part, err := v.Store.ScanForGarbage(ctx, at, scanBatch)
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
		Detail: fmt.Sprintf("%s are unreferenced and were not on the garbage list", found),
		Remedy: "no action is needed: they are on the list now and will be deleted; an earlier release may have left them",
	})
}
