package summary

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"strings"
	"sync/atomic"

	"github.com/seed-7a112592/gristmill/pkg/document"
	"github.com/seed-7a112592/gristmill/pkg/goroutine"
)

// verbatimTokens is how short a text must be to serve as its own summary.
const verbatimTokens = 64

// node is a part of the document whose text is complete. Its hash names what
// it summarises; its summary may still be on its way.
type node struct {
	hash document.Hash
	done <-chan struct{} // closed when text is there
	text *string
}

// summaries makes nodes, looking for kept summaries before it asks for new
// ones.
type summaries struct {
	step     *Step
	work     document.Work
	group    *goroutine.Group
	stop     <-chan struct{} // closed at the first failure: nothing new is begun
	slots    chan struct{}   // one for each text being summarised
	progress progress
}

func newSummaries(group *goroutine.Group, stop <-chan struct{}, step *Step, work document.Work) *summaries {
	return &summaries{step: step, work: work, group: group, stop: stop, slots: make(chan struct{}, step.Parallel)}
}

// errStopped is why nothing more is begun; what failed is the group's to tell.
var errStopped = errors.New("another section failed")

// wait returns a node's summary, or why it is not waited for any longer. What
// the model has been asked for meanwhile is paid for, and still kept.
func (s *summaries) wait(ctx context.Context, n node) (string, error) {
	select {
	case <-n.done:
		return *n.text, nil
	case <-s.stop:
		return "", errStopped
	case <-ctx.Done():
		return "", ctx.Err()
	}
}

// start makes a node whose summary is made in the background.
func (s *summaries) start(hash document.Hash, summarise func() (string, error)) node {
	done := make(chan struct{})
	n := node{hash, done, new(string)}
	s.group.Go(func() error {
		text, err := summarise()
		if err != nil {
			return err
		}
		*n.text = text
		close(done)
		return nil
	})
	return n
}

// summariseLeaf returns the node of a run of text under one heading. It waits
// for a slot, so that at most Step.Parallel texts are held.
func (s *summaries) summariseLeaf(ctx context.Context, path string, texts []string, tokens int) (node, error) {
	s.progress.sections.Add(1)
	hash := s.hash("leaf", path, func(h hash.Hash) {
		for _, text := range texts {
			writeString(h, text)
		}
	})
	if tokens <= verbatimTokens {
		s.progress.done.Add(1)
		text := strings.TrimSpace(strings.Join(texts, "\n\n"))
		return s.start(hash, func() (string, error) { return text, nil }), nil
	}
	select {
	case s.slots <- struct{}{}:
	case <-s.stop:
		return node{}, errStopped
	case <-ctx.Done():
		return node{}, ctx.Err()
	}
	return s.start(hash, func() (string, error) {
		defer func() { <-s.slots }()
		return s.summary(ctx, hash, path, texts)
	}), nil
}

// summariseNodes returns the node of several parts, named by their hashes.
func (s *summaries) summariseNodes(ctx context.Context, path string, parts []node) node {
	s.progress.sections.Add(1)
	hash := s.hash("parts", path, func(h hash.Hash) {
		for _, part := range parts {
			h.Write(part.hash[:])
		}
	})
	return s.start(hash, func() (string, error) {
		texts := make([]string, len(parts))
		for i, part := range parts {
			text, err := s.wait(ctx, part)
			if err != nil {
				return "", err
			}
			texts[i] = text
		}
		return s.summary(ctx, hash, path, texts)
	})
}

// summary returns the kept summary of a node, or makes one and keeps it.
func (s *summaries) summary(ctx context.Context, hash document.Hash, path string, texts []string) (string, error) {
	kept, err := s.step.Store.SectionSummaries(ctx, s.work, []document.Hash{hash})
	if err != nil {
		return "", fmt.Errorf("look up the summary of %q: %w", path, err)
	}
	if text, ok := kept[hash]; ok {
		s.progress.reused.Add(1)
		s.progress.done.Add(1)
		return text, nil
	}
	text, extracted, err := s.buy(ctx, hash, path, texts)
	if err != nil {
		return "", err
	}
	s.progress.done.Add(1)
	if !extracted { // an extract is not the model's, and is made again for nothing
		if err := s.save(ctx, hash, text); err != nil {
			return "", fmt.Errorf("keep the summary of %q: %w", path, err)
		}
	}
	s.step.Live.Report(ctx, s.work, s.progress.snapshot())
	return text, nil
}

// hash names what a node summarises: by whom, under which headings, and what.
func (s *summaries) hash(kind, path string, content func(hash.Hash)) document.Hash {
	h := sha256.New()
	writeString(h, s.step.Summariser.Version())
	writeString(h, kind)
	writeString(h, path)
	content(h)
	return document.Hash(h.Sum(nil))
}

// writeString writes s with its length, so that no two lists of strings look
// the same.
func writeString(h hash.Hash, s string) {
	var length [8]byte
	binary.BigEndian.PutUint64(length[:], uint64(len(s)))
	h.Write(length[:])
	h.Write([]byte(s))
}

// progress counts sections: the leaves and inner nodes of the tree.
type progress struct {
	sections, done, reused, refused, extracted atomic.Int64

	why atomic.Pointer[string] // the first section of which an extract is made, and what the model said
}

// warnings says of how many sections an extract is made.
func (p *progress) warnings() []document.Warning {
	extracted := p.extracted.Load()
	if extracted == 0 {
		return nil
	}
	return []document.Warning{{
		Code:   "summary_extractive",
		Detail: fmt.Sprintf("extracts stand for the summaries of %d of %d sections, which the model does not give; one is %s", extracted, p.sections.Load(), *p.why.Load()),
	}}
}

func (p *progress) snapshot() document.SummaryProgress {
	return document.SummaryProgress{
		Sections:       p.sections.Load(),
		SectionsDone:   p.done.Load(),
		SectionsReused: p.reused.Load(),

		SectionsRefused: p.refused.Load(),
	}
}
