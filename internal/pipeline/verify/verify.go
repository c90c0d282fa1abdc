// Package verify compares documents with the data that is stored for them: originals with their
// rows, published versions with their originals, object storage with the rows, and garbage with
// the garbage list. The command gristmill verify does all of it in one run; the Scrubber does it
// slowly and repeatedly.
package verify

import (
	"context"
	"fmt"
	"iter"
	"log/slog"

	"github.com/google/uuid"

	"github.com/seed-7a112592/gristmill/internal/garbage"
	"github.com/seed-7a112592/gristmill/internal/original"
	"github.com/seed-7a112592/gristmill/internal/required"
	"github.com/seed-7a112592/gristmill/internal/telemetry"
	"github.com/seed-7a112592/gristmill/internal/verification"
)

// Store knows what must be stored; see storetest.Verifying and Garbage for the contract.
type Store interface {
	Tenants(ctx context.Context) ([]string, error)
	RetainedVersions(ctx context.Context, filter verification.Filter, after uuid.UUID, limit int) ([]verification.RetainedVersion, error)
	ManifestPassages(ctx context.Context, of verification.RetainedVersion, from, limit int) ([]verification.ManifestPassage, error)
	RecordVersionCheck(ctx context.Context, of verification.RetainedVersion, tag, damage string) error
	UnreferencedObjects(ctx context.Context, objects []string) ([]string, error)
	ScanForGarbage(ctx context.Context, from garbage.ScanCursor, limit int) (garbage.ScanCursor, garbage.ScanCounts, error)
}

// Objects holds originals. Names yields the names of all objects that begin with a prefix, in no
// particular order.
type Objects interface {
	original.ObjectOpener
	Names(ctx context.Context, prefix string) iter.Seq2[string, error]
}

const (
	// pageSize is the number of documents or passages that are read at a time.
	pageSize = 100

	// lookupBatch is the number of objects that are looked up at a time.
	lookupBatch = 1000
)

// VerifierConfig is what a Verifier needs.
type VerifierConfig struct {
	Store   Store
	Objects Objects
	Log     *slog.Logger

	// Throttle is called with a number of bytes that were read. It blocks for as long as reading
	// them should take. If nil, reading is not slowed down.
	Throttle func(ctx context.Context, bytes int64) error `zero:"ok"`
}

// Verifier verifies documents. Its memory grows neither with the number of documents nor with the
// size of any of them.
type Verifier struct{ VerifierConfig }

// NewVerifier returns a Verifier, or an error that names what config lacks.
func NewVerifier(config VerifierConfig) (*Verifier, error) {
	if err := required.Fields(config); err != nil {
		return nil, err
	}
	return &Verifier{config}, nil
}

// Scope limits a verification. The zero value is everything.
type Scope struct {
	Collection string    // of every tenant; if set, unused objects and unlisted garbage are not looked for
	Tenant     string    // the first tenant, in order of ids
	After      uuid.UUID // the documents of Tenant up to this one are skipped
}

// Tally counts what was verified.
type Tally struct {
	Documents int64 `json:"documents"`
	Bytes     int64 `json:"bytes"` // of originals
	Objects   int64 `json:"objects"`
	Findings  int64 `json:"findings"`
}

// Observer is notified of each finding, and after each page of documents of the last document of
// the page. An error ends the verification.
type Observer struct {
	OnFinding  func(verification.Finding) error
	OnProgress func(tenant string, document uuid.UUID) error
}

// Run verifies everything in the scope, and reports to the observer.
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
			return tally, fmt.Errorf("scan for garbage of tenant %s: %w", id, err)
		}
	}
	if scope.Collection != "" {
		return tally, nil
	}
	err = v.findUnusedObjects(ctx, tenants, counted, &tally)
	return tally, err
}

// verifyDocuments verifies the documents of ctx's tenant, whose id is given, that follow after.
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

// VerifyPage verifies the next page of documents of ctx's tenant, those that follow after. It
// returns the last document of the page, or the zero id if there was none.
func (v *Verifier) VerifyPage(ctx context.Context, filter verification.Filter, after uuid.UUID, found func(verification.Finding) error, tally *Tally) (last uuid.UUID, err error) {
	page, err := v.Store.RetainedVersions(ctx, filter, after, pageSize)
	if err != nil {
		return uuid.Nil, err
	}
	for _, version := range page {
		finding, err := v.verifyVersion(ctx, version)
		if err != nil {
			return uuid.Nil, fmt.Errorf("document %s, key %q, version %d: %w", version.DocumentID, version.Key, version.Version, err)
		}
		if version.DocumentID != last {
			tally.Documents++
		}
		tally.Bytes += version.Original.Size
		last = version.DocumentID
		if finding == nil {
			continue
		}
		if err := found(*finding); err != nil {
			return uuid.Nil, err
		}
	}
	return last, nil
}
