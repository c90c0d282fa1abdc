package reindex

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/seed-7a112592/gristmill/internal/original"
	"github.com/seed-7a112592/gristmill/internal/vector"
	"github.com/seed-7a112592/gristmill/pkg/chunk"
	"github.com/seed-7a112592/gristmill/pkg/document"
)

const (
	// sampleTime and sampleBytes are how much of a collection's originals is
	// read for an estimate; somebody waits for it.
	sampleTime  = 5 * time.Second
	sampleBytes = 64 << 20

	// lookupBatch is how many passages are looked up at a time.
	lookupBatch = 1000
)

// chunkingSample are what came of cutting a part of a collection's originals.
type chunkingSample struct {
	documents int64                        // that were seen, if not read
	size      int64                        // of these, in bytes
	read      int64                        // of that
	tokens    map[document.ContentHash]int // of each distinct passage, with what stands above it
	partial   bool                         // something was not read
}

// estimateChunking completes the estimate for a chunking that is new: what originals come
// to is known once they are cut. Of many, the newest are, and stand for the
// rest by their size.
func (d *Service) estimateChunking(ctx context.Context, target vector.Space, e *document.ReindexEstimate) error {
	c, err := d.splitSample(ctx, e.Collection, target.Chunking)
	if err != nil {
		return err
	}
	var reusable, tokens int64
	for hashes := range slices.Chunk(slices.Collect(maps.Keys(c.tokens)), lookupBatch) {
		embedded, err := d.Store.ReusableHashes(ctx, target, hashes)
		if err != nil {
			return err
		}
		reusable += int64(len(embedded))
		for _, hash := range hashes {
			tokens += int64(c.tokens[hash])
		}
		for _, hash := range embedded {
			tokens -= int64(c.tokens[hash])
		}
	}
	whole := c.scale(e.Documents)
	e.Passages, e.Reusable, e.Tokens = whole(int64(len(c.tokens))), whole(reusable), whole(tokens)
	e.Sampled = c.partial
	return nil
}

// scale returns a function that reckons from what was read what all of so many
// documents come to.
func (c *chunkingSample) scale(documents int64) func(int64) int64 {
	if !c.partial || c.read == 0 {
		return func(n int64) int64 { return n }
	}
	total := float64(c.size) * float64(max(documents, c.documents)) / float64(c.documents)
	return func(n int64) int64 { return int64(float64(n) * total / float64(c.read)) }
}

// splitSample cuts originals of a collection until time is up, enough is read, or all is.
func (d *Service) splitSample(ctx context.Context, collection string, chunking document.Chunking) (*chunkingSample, error) {
	c := &chunkingSample{tokens: map[document.ContentHash]int{}}
	until := time.Now().Add(sampleTime)
	enough := func() bool { return c.read >= sampleBytes || time.Now().After(until) }
	page := document.Page{Limit: pageSize}
	for {
		list, err := d.Store.Documents(ctx, document.DocumentFilter{Collection: collection, State: document.DocumentReady}, page)
		if err != nil {
			return nil, err
		}
		for _, one := range list.Items {
			if err := d.splitDocument(ctx, c, one, chunking, enough); err != nil {
				return nil, fmt.Errorf("cut %s: %w", one.Key, err)
			}
		}
		if page.Cursor = list.NextCursor; page.Cursor == "" {
			return c, nil
		}
		if enough() {
			c.partial = true
			return c, nil
		}
	}
}

// splitDocument cuts one original, to its end unless it is enough before. One that is
// gone or damaged cannot be cut by the reindex either.
func (d *Service) splitDocument(ctx context.Context, c *chunkingSample, one document.Document, chunking document.Chunking, enough func() bool) error {
	before := c.read
	if !enough() {
		source, err := original.Open(ctx, d.Objects, original.RefOf(one))
		if original.IsLost(err) {
			return nil
		}
		if err != nil {
			return err
		}
		defer source.Close()
		for p, err := range chunk.Split(source, chunk.OptionsOf(chunking, one.SourceInfo())) {
			if original.IsLost(err) {
				c.read = before
				return nil
			}
			if err != nil {
				return err
			}
			place, text := vector.NewManifestEntry(p.Ordinal, p.Start, p.End, p.PassageText), p.PassageText
			// What stands above it has about one token for every four bytes.
			c.tokens[place.Hash] = text.Tokens + (len(text.EmbeddingPrefix())+3)/4
			if c.read = before + p.End; enough() {
				break
			}
		}
	}
	c.documents++
	c.size += one.Size
	if enough() {
		c.partial = true
	} else {
		c.read = before + one.Size
	}
	return nil
}
