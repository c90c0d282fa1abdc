package embedding

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/seed-7a112592/gristmill/pkg/document"
	"github.com/seed-7a112592/gristmill/pkg/fault"
	"github.com/seed-7a112592/gristmill/pkg/goroutine"
)

// sender gets the texts of one order embedded, whatever the model's limits.
type sender struct {
	*Buyer
	order Order

	taken   atomic.Int64 // texts
	refused atomic.Int64 // texts, each by itself
}

// answer is what came of sending texts.
type answer struct {
	bought   []document.Embedded
	refusals []Refusal
	untried  int
	single   bool // a text by itself was refused, even if it was taken cut
}

func (a *answer) add(b answer) {
	a.bought = append(a.bought, b.bought...)
	a.refusals = append(a.refusals, b.refusals...)
	a.untried += b.untried
	a.single = a.single || b.single
}

// embed turns texts into vectors, in as many requests as they need. When one
// fails no other is begun, and those in flight may finish: they are paid for.
// So there may be vectors beside the error.
func (s *sender) embed(ctx context.Context, hashes []document.Hash) (answer, error) {
	requests := s.divide(hashes)
	answers := make([]answer, len(requests))
	group, failing := goroutine.WithContext(ctx)
	group.SetLimit(max(s.Requests, 1))
	for i, request := range requests {
		group.Go(func() (err error) {
			if failing.Err() != nil {
				return failing.Err()
			}
			answers[i], err = s.send(ctx, request)
			return err
		})
	}
	err := group.Wait()
	var all answer
	for _, a := range answers {
		all.add(a)
	}
	return all, err
}

// divide divides what is to be embedded into requests that the model takes, as
// far as is known. A text that may be too long goes by itself.
func (s *sender) divide(hashes []document.Hash) (requests [][]document.Hash) {
	known := s.Process.limits.get(s.order.Space.Model)
	texts := lower(known.texts, s.BatchPassages)
	first, content, load := 0, 0, 0 // the last two in tokens
	end := func(i int) {
		if i > first {
			requests = append(requests, hashes[first:i])
			first, content, load = i, 0, 0
		}
	}
	for i, hash := range hashes {
		size := s.order.Texts.tokens(hash)
		long := known.long > 0 && size >= known.long
		if long || known.tokens > 0 && load+size > known.tokens {
			end(i)
		}
		content += s.order.Texts.of[hash].Tokens
		load += size
		if long || i+1-first >= texts || content >= s.BatchTokens {
			end(i + 1)
		}
	}
	end(len(hashes))
	return requests
}

// send gets texts embedded. What is refused is halved, down to the one text
// that the model does not take; where every part is taken by itself it was a
// limit, which is remembered.
func (s *sender) send(ctx context.Context, hashes []document.Hash) (answer, error) {
	if parts := s.divide(hashes); len(parts) > 1 { // a limit was learnt meanwhile
		return s.parts(ctx, parts...)
	}
	if len(hashes) == 1 {
		return s.single(ctx, hashes[0])
	}
	if s.hopeless() {
		return s.sample(ctx, hashes)
	}
	bought, err := s.request(ctx, hashes, 0)
	if bad, some := errors.AsType[*document.VectorsError](err); some && len(bought) > 0 {
		return s.again(ctx, hashes, bought, bad)
	}
	if err == nil || !IsRefused(err) {
		return answer{bought: bought}, err
	}
	left, right := hashes[:(len(hashes)+1)/2], hashes[(len(hashes)+1)/2:]
	a, failed := s.parts(ctx, left, right)
	if failed == nil && !a.single && a.untried == 0 {
		half := s.load(left)
		half.tokens = max(half.tokens, s.load(right).tokens)
		s.Process.limits.halved(s.order.Space.Model, s.load(hashes), half, fault.Is(err, fault.TooLong))
	}
	return a, failed
}

// again sends those of the texts by themselves for which the model has answered
// no vector, although it has for the others. It may have failed over them for
// what they were sent with.
func (s *sender) again(ctx context.Context, hashes []document.Hash, bought []document.Embedded, bad *document.VectorsError) (answer, error) {
	all := answer{bought: bought}
	for i, hash := range hashes {
		if bad.Wrong[i] == "" {
			continue
		}
		a, err := s.single(ctx, hash)
		all.add(a)
		if err != nil {
			return all, err
		}
	}
	return all, nil
}

// hopeless reports whether the model has refused many texts and taken none.
func (s *sender) hopeless() bool { return s.refused.Load() >= maxRefusals && s.taken.Load() == 0 }

// sample sends one of the texts, and the others only if the model takes it.
func (s *sender) sample(ctx context.Context, hashes []document.Hash) (answer, error) {
	last := len(hashes) - 1
	a, err := s.single(ctx, hashes[last])
	if err == nil && s.hopeless() {
		a.untried += last
	} else if err == nil {
		var rest answer
		rest, err = s.send(ctx, hashes[:last])
		a.add(rest)
	}
	return a, err
}

// parts sends several parts, one after the other.
func (s *sender) parts(ctx context.Context, parts ...[]document.Hash) (all answer, err error) {
	for _, part := range parts {
		a, err := s.send(ctx, part)
		all.add(a)
		if err != nil {
			return all, err
		}
	}
	return all, nil
}

// request embeds texts in one request; a single one may be cut to so many
// bytes. What it brings is held until it is written: all, or with a
// *document.VectorsError some.
func (s *sender) request(ctx context.Context, hashes []document.Hash, cut int) ([]document.Embedded, error) {
	texts := make([]string, len(hashes))
	for i, hash := range hashes {
		texts[i] = s.order.Texts.of[hash].Embedding()
		if cut > 0 {
			texts[i] = texts[i][:cut]
		}
	}
	var vectors [][]float32
	var start time.Time
	err := s.Process.gate.Buy(ctx, func(ctx context.Context) (err error) {
		start = time.Now()
		vectors, err = s.Embedder.Embed(ctx, s.order.Space.Model, texts)
		return err
	})
	if err != nil {
		err = fmt.Errorf("embed %d passages: %w", len(texts), err)
	}
	bought := make([]document.Embedded, 0, len(vectors))
	for i, vector := range vectors {
		if vector != nil {
			bought = append(bought, document.Embedded{Hash: hashes[i], Text: s.order.Texts.of[hashes[i]], Vector: vector, EmbeddedBytes: cut})
		}
	}
	if len(bought) == 0 {
		return nil, err
	}
	s.Metrics.ObserveStage("embed", start)
	s.taken.Add(int64(len(bought)))
	if cut == 0 {
		s.Process.limits.took(s.order.Space.Model, s.load(hashes))
	}
	s.Process.hold(s.order, bought)
	return bought, err
}

func (s *sender) load(hashes []document.Hash) load {
	l := load{texts: len(hashes)}
	for _, hash := range hashes {
		l.tokens += s.order.Texts.tokens(hash)
	}
	return l
}
