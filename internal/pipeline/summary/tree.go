package summary

import (
	"context"
	"io"
	"strings"

	"github.com/seed-7a112592/gristmill/internal/goroutine"
	"github.com/seed-7a112592/gristmill/internal/task"
	"github.com/seed-7a112592/gristmill/pkg/chunk"
	"github.com/seed-7a112592/gristmill/pkg/document"
	"github.com/seed-7a112592/gristmill/pkg/markdown"
)

const (
	// maxLeafTokens is the maximum size of the text that is summarised as one section.
	maxLeafTokens = 2000

	// maxChildren is the maximum number of parts that a section holds. When there are more, those
	// that it holds are combined first, as if they had a heading of their own.
	maxChildren = 32
)

// treeBuilder builds the tree from passages in order. It holds only the path from the document to the
// section being read; a section that is complete becomes a node.
type treeBuilder struct {
	*batcher
	open      []*openSection // the document itself, then a section for each heading level
	leafTexts []string       // text of the innermost section that is in no node yet
	leafSize  int            // tokens in leafTexts
}

// openSection is a section of the document whose end has not been read.
type openSection struct {
	heading  markdown.Heading
	children []*node
}

func newTreeBuilder(group *goroutine.Group, stop <-chan struct{}, step *Step, work task.Work) *treeBuilder {
	return &treeBuilder{
		batcher: newBatcher(group, stop, step, work),
		open:    []*openSection{{}},
	}
}

// summariseDocument reads the whole document and returns its summary.
func (b *treeBuilder) summariseDocument(ctx context.Context, source io.Reader) (string, error) {
	options := chunk.OptionsOf(document.Chunking{Tokens: b.work.Space.Chunking.Tokens}, b.work.SourceInfo())
	options.Title = "" // not summarised, so that changing the title costs no requests
	for passage, err := range chunk.Split(source, options) {
		if err != nil {
			return "", err
		}
		if err := b.addPassage(ctx, passage); err != nil {
			return "", err
		}
	}
	return b.finish(ctx)
}

// addPassage adds the next passage. It closes the sections that the passage does not belong to.
func (b *treeBuilder) addPassage(ctx context.Context, p chunk.Passage) error {
	depth := 1 // the document encloses everything
	for depth < len(b.open) && depth <= len(p.Headings) && b.open[depth].heading.Start == p.Headings[depth-1].Start {
		depth++
	}
	// The text of a leaf is complete if a subsection follows, or if its section has ended.
	if depth < len(b.open) || depth <= len(p.Headings) || b.leafSize+p.Tokens > maxLeafTokens {
		if err := b.closeLeaf(ctx); err != nil {
			return err
		}
	}
	if err := b.closeSections(ctx, depth); err != nil {
		return err
	}
	for _, heading := range p.Headings[depth-1:] {
		b.open = append(b.open, &openSection{heading: heading})
	}
	b.leafTexts = append(b.leafTexts, p.VisibleContent())
	b.leafSize += p.Tokens
	return nil
}

// finish closes all sections and returns the summary of the document.
func (b *treeBuilder) finish(ctx context.Context) (string, error) {
	if err := b.closeLeaf(ctx); err != nil {
		return "", err
	}
	if err := b.closeSections(ctx, 1); err != nil {
		return "", err
	}
	children := b.open[0].children
	if len(children) == 0 {
		return "", nil // nothing but white space
	}
	document, err := b.combineNodes(ctx, b.path(), children)
	if err != nil {
		return "", err
	}
	if err := b.batcher.flush(ctx); err != nil {
		return "", err
	}
	return b.awaitSummary(ctx, document)
}

// closeLeaf makes a node of the text of the innermost section.
func (b *treeBuilder) closeLeaf(ctx context.Context) error {
	if len(b.leafTexts) == 0 {
		return nil
	}
	leaf, err := b.batcher.addLeaf(ctx, b.path(), b.leafTexts, b.leafSize)
	if err != nil {
		return err
	}
	b.leafTexts, b.leafSize = nil, 0
	return b.attachNode(ctx, leaf)
}

// closeSections closes sections until only depth are open.
func (b *treeBuilder) closeSections(ctx context.Context, depth int) error {
	for len(b.open) > depth {
		path := b.path()
		last := b.open[len(b.open)-1]
		b.open = b.open[:len(b.open)-1]
		if len(last.children) > 0 {
			combined, err := b.combineNodes(ctx, path, last.children)
			if err != nil {
				return err
			}
			if err := b.attachNode(ctx, combined); err != nil {
				return err
			}
		}
	}
	return nil
}

// attachNode adds a node to the innermost section.
func (b *treeBuilder) attachNode(ctx context.Context, child *node) error {
	parent := b.open[len(b.open)-1]
	if len(parent.children) == maxChildren {
		combined, err := b.combineNodes(ctx, b.path(), parent.children)
		if err != nil {
			return err
		}
		parent.children = []*node{combined}
	}
	parent.children = append(parent.children, child)
	return nil
}

// combineNodes makes one node of several. A single node needs no further summary.
func (b *treeBuilder) combineNodes(ctx context.Context, path string, children []*node) (*node, error) {
	if len(children) == 1 {
		return children[0], nil
	}
	return b.addParent(ctx, path, children)
}

// path returns the titles of the open sections, outermost first.
func (b *treeBuilder) path() string {
	var titles []string
	for _, s := range b.open[1:] { // the document itself has no heading
		titles = append(titles, s.heading.Text)
	}
	return strings.Join(titles, " > ")
}
