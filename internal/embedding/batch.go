package embedding

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/seed-7a112592/gristmill/internal/fault"
	"github.com/seed-7a112592/gristmill/internal/goroutine"
	"github.com/seed-7a112592/gristmill/internal/provider"
	"github.com/seed-7a112592/gristmill/internal/vector"
	"github.com/seed-7a112592/gristmill/pkg/document"
)

// sender gets the texts of one order embedded, whatever the model's limits.
type sender struct {
	*Cache
	req EnsureRequest

	acceptedCount atomic.Int64 // texts
	refusedCount  atomic.Int64 // texts, each by itself
}

// embedResult is what came of sending texts.
type embedResult struct {
	embedded   []vector.EmbeddedPassage
	refusals   []Refusal
	untried    int
	oneRefused bool // a text by itself was refused, even if it was taken cut
}

func (a *embedResult) add(b embedResult) {
	a.embedded = append(a.embedded, b.embedded...)
	a.refusals = append(a.refusals, b.refusals...)
	a.untried += b.untried
	a.oneRefused = a.oneRefused || b.oneRefused
}

// embed turns texts into vectors, in as many requests as they need. When one
// fails no other is begun, and those in flight may finish: they are paid for.
// So there may be vectors beside the error.
func (s *sender) embed(ctx context.Context, hashes []document.ContentHash) (embedResult, error) {
	requests := s.splitBatches(hashes)
	answers := make([]embedResult, len(requests))
	group, failing := goroutine.WithContext(ctx)
	group.SetLimit(max(s.MaxInFlight, 1))
	for i, request := range requests {
		group.Go(func() (err error) {
			if failing.Err() != nil {
				return failing.Err()
			}
			answers[i], err = s.embedBatch(ctx, request)
			return err
		})
	}
	err := group.Wait()
	var all embedResult
	for _, a := range answers {
		all.add(a)
	}
	return all, err
}

// splitBatches divides what is to be embedded into requests that the model takes, as
// far as is known. A text that may be too long goes by itself.
func (s *sender) splitBatches(hashes []document.ContentHash) (requests [][]document.ContentHash) {
	known := s.Process.limits.get(s.req.Space.Model)
	texts := minLimit(known.maxTexts, s.BatchPassages)
	first, content, load := 0, 0, 0 // the last two in tokens
	end := func(i int) {
		if i > first {
			requests = append(requests, hashes[first:i])
			first, content, load = i, 0, 0
		}
	}
	for i, hash := range hashes {
		size := s.req.Texts.tokensOf(hash)
		long := known.tooLongTokens > 0 && size >= known.tooLongTokens
		if long || known.maxTokens > 0 && load+size > known.maxTokens {
			end(i)
		}
		content += s.req.Texts.byHash[hash].Tokens
		load += size
		if long || i+1-first >= texts || content >= s.BatchTokens {
			end(i + 1)
		}
	}
	end(len(hashes))
	return requests
}

// embedBatch gets texts embedded. What is refused is halved, down to the one text
// that the model does not take; where every part is taken by itself it was a
// limit, which is remembered.
func (s *sender) embedBatch(ctx context.Context, hashes []document.ContentHash) (embedResult, error) {
	if parts := s.splitBatches(hashes); len(parts) > 1 { // a limit was learnt meanwhile
		return s.embedParts(ctx, parts...)
	}
	if len(hashes) == 1 {
		return s.embedOne(ctx, hashes[0])
	}
	if s.refusesAll() {
		return s.embedSample(ctx, hashes)
	}
	bought, err := s.sendRequest(ctx, hashes, 0)
	if bad, some := errors.AsType[*provider.InvalidVectorsError](err); some && len(bought) > 0 {
		return s.embedMissing(ctx, hashes, bought, bad)
	}
	if err == nil || !IsRefused(err) {
		return embedResult{embedded: bought}, err
	}
	left, right := hashes[:(len(hashes)+1)/2], hashes[(len(hashes)+1)/2:]
	a, failed := s.embedParts(ctx, left, right)
	if failed == nil && !a.oneRefused && a.untried == 0 {
		half := s.sizeOf(left)
		half.tokens = max(half.tokens, s.sizeOf(right).tokens)
		s.Process.limits.recordSplit(s.req.Space.Model, s.sizeOf(hashes), half, fault.Is(err, fault.InputTooLong))
	}
	return a, failed
}

