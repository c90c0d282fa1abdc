package summary

import (
	"context"
	"fmt"
	"strings"

	"github.com/seed-7a112592/gristmill/internal/original"
	"github.com/seed-7a112592/gristmill/internal/task"
	"github.com/seed-7a112592/gristmill/pkg/document"
)

// promptTokens is the approximate size of a request without its sections.
const promptTokens = 250

// placeholderSummary is a text of the usual length of a summary.
var placeholderSummary = strings.Repeat("abc", summaryTokens)

// Estimate returns what Run would send to the model. It sends nothing and writes nothing.
func (s *Step) Estimate(ctx context.Context, work task.Work) (document.SummaryEstimate, error) {
	var estimate document.SummaryEstimate
	source, err := original.Open(ctx, s.Objects, work.Original())
	if err != nil {
		return estimate, err
	}
	defer source.Close()
	tree := newTreeBuilder(nil, nil, s, work)
	tree.estimate = &estimate
	if _, err := tree.summariseDocument(ctx, source); err != nil {
		return estimate, fmt.Errorf("split %s: %w", work.Key, err)
	}
	estimate.Sections = tree.progress.sections.Load()
	estimate.Reusable = tree.progress.done.Load()
	return estimate, nil
}

// countRequest counts a request that Run would send.
func (s *batcher) countRequest(nodes []*node, size int) {
	s.estimate.Calls++
	s.estimate.Input += int64(promptTokens + size)
	s.estimate.Output += int64(len(nodes) * summaryTokens)
	for _, n := range nodes {
		n.resolve(placeholderSummary)
	}
}
