package verify

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/seed-7a112592/gristmill/pkg/document"
	"github.com/seed-7a112592/gristmill/pkg/fault"
)

// unused looks for objects that no document and no upload under way names.
func (v *Verifier) unused(ctx context.Context, tenants []string, report Report, tally *Tally) error {
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

// objectBatch is a run of objects of one tenant that are looked up together.
type objectBatch struct {
	verifier *Verifier
	tenants  []string
	report   Report

	owner string
	names []string
}

func (b *objectBatch) add(ctx context.Context, name string) error {
	owner, _, _ := strings.Cut(name, "/")
	if owner != b.owner || len(b.names) == lookUp {
		if err := b.flush(ctx); err != nil {
			return err
		}
	}
	b.owner = owner
	b.names = append(b.names, name)
	return nil
}

func (b *objectBatch) flush(ctx context.Context) error {
	unnamed := b.names
	if slices.Contains(b.tenants, b.owner) {
		var err error
		if unnamed, err = b.verifier.Store.Unreferenced(of(ctx, b.owner), b.names); err != nil {
			return fmt.Errorf("look up objects of tenant %s: %w", b.owner, err)
		}
	}
	for _, name := range unnamed {
		if err := b.found(ctx, name); err != nil {
			return err
		}
	}
	b.names = b.names[:0]
	return nil
}

// found reports an object, unless it was removed since it was listed, as those
// of deleted documents are.
func (b *objectBatch) found(ctx context.Context, name string) error {
	object, err := b.verifier.Objects.Open(ctx, name)
	switch {
	case fault.Is(err, fault.NotFound):
		return nil
	case fault.Is(err, fault.BadRequest): // not a name of ours
	case err != nil:
		return err
	default:
		_ = object.Close() // nothing was read
	}
	return b.report.Found(document.Finding{
		Kind: document.ObjectUnused, Tenant: b.owner, Object: name,
		Detail: "no document and no upload under way names the object; it takes space and is never read",
		Remedy: "delete it from object storage, unless something else than this database uses it",
	})
}
