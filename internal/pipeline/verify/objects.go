package verify

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/seed-7a112592/gristmill/internal/fault"
	"github.com/seed-7a112592/gristmill/internal/telemetry"
	"github.com/seed-7a112592/gristmill/internal/verification"
)

// findUnusedObjects finds objects that no document and no upload under way names.
func (v *Verifier) findUnusedObjects(ctx context.Context, tenants []string, report Observer, tally *Tally) error {
	batch := objectBatch{verifier: v, tenants: tenants, report: report}
	for name, err := range v.Objects.Names(ctx, "") {
		if err != nil {
			return fmt.Errorf("list objects: %w", err)
		}
		tally.Objects++
		if err := batch.add(ctx, name); err != nil {
			return err
		}
	}
	return batch.flush(ctx)
}

// objectBatch is a batch of objects of one tenant that are looked up together.
type objectBatch struct {
	verifier *Verifier
	tenants  []string
	report   Observer

	tenant string
	names  []string
}

func (b *objectBatch) add(ctx context.Context, name string) error {
	owner, _, _ := strings.Cut(name, "/")
	if owner != b.tenant || len(b.names) == lookupBatch {
		if err := b.flush(ctx); err != nil {
			return err
		}
	}
	b.tenant = owner
	b.names = append(b.names, name)
	return nil
}

func (b *objectBatch) flush(ctx context.Context) error {
	unused := b.names
	if slices.Contains(b.tenants, b.tenant) {
		var err error
		if unused, err = b.verifier.Store.UnreferencedObjects(telemetry.WithTenant(ctx, b.tenant), b.names); err != nil {
			return fmt.Errorf("look up objects of tenant %s: %w", b.tenant, err)
		}
	}
	for _, name := range unused {
		if err := b.reportUnused(ctx, name); err != nil {
			return err
		}
	}
	b.names = b.names[:0]
	return nil
}

// reportUnused reports an object, unless it has been deleted since it was listed, like those of
// deleted documents.
func (b *objectBatch) reportUnused(ctx context.Context, name string) error {
	object, err := b.verifier.Objects.Open(ctx, name)
	switch {
	case fault.Is(err, fault.NotFound):
		return nil
	case fault.Is(err, fault.BadRequest): // not a name that Gristmill makes
	case err != nil:
		return err
	default:
		_ = object.Close() // nothing was read
	}
	return b.report.OnFinding(verification.Finding{
		Kind: verification.FindingObjectUnused, Tenant: b.tenant, Object: name,
		Detail: "no document and no upload under way names the object; it takes space and is never read",
		Remedy: "delete it from object storage, unless something other than this database uses it",
	})
}
