// Package verify compares documents with what is stored of them: every original
// with its row, every live version with its original, object storage with the
// rows, and garbage with its list. The command gristmill verify does so at once, the scrubber slowly
// and again and again.
package verify

import (
	"context"
	"fmt"
	"iter"
	"log/slog"

	"github.com/google/uuid"

	"github.com/seed-7a112592/gristmill/internal/garbage"
	"github.com/seed-7a112592/gristmill/internal/original"
	"github.com/seed-7a112592/gristmill/internal/telemetry"
	"github.com/seed-7a112592/gristmill/internal/verification"
)

// Store tells what must be there; see storetest.Comparing for the contract.
type Store interface {
	Tenants(ctx context.Context) ([]string, error)
	RetainedVersions(ctx context.Context, filter verification.Filter, after uuid.UUID, limit int) ([]verification.RetainedVersion, error)
	ManifestPassages(ctx context.Context, of verification.RetainedVersion, from, limit int) ([]verification.ManifestPassage, error)
	RecordVersionCheck(ctx context.Context, of verification.RetainedVersion, tag, damage string) error
	UnreferencedObjects(ctx context.Context, objects []string) ([]string, error)
	ScanForGarbage(ctx context.Context, from garbage.ScanCursor, limit int) (garbage.ScanCursor, garbage.ScanCounts, error)
}

// Objects holds originals. Names yields the names of all objects that begin with
// a prefix, in no promised order.
type Objects interface {
	original.ObjectOpener
	Names(ctx context.Context, prefix string) iter.Seq2[string, error]
}

const (
	// pageSize is how many documents or passages are asked for at a time.
	pageSize = 100

	// lookupBatch is how many objects are looked up at a time.
	lookupBatch = 1000
)

// Verifier compares. Its memory does not grow with the documents there are, nor
// with any of them.
type Verifier struct {
	Store   Store
	Objects Objects
	Log     *slog.Logger

	// Throttle is called with a number of bytes that were read, and sleeps for as
	// long as reading them should take; nil reads as fast as can be.
	Throttle func(ctx context.Context, bytes int64) error
}

// Scope says what is compared, and from where on. The zero value is everything.
type Scope struct {
	Collection string // of every tenant; objects and rows that nobody names are not looked for then
	Tenant     string // begin with this tenant
	After      uuid.UUID
}

// Tally counts what was compared.
type Tally struct {
	Documents int64 `json:"documents"`
	Bytes     int64 `json:"bytes"` // of originals
	Objects   int64 `json:"objects"`
	Findings  int64 `json:"findings"`
}

// Observer is told of each finding, and after each page of documents how far the
// comparison is. An error ends it.
type Observer struct {
	OnFinding  func(verification.Finding) error
	OnProgress func(tenant string, document uuid.UUID) error
}

// Run compares everything in the scope.
func (v *Verifier) Run(ctx context.Context, scope Scope, report Observer) (Tally, error) {
	var tally Tally
	tenants, err := v.Store.Tenants(ctx)
	if err != nil {
		return tally, fmt.Errorf("list tenants: %w", err)
	}
	counted := report
	counted.OnFinding = func(f verification.Finding) error {
		tally.Findings++
		return report.OnFinding(f)
	}
	for _, id := range tenants {
		if id < scope.Tenant {
			continue
		}
		after := uuid.Nil
		if id == scope.Tenant {
			after = scope.After
		}
		if err := v.verifyDocuments(telemetry.WithTenant(ctx, id), id, scope.Collection, after, counted, &tally); err != nil {
			return tally, fmt.Errorf("verify documents of tenant %s: %w", id, err)
		}
		if scope.Collection != "" {
			continue
		}
		if err := v.findGarbage(telemetry.WithTenant(ctx, id), id, counted); err != nil {
			return tally, fmt.Errorf("search for garbage of tenant %s: %w", id, err)
		}
	}
	if scope.Collection != "" {
		return tally, nil
	}
	err = v.findUnusedObjects(ctx, tenants, counted, &tally)
	return tally, err
}

// verifyDocuments compares the documents of a tenant after one.
func (v *Verifier) verifyDocuments(ctx context.Context, id, collection string, after uuid.UUID, report Observer, tally *Tally) error {
	for {
		page, err := v.VerifyPage(ctx, verification.Filter{Collection: collection}, after, report.OnFinding, tally)
		if err != nil || page == uuid.Nil {
			return err
		}
		if after = page; report.OnProgress != nil {
			if err := report.OnProgress(id, after); err != nil {
				return err
			}
		}
	}
}

// VerifyPage compares the next documents of the tenant in ctx after one, and returns
// the last of them; the zero id when there were none.
func (v *Verifier) VerifyPage(ctx context.Context, filter verification.Filter, after uuid.UUID, found func(verification.Finding) error, tally *Tally) (last uuid.UUID, err error) {
	page, err := v.Store.RetainedVersions(ctx, filter, after, pageSize)
	if err != nil {
		return uuid.Nil, err
	}
	for _, kept := range page {
		finding, err := v.verifyVersion(ctx, kept)
		if err != nil {
			return uuid.Nil, fmt.Errorf("document %s, key %q, version %d: %w", kept.DocumentID, kept.Key, kept.Version, err)
		}
		if kept.DocumentID != last {
			tally.Documents++
		}
		tally.Bytes += kept.Original.Size
		last = kept.DocumentID
		if finding == nil {
			continue
		}
		if err := found(*finding); err != nil {
			return uuid.Nil, err
		}
	}
	return last, nil
}
