package reindex

import (
	"context"
	"fmt"
	"iter"

	"github.com/seed-7a112592/gristmill/pkg/chunk"
	"github.com/seed-7a112592/gristmill/pkg/document"
	"github.com/seed-7a112592/gristmill/pkg/fault"
	"github.com/seed-7a112592/gristmill/pkg/original"
)

// stored yields the passages of a version in the live space, in order; an error
// is the last thing it yields. fault.NotFound when one of them is lost.
func (b *builder) stored(ctx context.Context, d document.Unplaced) iter.Seq2[document.Stored, error] {
	return func(yield func(document.Stored, error) bool) {
		for from := 0; ; from += pageSize {
			page, err := b.step.Store.StoredPassages(ctx, b.from, d, from, pageSize)
			if err != nil {
				yield(document.Stored{}, err)
				return
			}
			for i, passage := range page {
				if passage.Ordinal != from+i {
					yield(document.Stored{}, fault.New(fault.NotFound, "passage %d is lost", from+i))
					return
				}
				if !yield(passage, nil) {
					return
				}
			}
			if len(page) < pageSize {
				return
			}
		}
	}
}

// cut yields the passages of an original, in order; an error is the last thing
// it yields. fault.NotFound when the original is gone, fault.Damaged when it is
// not what was uploaded.
func (b *builder) cut(ctx context.Context, d document.Unplaced) iter.Seq2[document.Stored, error] {
	return func(yield func(document.Stored, error) bool) {
		source, err := original.Open(ctx, b.step.Objects, d.Original())
		if err != nil {
			yield(document.Stored{}, err)
			return
		}
		defer source.Close()
		for p, err := range chunk.Split(source, chunk.OptionsOf(b.to.Chunking, d.Source())) {
			if err != nil {
				yield(document.Stored{}, fmt.Errorf("cut the original: %w", err))
				return
			}
			place, text := p.Placed()
			if !yield(document.Stored{Place: place, Text: text}, nil) {
				return
			}
		}
	}
}
