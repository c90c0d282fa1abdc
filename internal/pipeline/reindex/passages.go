package reindex

import (
	"context"
	"fmt"
	"iter"

	"github.com/seed-7a112592/gristmill/internal/fault"
	"github.com/seed-7a112592/gristmill/internal/original"
	"github.com/seed-7a112592/gristmill/internal/rebuild"
	"github.com/seed-7a112592/gristmill/internal/vector"
	"github.com/seed-7a112592/gristmill/pkg/chunk"
)

// storedPassages yields the passages of a version in the active space, in order. An error is the last
// value; it is fault.NotFound if a passage is missing.
func (b *spaceBuilder) storedPassages(ctx context.Context, d rebuild.MissingVersion) iter.Seq2[vector.PassageAt, error] {
	return func(yield func(vector.PassageAt, error) bool) {
		for from := 0; ; from += pageSize {
			page, err := b.step.Store.VersionPassages(ctx, b.from, d, from, pageSize)
			if err != nil {
				yield(vector.PassageAt{}, err)
				return
			}
			for i, passage := range page {
				if passage.Ordinal != from+i {
					yield(vector.PassageAt{}, fault.New(fault.NotFound, "passage %d is missing", from+i))
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

// originalPassages yields the passages of an original, in order. An error is the last value; it is
// fault.NotFound if the original is missing, and fault.Damaged if it is not what was uploaded.
func (b *spaceBuilder) originalPassages(ctx context.Context, d rebuild.MissingVersion) iter.Seq2[vector.PassageAt, error] {
	return func(yield func(vector.PassageAt, error) bool) {
		source, err := original.Open(ctx, b.step.Objects, d.Original())
		if err != nil {
			yield(vector.PassageAt{}, err)
			return
		}
		defer source.Close()
		for p, err := range chunk.Split(source, chunk.OptionsOf(b.to.Chunking, d.SourceInfo())) {
			if err != nil {
				yield(vector.PassageAt{}, fmt.Errorf("split the original: %w", err))
				return
			}
			entry, text := vector.NewManifestEntry(p.Ordinal, p.Start, p.End, p.PassageText), p.PassageText
			if !yield(vector.PassageAt{ManifestEntry: entry, PassageText: text}, nil) {
				return
			}
		}
	}
}
