package summary

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"hash"
	"strings"
	"sync/atomic"

	"github.com/seed-7a112592/gristmill/internal/provider"
	"github.com/seed-7a112592/gristmill/pkg/document"
)

const (
	// verbatimTokens is how short a text must be to serve as its own summary.
	verbatimTokens = 64

	// What a section adds to a request besides its text, and about what its
	// summary has, in tokens.
	sectionOverheadTokens = 40
	summaryTokens         = 80
)

// node is a section whose text is complete: a run of text under one heading, or
// several parts. Its hash names what it summarises; its summary may still be on
// its way.
type node struct {
	hash   document.ContentHash
	path   string   // titles that it stands under
	texts  []string // of a run of text, until it is summarised
	tokens int      // of texts
	parts  []*node
	*result
}

// result is the summary of a node, or of several that are equal.
type result struct {
	done chan struct{} // closed when text is there
	text string
}

func newNode(hash document.ContentHash, path string) *node {
	return &node{hash: hash, path: path, result: &result{done: make(chan struct{})}}
}

// summarised reports whether the node's summary is there.
func (n *node) summarised() bool {
	select {
	case <-n.done:
		return true
	default:
		return false
	}
}

// resolve gives the node its summary, and lets go of what it summarises.
func (n *node) resolve(text string) {
	n.text, n.texts, n.parts = text, nil, nil
	close(n.done)
}

// content returns what is to be summarised. The summaries of the parts must be
// there.
func (n *node) content() []string {
	texts := n.texts
	for _, part := range n.parts {
		texts = append(texts, part.text)
	}
	return texts
}

// toSection returns the node as one of a request that holds the sections of index
// before it.
func (n *node) toSection(index map[*result]int) provider.Section {
	s := provider.Section{Heading: n.path}
	for _, text := range n.texts {
		s.Parts = append(s.Parts, provider.SectionPart{Text: text})
	}
	for _, part := range n.parts {
		if i, here := index[part.result]; here {
			s.Parts = append(s.Parts, provider.SectionPart{SectionIndex: i})
		} else if part.text != "" {
			s.Parts = append(s.Parts, provider.SectionPart{Text: part.text})
		}
	}
	return s
}

// leafHash names a run of text.
func (s *batcher) leafHash(path string, texts []string) document.ContentHash {
	return s.hash("leaf", path, func(h hash.Hash) {
		for _, text := range texts {
			writeString(h, text)
		}
	})
}

// partsHash names several parts by their hashes.
func (s *batcher) partsHash(path string, parts []*node) document.ContentHash {
	return s.hash("parts", path, func(h hash.Hash) {
		for _, part := range parts {
			h.Write(part.hash[:])
		}
	})
}

// hash names what a node summarises: by whom, under which headings, and what.
func (s *batcher) hash(kind, path string, content func(hash.Hash)) document.ContentHash {
	h := sha256.New()
	writeString(h, s.step.Summariser.Version())
	writeString(h, kind)
	writeString(h, path)
	content(h)
	return document.ContentHash(h.Sum(nil))
}

// writeString writes s with its length, so that no two lists of strings look
// the same.
func writeString(h hash.Hash, s string) {
	var length [8]byte
	binary.BigEndian.PutUint64(length[:], uint64(len(s)))
	h.Write(length[:])
	h.Write([]byte(s))
}

// estimateTokens is about how many tokens a text has, rather too many.
func estimateTokens(text string) int { return (len(text) + 2) / 3 }

// progress counts sections: the leaves and inner nodes of the tree.
type progress struct {
	sections, done, reused, refused, extracted atomic.Int64

	firstExtracted atomic.Pointer[string] // the first section of which an extract is made, and what the model said
}

// warnings says of how many sections an extract is made.
func (p *progress) warnings() []document.Warning {
	extracted := p.extracted.Load()
	if extracted == 0 {
		return nil
	}
	return []document.Warning{{
		Code:   "summary_extractive",
		Detail: fmt.Sprintf("extracts stand for the summaries of %d of %d sections, which the model does not give; one is %s", extracted, p.sections.Load(), *p.firstExtracted.Load()),
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

// verbatimSummary returns texts that are short enough to be their own summary.
func verbatimSummary(texts []string) string { return strings.TrimSpace(strings.Join(texts, "\n\n")) }
