package reindex

import (
	"context"
	"fmt"
	"iter"

	"github.com/seed-7a112592/gristmill/pkg/chunk"
	"github.com/seed-7a112592/gristmill/pkg/document"
	"github.com/seed-7a112592/gristmill/pkg/fault"
)

// passages yields what is to be placed of a version, in order; an error is the
// last thing it yields. While the chunking stays as it is that is what the live
// space has, and originals are not read again.
func (b *builder) passages(ctx context.Context, d document.Unplaced) iter.Seq2[document.Stored, error] {
	if b.from.Chunking == b.to.Chunking {
		return b.stored(ctx, d)
	}
	return b.cut(ctx, d)
}

// stored yields the passages of a version in the live space. A version that has
// none there is cut: it may be damaged, and if not that is done in no time.
func (b *builder) stored(ctx context.Context, d document.Unplaced) iter.Seq2[document.Stored, error] {
	return func(yield func(document.Stored, error) bool) {
		for from := 0; ; from += pageSize {
			page, err := b.step.Store.StoredPassages(ctx, b.from, d, from, pageSize)
			if err != nil {
				yield(document.Stored{}, err)
				return
			}
			if from == 0 && len(page) == 0 {
				b.cut(ctx, d)(yield)
				return
			}
			for i, passage := range page {
				if passage.Ordinal != from+i {
					yield(document.Stored{}, fault.New(fault.Conflict, "document %s, key %q, is damaged in the live space, where passage %d is missing: re-index it by itself first, then resume", d.Document, d.Key, from+i))
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

// cut yields the passages of an original.
func (b *builder) cut(ctx context.Context, d document.Unplaced) iter.Seq2[document.Stored, error] {
	return func(yield func(document.Stored, error) bool) {
		source, err := b.step.Objects.Open(ctx, d.Object)
		if err != nil {
			yield(document.Stored{}, fmt.Errorf("open %s: %w", d.Object, err))
			return
		}
		defer source.Close()
		for p, err := range chunk.Split(source, chunk.Options{Tokens: b.to.Chunking.Tokens, Overlap: b.to.Chunking.Overlap}) {
			if err != nil {
				yield(document.Stored{}, fmt.Errorf("read %s: %w", d.Object, err))
				return
			}
			text := p.Text()
			place := document.Place{Hash: document.HashText(text.Embedding()), Ordinal: p.Ordinal, Start: p.Start, End: p.End}
			if !yield(document.Stored{Place: place, Text: text}, nil) {
				return
			}
		}
	}
}
