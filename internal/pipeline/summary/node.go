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
	// verbatimTokens is the maximum size of a text that serves as its own summary.
	verbatimTokens = 64

	// Approximate number of tokens that a section adds to a request besides its text, and of a
	// summary.
	sectionOverheadTokens = 40
	summaryTokens         = 80
)

// node is a section whose text is complete: a run of text under one heading, or several parts. Its
// hash identifies what it summarises. Its summary may not exist yet.
type node struct {
	hash   document.ContentHash
	path   string   // headings above it
	texts  []string // of a run of text, until it is summarised
	tokens int      // size of texts
	parts  []*node
	*result
}

// result is the summary of a node, or of several equal nodes.
type result struct {
	done chan struct{} // closed when text is set
	text string
}

func newNode(hash document.ContentHash, path string) *node {
	return &node{hash: hash, path: path, result: &result{done: make(chan struct{})}}
}

// summarised reports whether the node has its summary.
func (n *node) summarised() bool {
	select {
	case <-n.done:
		return true
	default:
		return false
	}
}

// resolve sets the summary of the node, and releases what it summarises.
func (n *node) resolve(text string) {
	n.text, n.texts, n.parts = text, nil, nil
	close(n.done)
}

// content returns the texts to summarise. The parts must be summarised.
func (n *node) content() []string {
	texts := n.texts
	for _, part := range n.parts {
		texts = append(texts, part.text)
	}
	return texts
}

// toSection returns the node as a section of a request. index holds the positions of the sections
// before it in the request.
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

// leafHash returns the hash of a run of text.
func (s *batcher) leafHash(path string, texts []string) document.ContentHash {
	return s.hash("leaf", path, func(h hash.Hash) {
		for _, text := range texts {
			writeString(h, text)
		}
	})
}

// partsHash returns the hash of several parts, which depends on theirs.
func (s *batcher) partsHash(path string, parts []*node) document.ContentHash {
	return s.hash("parts", path, func(h hash.Hash) {
		for _, part := range parts {
			h.Write(part.hash[:])
		}
	})
}

// hash identifies what a node summarises: the model and prompt, the headings, and the content.
func (s *batcher) hash(kind, path string, content func(hash.Hash)) document.ContentHash {
	h := sha256.New()
	writeString(h, s.step.Summariser.Version())
	writeString(h, kind)
	writeString(h, path)
	content(h)
	return document.ContentHash(h.Sum(nil))
}

// writeString writes s with its length, so that no two lists of strings have the same bytes.
func writeString(h hash.Hash, s string) {
	var length [8]byte
	binary.BigEndian.PutUint64(length[:], uint64(len(s)))
	h.Write(length[:])
	h.Write([]byte(s))
}

// estimateTokens returns the approximate number of tokens in a text, rather too many.
func estimateTokens(text string) int { return (len(text) + 2) / 3 }

// progress counts sections: the leaves and inner nodes of the tree.
type progress struct {
	sections, done, reused, refused, extracted atomic.Int64

	firstExtracted atomic.Pointer[string] // the first section with an extract, and what the model said about it
}

// warnings returns a warning if sections have extracts instead of summaries.
func (p *progress) warnings() []document.Warning {
	extracted := p.extracted.Load()
	if extracted == 0 {
		return nil
	}
	return []document.Warning{{
		Code:   "summary_extractive",
		Detail: fmt.Sprintf("the model returned no summary for %[1]d of %[2]d sections, and extracts replace them; one section is %[3]s", extracted, p.sections.Load(), *p.firstExtracted.Load()),
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

// verbatimSummary returns short texts as their own summary.
func verbatimSummary(texts []string) string { return strings.TrimSpace(strings.Join(texts, "\n\n")) }
