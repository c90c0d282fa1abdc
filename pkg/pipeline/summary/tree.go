package summary

import (
	"context"
	"io"
	"strings"

	"github.com/seed-7a112592/gristmill/pkg/chunk"
	"github.com/seed-7a112592/gristmill/pkg/document"
	"github.com/seed-7a112592/gristmill/pkg/goroutine"
	"github.com/seed-7a112592/gristmill/pkg/markdown"
)

const (
	// leafTokens is how much text is summarised at once.
	leafTokens = 2000

	// maxChildren bounds what a section holds of its parts; more are first
	// summarised together, as if they had a heading of their own.
	maxChildren = 32
)

// builder builds the tree from passages as they come. Only the path from the
// document to the section being read is held; a section that is complete is
// reduced to a node.
type builder struct {
	*summaries
	open []*section // the document itself, then a section for each heading level
	leaf []string   // text of the innermost section that is not in a node yet
	size int        // tokens of leaf
}

// section is a part of the document whose end has not been read.
type section struct {
	heading  markdown.Heading
	children []*node
}

func newBuilder(group *goroutine.Group, stop <-chan struct{}, step *Step, work document.Work) *builder {
	return &builder{
		summaries: newSummaries(group, stop, step, work),
		open:      []*section{{}},
	}
}

// read reads the whole document and returns its summary.
func (b *builder) read(ctx context.Context, source io.Reader) (string, error) {
	options := chunk.OptionsOf(document.Chunking{Tokens: b.work.Space.Chunking.Tokens}, b.work.Source())
	options.Title = "" // is not summarised, so that a new title costs no summaries
	for passage, err := range chunk.Split(source, options) {
		if err != nil {
			return "", err
		}
		if err := b.add(ctx, passage); err != nil {
			return "", err
		}
	}
	return b.finish(ctx)
}

// add takes the next passage. Sections that it does not belong to are complete.
func (b *builder) add(ctx context.Context, p chunk.Passage) error {
	depth := 1 // the document encloses everything
	for depth < len(b.open) && depth <= len(p.Headings) && b.open[depth].heading.Start == p.Headings[depth-1].Start {
		depth++
	}
	// Text directly under a section that a subsection follows, or text of a
	// section that has ended, is complete.
	if depth < len(b.open) || depth <= len(p.Headings) || b.size+p.Tokens > leafTokens {
		if err := b.closeLeaf(ctx); err != nil {
			return err
		}
	}
	if err := b.closeTo(ctx, depth); err != nil {
		return err
	}
	for _, heading := range p.Headings[depth-1:] {
		b.open = append(b.open, &section{heading: heading})
	}
	b.leaf = append(b.leaf, p.Visible())
	b.size += p.Tokens
	return nil
}

// finish closes what is open and returns the document's summary.
func (b *builder) finish(ctx context.Context) (string, error) {
	if err := b.closeLeaf(ctx); err != nil {
		return "", err
	}
	if err := b.closeTo(ctx, 1); err != nil {
		return "", err
	}
	children := b.open[0].children
	if len(children) == 0 {
		return "", nil // nothing but white space
	}
	document, err := b.reduce(ctx, b.path(), children)
	if err != nil {
		return "", err
	}
	if err := b.summaries.finish(ctx); err != nil {
		return "", err
	}
	return b.wait(ctx, document)
}

// closeLeaf makes a node of the text gathered in the innermost section.
func (b *builder) closeLeaf(ctx context.Context) error {
	if len(b.leaf) == 0 {
		return nil
	}
	leaf, err := b.summaries.leaf(ctx, b.path(), b.leaf, b.size)
	if err != nil {
		return err
	}
	b.leaf, b.size = nil, 0
	return b.attach(ctx, leaf)
}

// closeTo closes sections until depth are open.
func (b *builder) closeTo(ctx context.Context, depth int) error {
	for len(b.open) > depth {
		path := b.path()
		last := b.open[len(b.open)-1]
		b.open = b.open[:len(b.open)-1]
		if len(last.children) > 0 {
			whole, err := b.reduce(ctx, path, last.children)
			if err != nil {
				return err
			}
			if err := b.attach(ctx, whole); err != nil {
				return err
			}
		}
	}
	return nil
}

// attach adds a node to the innermost section.
func (b *builder) attach(ctx context.Context, child *node) error {
	parent := b.open[len(b.open)-1]
	if len(parent.children) == maxChildren {
		whole, err := b.reduce(ctx, b.path(), parent.children)
		if err != nil {
			return err
		}
		parent.children = []*node{whole}
	}
	parent.children = append(parent.children, child)
	return nil
}

// reduce makes one node of several. A single one needs no summary of its own.
func (b *builder) reduce(ctx context.Context, path string, children []*node) (*node, error) {
	if len(children) == 1 {
		return children[0], nil
	}
	return b.join(ctx, path, children)
}

// path returns the titles of the open sections, outermost first.
func (b *builder) path() string {
	var titles []string
	for _, s := range b.open[1:] { // the document itself has no heading
		titles = append(titles, s.heading.Text)
	}
	return strings.Join(titles, " > ")
}
