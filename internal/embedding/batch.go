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

// sender embeds the texts of one EnsureRequest, within the limits of the model.
type sender struct {
	*Cache
	req EnsureRequest

	acceptedCount atomic.Int64 // texts
	refusedCount  atomic.Int64 // texts, each refused in a request of its own
}

// embedResult is the result of sending texts.
type embedResult struct {
	embedded   []vector.EmbeddedPassage
	refusals   []Refusal
	untried    int
	oneRefused bool // a request with a single text was refused, even if the truncated text was accepted
}

func (a *embedResult) add(b embedResult) {
	a.embedded = append(a.embedded, b.embedded...)
	a.refusals = append(a.refusals, b.refusals...)
	a.untried += b.untried
	a.oneRefused = a.oneRefused || b.oneRefused
}

// embed turns texts into vectors, in as many provider requests as needed. When one fails, no other
// is started, and the requests in flight may finish, because they are paid for. So embed may return
// vectors together with an error.
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

// splitBatches divides the texts into requests that the model accepts, as far as its limits are
// known. A text that may be too long gets a request of its own.
func (s *sender) splitBatches(hashes []document.ContentHash) (requests [][]document.ContentHash) {
	known := s.Process.limits.get(s.req.Space.Model)
	texts := minLimit(known.maxTexts, s.BatchPassages)
	first, content, load := 0, 0, 0 // content and load are in tokens
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

// embedBatch embeds texts. It halves a refused request, down to the single text that the model
// refuses. If the model accepts every part, the request exceeded a limit, which is remembered.
func (s *sender) embedBatch(ctx context.Context, hashes []document.ContentHash) (embedResult, error) {
	if parts := s.splitBatches(hashes); len(parts) > 1 { // a limit was learned meanwhile
		return s.embedParts(ctx, parts...)
	}
	if len(hashes) == 1 {
		return s.embedOne(ctx, hashes[0])
	}
	if s.refusesAll() {
		return s.embedSample(ctx, hashes)
	}
	embedded, err := s.sendRequest(ctx, hashes, 0)
	if bad, ok := errors.AsType[*provider.InvalidVectorsError](err); ok && len(embedded) > 0 {
		return s.embedMissing(ctx, hashes, embedded, bad)
	}
	if err == nil || !IsRefused(err) {
		return embedResult{embedded: embedded}, err
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

// embedMissing sends each text for which the model returned no valid vector in a request of its
// own. The model may have failed on it because of the other texts.
func (s *sender) embedMissing(ctx context.Context, hashes []document.ContentHash, embedded []vector.EmbeddedPassage, bad *provider.InvalidVectorsError) (embedResult, error) {
	all := embedResult{embedded: embedded}
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

// refusesAll reports whether the model has refused many texts and accepted none.
func (s *sender) refusesAll() bool {
	return s.refusedCount.Load() >= maxRefusals && s.acceptedCount.Load() == 0
}

// embedSample sends one of the texts, and the others only if the model accepts it.
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

// embedParts sends the parts, one after the other.
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

// sendRequest embeds texts in one provider request. If cut is positive, only the first cut bytes of
// the single text are sent. The vectors are buffered until they are written. With a
// *provider.InvalidVectorsError some texts have vectors; with any other error none has.
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
	embedded := make([]vector.EmbeddedPassage, 0, len(vectors))
	for i, values := range vectors {
		if values != nil {
			embedded = append(embedded, vector.EmbeddedPassage{Hash: hashes[i], PassageText: s.req.Texts.byHash[hashes[i]], Vector: values, EmbeddedBytes: cut})
		}
	}
	if len(embedded) == 0 {
		return nil, err
	}
	s.Metrics.ObserveStage("embed", start)
	s.acceptedCount.Add(int64(len(embedded)))
	if cut == 0 {
		s.Process.limits.recordAccepted(s.req.Space.Model, s.sizeOf(hashes))
	}
	s.Process.bufferVectors(s.req, embedded)
	return embedded, err
}

func (s *sender) sizeOf(hashes []document.ContentHash) requestSize {
	l := requestSize{texts: len(hashes)}
	for _, hash := range hashes {
		l.tokens += s.req.Texts.tokensOf(hash)
	}
	return l
}
