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

// verifyVersion compares a version with the data that is stored for it, and records the result. A
// document may be changed, restored or deleted at the same time. So damage counts only if the row
// is still the same afterwards and a second comparison finds damage too.
func (v *Verifier) verifyVersion(ctx context.Context, version verification.RetainedVersion) (*verification.Finding, error) {
	tag, damage, err := v.compareOriginal(ctx, version)
	if damage != nil {
		now, err := v.reload(ctx, version)
		if err != nil || now == nil {
			return nil, err
		}
		version = *now
		tag, damage, err = v.compareOriginal(ctx, version)
		if err != nil {
			return nil, err
		}
	}
	if err != nil {
		return nil, err
	}
	if damage != nil && damage.Kind == verification.FindingOriginalUnreadable {
		return damage, nil // it is not known whether the document is damaged
	}
	note := ""
	if damage != nil {
		note = damage.Detail + "; " + damage.Remedy
	}
	if tag != version.Original.ETag || note != version.Damage {
		if err := v.Store.RecordVersionCheck(ctx, version, tag, note); err != nil {
			return nil, err
		}
	}
	return damage, nil
}

// reload returns the version as it is now, or nil if it does not have to be complete any more.
func (v *Verifier) reload(ctx context.Context, version verification.RetainedVersion) (*verification.RetainedVersion, error) {
	versions, err := v.Store.RetainedVersions(ctx, verification.Filter{DocumentID: version.DocumentID}, uuid.Nil, 1)
	for _, now := range versions {
		if now.Version == version.Version {
			return &now, err
		}
	}
	return nil, err
}

// compareOriginal reads the original once. For a published version, it compares the passages with
// it. It returns the ETag of the object if the object is the original.
func (v *Verifier) compareOriginal(ctx context.Context, version verification.RetainedVersion) (tag string, damage *verification.Finding, err error) {
	if err := v.throttle(ctx, documentOverhead); err != nil {
		return "", nil, err
	}
	source, err := original.Open(ctx, v.Objects, version.Original)
	if err != nil {
		return v.findingOfError(ctx, version, &readError{err})
	}
	defer source.Close()
	tiling := NewTilingChecker(throttledReader{source, func(n int) error { return v.throttle(ctx, int64(n)) }})
	var wrong error
	if version.Published {
		if wrong, err = v.comparePassages(ctx, version, tiling); err != nil {
			return v.findingOfError(ctx, version, err)
		}
	}
	if err := tiling.Drain(); err != nil {
		return v.findingOfError(ctx, version, err)
	}
	if wrong == nil {
		return source.ETag(), nil, nil
	}
	kind := verification.FindingPassagesDamaged
	if errors.Is(wrong, errDimensions) {
		kind = verification.FindingVectorsDamaged
	}
	return source.ETag(), newFinding(ctx, version, kind, wrong.Error(),
		fmt.Sprintf("gristmill reindex --collection %s --document %s --force makes them again; if that does not help, restore the database from a backup", version.Collection, version.DocumentID)), nil
}

// readError is an error of object storage, as opposed to one of the database.
type readError struct{ error }

func (e *readError) Unwrap() error { return e.error }

// findingOfError makes a finding of an error that says that the original is missing or damaged, or
// that only this original cannot be read. It returns other errors.
func (v *Verifier) findingOfError(ctx context.Context, version verification.RetainedVersion, err error) (string, *verification.Finding, error) {
	const remedy = "upload the document again with the same content, or restore the object from a backup"
	switch {
	case fault.Is(err, fault.NotFound):
		return "", newFinding(ctx, version, verification.FindingOriginalGone, fmt.Sprintf("the original, %d bytes, is missing from object storage", version.Original.Size), remedy), nil
	case fault.Is(err, fault.Damaged):
		detail := strings.TrimSuffix(fault.As(err).Detail, ": "+original.Remedy)
		return "", newFinding(ctx, version, verification.FindingOriginalDamaged, detail, remedy), nil
	}
	if _, reading := errors.AsType[*readError](err); !reading || ctx.Err() != nil || fault.Is(err, fault.Unavailable) {
		return "", nil, err
	}
	return "", newFinding(ctx, version, verification.FindingOriginalUnreadable, fmt.Sprintf("the original cannot be read: %v", err),
		"check object storage, its disk, and the permissions of its user"), nil
}

func newFinding(ctx context.Context, version verification.RetainedVersion, kind verification.FindingKind, detail, remedy string) *verification.Finding {
	id, _ := tenant.From(ctx) // the store has checked it
	return &verification.Finding{
		Kind: kind, Tenant: id, Collection: version.Collection, DocumentID: version.DocumentID, Key: version.Key, Version: version.Version,
		Object: version.Original.Object, Detail: detail, Remedy: remedy,
	}
}

var errDimensions = errors.New("vectors do not have the dimensions of their space")

// comparePassages compares the passages of a published version with its original, and the
// dimensions of their vectors with those of the space. wrong describes the first damage.
func (v *Verifier) comparePassages(ctx context.Context, version verification.RetainedVersion, tiling *TilingChecker) (wrong, err error) {
	if version.Passages < 0 {
		return fmt.Errorf("the version is not complete in the active space, %d", version.Space.ID), nil
	}
	count := 0
	for {
		page, err := v.Store.ManifestPassages(ctx, version, count, pageSize)
		if err != nil {
			return nil, err
		}
		for _, p := range page {
			switch {
			case p.Dimensions < 0:
				return fmt.Errorf("the text and the vector of passage %d are missing", p.Ordinal), nil
			case p.Dimensions != version.Space.Model.Dimensions:
				return fmt.Errorf("%w: the vector of passage %d has %d dimensions, want %d", errDimensions, p.Ordinal, p.Dimensions, version.Space.Model.Dimensions), nil
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
	if int64(count) != version.Passages {
		return fmt.Errorf("%d of %d passages are stored", count, version.Passages), nil
	}
	return tiling.CheckEnd()
}
