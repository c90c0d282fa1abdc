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
	// sampleTime and sampleBytes bound the originals that are read for an estimate, while a user
	// waits.
	sampleTime  = 5 * time.Second
	sampleBytes = 64 << 20

	// lookupBatch is the number of passages that are looked up at a time.
	lookupBatch = 1000
)

// chunkingSample is the result of splitting some originals of a collection.
type chunkingSample struct {
	documents int64                        // number of documents in the sample
	size      int64                        // total size of their originals in bytes
	read      int64                        // number of these bytes that were read
	tokens    map[document.ContentHash]int // of each distinct passage, including its headings
	partial   bool                         // some originals were not read, or not to their end
}

// estimateChunking completes the estimate for a new chunking: the number of passages is known only
// after splitting the originals. If there are many, it splits the newest ones, and extrapolates by
// size.
func (s *Service) estimateChunking(ctx context.Context, target vector.Space, e *document.ReindexEstimate) error {
	c, err := s.splitSample(ctx, e.Collection, target.Chunking)
	if err != nil {
		return err
	}
	var reusable, tokens int64
	for hashes := range slices.Chunk(slices.Collect(maps.Keys(c.tokens)), lookupBatch) {
		embedded, err := s.Store.ReusableHashes(ctx, target, hashes)
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
	extrapolate := c.extrapolation(e.Documents)
	e.Passages, e.Reusable, e.Tokens = extrapolate(int64(len(c.tokens))), extrapolate(reusable), extrapolate(tokens)
	e.Sampled = c.partial
	return nil
}

// extrapolation returns a function that extrapolates a number from the sample to the given number of
// documents.
func (c *chunkingSample) extrapolation(documents int64) func(int64) int64 {
	if !c.partial || c.read == 0 {
		return func(n int64) int64 { return n }
	}
	total := float64(c.size) * float64(max(documents, c.documents)) / float64(c.documents)
	return func(n int64) int64 { return int64(float64(n) * total / float64(c.read)) }
}

// splitSample splits originals of a collection until the time is up, enough is read, or all are split.
func (s *Service) splitSample(ctx context.Context, collection string, chunking document.Chunking) (*chunkingSample, error) {
	c := &chunkingSample{tokens: map[document.ContentHash]int{}}
	until := time.Now().Add(sampleTime)
	enough := func() bool { return c.read >= sampleBytes || time.Now().After(until) }
	page := document.Page{Limit: pageSize}
	for {
		list, err := s.Store.Documents(ctx, document.DocumentFilter{Collection: collection, State: document.DocumentReady}, page)
		if err != nil {
			return nil, err
		}
		for _, one := range list.Items {
			if err := s.splitDocument(ctx, c, one, chunking, enough); err != nil {
				return nil, fmt.Errorf("split %s: %w", one.Key, err)
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

// splitDocument splits one original, until enough is read. It skips an original that is missing or
// damaged, because the reindex cannot split it either.
func (s *Service) splitDocument(ctx context.Context, c *chunkingSample, one document.Document, chunking document.Chunking, enough func() bool) error {
	before := c.read
	if !enough() {
		source, err := original.Open(ctx, s.Objects, original.RefOf(one))
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
			entry, text := vector.NewManifestEntry(p.Ordinal, p.Start, p.End, p.PassageText), p.PassageText
			// The headings above the passage have about one token for every four bytes.
			c.tokens[entry.Hash] = text.Tokens + (len(text.EmbeddingPrefix())+3)/4
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