// embedMissing sends those of the texts by themselves for which the model has answered
// no vector, although it has for the others. It may have failed over them for
// what they were sent with.
func (s *sender) embedMissing(ctx context.Context, hashes []document.ContentHash, bought []vector.EmbeddedPassage, bad *provider.InvalidVectorsError) (embedResult, error) {
	all := embedResult{embedded: bought}
	for i, hash := range hashes {
		if bad.Reasons[i] == "" {
			continue
		}
		a, err := s.embedOne(ctx, hash)
		all.add(a)
		if err != nil {
			return all, err
		}
	}
	return all, nil
}

// refusesAll reports whether the model has refused many texts and taken none.
func (s *sender) refusesAll() bool {
	return s.refusedCount.Load() >= maxRefusals && s.acceptedCount.Load() == 0
}

// embedSample sends one of the texts, and the others only if the model takes it.
func (s *sender) embedSample(ctx context.Context, hashes []document.ContentHash) (embedResult, error) {
	last := len(hashes) - 1
	a, err := s.embedOne(ctx, hashes[last])
	if err == nil && s.refusesAll() {
		a.untried += last
	} else if err == nil {
		var rest embedResult
		rest, err = s.embedBatch(ctx, hashes[:last])
		a.add(rest)
	}
	return a, err
}

// embedParts sends several parts, one after the other.
func (s *sender) embedParts(ctx context.Context, parts ...[]document.ContentHash) (all embedResult, err error) {
	for _, part := range parts {
		a, err := s.embedBatch(ctx, part)
		all.add(a)
		if err != nil {
			return all, err
		}
	}
	return all, nil
}

// sendRequest embeds texts in one request; a single one may be cut to so many
// bytes. What it brings is held until it is written: all, or with a
// *document.VectorsError some.
func (s *sender) sendRequest(ctx context.Context, hashes []document.ContentHash, cut int) ([]vector.EmbeddedPassage, error) {
	texts := make([]string, len(hashes))
	for i, hash := range hashes {
		texts[i] = s.req.Texts.byHash[hash].EmbeddingInput()
		if cut > 0 {
			texts[i] = texts[i][:cut]
		}
	}
	var vectors [][]float32
	var start time.Time
	err := s.Process.writeBreaker.CallProvider(ctx, func(ctx context.Context) (err error) {
		start = time.Now()
		vectors, err = s.Embedder.Embed(ctx, s.req.Space.Model, texts)
		return err
	})
	if err != nil {
		err = fmt.Errorf("embed %d passages: %w", len(texts), err)
	}
	bought := make([]vector.EmbeddedPassage, 0, len(vectors))
	for i, values := range vectors {
		if values != nil {
			bought = append(bought, vector.EmbeddedPassage{Hash: hashes[i], PassageText: s.req.Texts.byHash[hashes[i]], Vector: values, EmbeddedBytes: cut})
		}
	}
	if len(bought) == 0 {
		return nil, err
	}
	s.Metrics.ObserveStage("embed", start)
	s.acceptedCount.Add(int64(len(bought)))
	if cut == 0 {
		s.Process.limits.recordAccepted(s.req.Space.Model, s.sizeOf(hashes))
	}
	s.Process.bufferVectors(s.req, bought)
	return bought, err
}

func (s *sender) sizeOf(hashes []document.ContentHash) requestSize {
	l := requestSize{texts: len(hashes)}
	for _, hash := range hashes {
		l.tokens += s.req.Texts.tokensOf(hash)
	}
	return l
}
