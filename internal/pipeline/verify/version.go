package verify

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/google/uuid"

	"github.com/seed-7a112592/gristmill/internal/fault"
	"github.com/seed-7a112592/gristmill/internal/original"
	"github.com/seed-7a112592/gristmill/internal/tenant"
	"github.com/seed-7a112592/gristmill/internal/verification"
)

// verifyVersion compares a version with what is stored of it, and notes what it finds.
// A document may be changed, restored or deleted at the same time, so what is
// found counts only when the row is still the same and it is found again.
func (v *Verifier) verifyVersion(ctx context.Context, kept verification.RetainedVersion) (*verification.Finding, error) {
	tag, damage, err := v.compareOriginal(ctx, kept)
	if damage != nil {
		now, err := v.reload(ctx, kept)
		if err != nil || now == nil {
			return nil, err
		}
		kept = *now
		tag, damage, err = v.compareOriginal(ctx, kept)
		if err != nil {
			return nil, err
		}
	}
	if err != nil {
		return nil, err
	}
	if damage != nil && damage.Kind == verification.FindingOriginalUnreadable {
		return damage, nil // whether the document is damaged is not known
	}
	note := ""
	if damage != nil {
		note = damage.Detail + "; " + damage.Remedy
	}
	if tag != kept.Original.ETag || note != kept.Damage {
		if err := v.Store.RecordVersionCheck(ctx, kept, tag, note); err != nil {
			return nil, err
		}
	}
	return damage, nil
}

// reload returns the version as it is now, nil when it need not be whole any more.
func (v *Verifier) reload(ctx context.Context, kept verification.RetainedVersion) (*verification.RetainedVersion, error) {
	versions, err := v.Store.RetainedVersions(ctx, verification.Filter{DocumentID: kept.DocumentID}, uuid.Nil, 1)
	for _, now := range versions {
		if now.Version == kept.Version {
			return &now, err
		}
	}
	return nil, err
}

// compareOriginal reads the original once, along with the passages of a live version.
// It returns the tag of the object, if the object is the original.
func (v *Verifier) compareOriginal(ctx context.Context, kept verification.RetainedVersion) (tag string, damage *verification.Finding, err error) {
	if err := v.throttle(ctx, documentOverhead); err != nil {
		return "", nil, err
	}
	source, err := original.Open(ctx, v.Objects, kept.Original)
	if err != nil {
		return v.findingOfError(ctx, kept, &readError{err})
	}
	defer source.Close()
	tiling := NewTilingChecker(throttledReader{source, func(n int) error { return v.throttle(ctx, int64(n)) }})
	var wrong error
	if kept.Published {
		if wrong, err = v.comparePassages(ctx, kept, tiling); err != nil {
			return v.findingOfError(ctx, kept, err)
		}
	}
	if err := tiling.Drain(); err != nil {
		return v.findingOfError(ctx, kept, err)
	}
	if wrong == nil {
		return source.ETag(), nil, nil
	}
	kind := verification.FindingPassagesDamaged
	if errors.Is(wrong, errVectorLength) {
		kind = verification.FindingVectorsDamaged
	}
	return source.ETag(), newFinding(ctx, kept, kind, wrong.Error(),
		fmt.Sprintf("gristmill reindex --collection %s --document %s --force makes them again; if that does not help, restore the database from a backup", kept.Collection, kept.DocumentID)), nil
}

// readError is an error of reading an original, and not of the database.
type readError struct{ error }

func (e *readError) Unwrap() error { return e.error }

// findingOfError makes a finding of an error that says that the original is lost, or that
// it alone cannot be read.
func (v *Verifier) findingOfError(ctx context.Context, kept verification.RetainedVersion, err error) (string, *verification.Finding, error) {
	const remedy = "upload the document again with the same content, or restore the object from a backup"
	switch {
	case fault.Is(err, fault.NotFound):
		return "", newFinding(ctx, kept, verification.FindingOriginalGone, fmt.Sprintf("the original, %d bytes, is gone from object storage", kept.Original.Size), remedy), nil
	case fault.Is(err, fault.Damaged):
		detail := strings.TrimSuffix(fault.As(err).Detail, ": "+original.Remedy)
		return "", newFinding(ctx, kept, verification.FindingOriginalDamaged, detail, remedy), nil
	}
	if _, reading := errors.AsType[*readError](err); !reading || ctx.Err() != nil || fault.Is(err, fault.Unavailable) {
		return "", nil, err
	}
	return "", newFinding(ctx, kept, verification.FindingOriginalUnreadable, fmt.Sprintf("the original cannot be read: %v", err),
		"look at object storage, its disk and the rights of its user"), nil
}

func newFinding(ctx context.Context, kept verification.RetainedVersion, kind verification.FindingKind, detail, remedy string) *verification.Finding {
	id, _ := tenant.From(ctx) // it worked for the store
	return &verification.Finding{
		Kind: kind, Tenant: id, Collection: kept.Collection, DocumentID: kept.DocumentID, Key: kept.Key, Version: kept.Version,
		Object: kept.Original.Object, Detail: detail, Remedy: remedy,
	}
}

var errVectorLength = errors.New("vectors are not of their space's length")

// comparePassages compares the passages of a live version with its original and their
// vectors with their space. Wrong is what is wrong with them first.
func (v *Verifier) comparePassages(ctx context.Context, kept verification.RetainedVersion, tiling *TilingChecker) (wrong, err error) {
	if kept.Passages < 0 {
		return fmt.Errorf("the version is not whole in space %d, which answers searches", kept.Space.ID), nil
	}
	count := 0
	for {
		page, err := v.Store.ManifestPassages(ctx, kept, count, pageSize)
		if err != nil {
			return nil, err
		}
		for _, p := range page {
			switch {
			case p.Dimensions < 0:
				return fmt.Errorf("the text and the vector of passage %d are lost", p.Ordinal), nil
			case p.Dimensions != kept.Space.Model.Dimensions:
				return fmt.Errorf("%w: that of passage %d has %d dimensions, want %d", errVectorLength, p.Ordinal, p.Dimensions, kept.Space.Model.Dimensions), nil
			}
			wrong, err := tiling.CheckPassage(p.Ordinal, p.Start, p.End, p.Content)
			if wrong != nil || err != nil {
				return wrong, err
			}
			count++
		}
		if len(page) < pageSize {
			break
		}
	}
	if int64(count) != kept.Passages {
		return fmt.Errorf("%d of %d passages are there", count, kept.Passages), nil
	}
	return tiling.CheckEnd()
}
