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

	"github.com/seed-7a112592/gristmill/pkg/document"
	"github.com/seed-7a112592/gristmill/pkg/original"
	"github.com/seed-7a112592/gristmill/pkg/telemetry"
	"github.com/seed-7a112592/gristmill/pkg/tenant"
)

// Store tells what must be there; see storetest.Comparing for the contract.
type Store interface {
	Tenants(ctx context.Context) ([]string, error)
	Kept(ctx context.Context, filter document.KeptFilter, after uuid.UUID, limit int) ([]document.Kept, error)
	PlacedPassages(ctx context.Context, of document.Kept, from, limit int) ([]document.PlacedPassage, error)
	Compared(ctx context.Context, of document.Kept, tag, damage string) error
	Unreferenced(ctx context.Context, objects []string) ([]string, error)
	SearchGarbage(ctx context.Context, from document.GarbageSearchCursor, limit int) (document.GarbageSearchCursor, document.GarbageFound, error)
}

// Objects holds originals. Names yields the names of all objects that begin with
// a prefix, in no promised order.
type Objects interface {
	original.Objects
	Names(ctx context.Context, prefix string) iter.Seq2[string, error]
}

const (
	// pageSize is how many documents or passages are asked for at a time.
	pageSize = 100

	// lookUp is how many objects are looked up at a time.
	lookUp = 1000
)

// Verifier compares. Its memory does not grow with the documents there are, nor
// with any of them.
type Verifier struct {
	Store   Store
	Objects Objects
	Log     *slog.Logger

	// Pace is called with a number of bytes that were read, and sleeps for as
	// long as reading them should take; nil reads as fast as can be.
	Pace func(ctx context.Context, bytes int64) error
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

// Report is told of each finding, and after each page of documents how far the
// comparison is. An error ends it.
type Report struct {
	Found   func(document.Finding) error
	Reached func(tenant string, document uuid.UUID) error
}

// Run compares everything in the scope.
func (v *Verifier) Run(ctx context.Context, scope Scope, report Report) (Tally, error) {
	var tally Tally
	tenants, err := v.Store.Tenants(ctx)
	if err != nil {
		return tally, fmt.Errorf("list tenants: %w", err)
	}
	counted := report
	counted.Found = func(f document.Finding) error {
		tally.Findings++
		return report.Found(f)
	}
	for _, id := range tenants {
		if id < scope.Tenant {
			continue
		}
		after := uuid.Nil
		if id == scope.Tenant {
			after = scope.After
		}
		if err := v.documents(of(ctx, id), id, scope.Collection, after, counted, &tally); err != nil {
			return tally, fmt.Errorf("verify documents of tenant %s: %w", id, err)
		}
		if scope.Collection != "" {
			continue
		}
		if err := v.garbage(of(ctx, id), id, counted); err != nil {
			return tally, fmt.Errorf("search for garbage of tenant %s: %w", id, err)
		}
	}
	if scope.Collection != "" {
		return tally, nil
	}
	err = v.unused(ctx, tenants, counted, &tally)
	return tally, err
}

// documents compares the documents of a tenant after one.
func (v *Verifier) documents(ctx context.Context, id, collection string, after uuid.UUID, report Report, tally *Tally) error {
	for {
		page, err := v.Page(ctx, document.KeptFilter{Collection: collection}, after, report.Found, tally)
		if err != nil || page == uuid.Nil {
			return err
		}
		if after = page; report.Reached != nil {
			if err := report.Reached(id, after); err != nil {
				return err
			}
		}
	}
}

// Page compares the next documents of the tenant in ctx after one, and returns
// the last of them; the zero id when there were none.
func (v *Verifier) Page(ctx context.Context, filter document.KeptFilter, after uuid.UUID, found func(document.Finding) error, tally *Tally) (last uuid.UUID, err error) {
	page, err := v.Store.Kept(ctx, filter, after, pageSize)
	if err != nil {
		return uuid.Nil, err
	}
	for _, kept := range page {
		finding, err := v.version(ctx, kept)
		if err != nil {
			return uuid.Nil, fmt.Errorf("document %s, key %q, version %d: %w", kept.Document, kept.Key, kept.Version, err)
		}
		if kept.Document != last {
			tally.Documents++
		}
		tally.Bytes += kept.Original.Size
		last = kept.Document
		if finding == nil {
			continue
		}
		if err := found(*finding); err != nil {
			return uuid.Nil, err
		}
	}
	return last, nil
}

// of returns a context for work in the name of a tenant.
func of(ctx context.Context, id string) context.Context {
	return telemetry.With(tenant.With(ctx, id), slog.String("tenant", id))
}
