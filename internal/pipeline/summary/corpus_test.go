package summary_test

import (
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-7a112592/gristmill/internal/pipeline/summary"
	"github.com/seed-7a112592/gristmill/internal/test/corpus"
	"github.com/seed-7a112592/gristmill/pkg/document"
)

// batchTokens is the default of GRISTMILL_SUMMARY_BATCH_TOKENS.
const batchTokens = 12_000

// corpusChunking is the default of GRISTMILL_CHUNK_TOKENS.
const corpusChunking = 400

func runCorpus(t *testing.T, step *summary.Step, m *fakeBackend, text string) {
	t.Helper()
	m.text = text
	task := newWork(text)
	task.Space.Chunking.Tokens = corpusChunking
	if err := step.Run(t.Context(), task); err != nil {
		t.Fatal(err)
	}
}

// The documents of the corpus take about one request each, and the same sections get a summary as
// with one request for each section. Ten edits take about as many requests as documents are edited.
func TestCorpusTakesFewRequests(t *testing.T) {
	t.Parallel()
	files, err := corpus.Files(corpus.Dir(t))
	if err != nil {
		t.Fatal(err)
	}
	single, each := newStep(t)
	packed, m := newStep(t)
	packed.BatchTokens = batchTokens
	single.Log, packed.Log = slog.New(slog.DiscardHandler), slog.New(slog.DiscardHandler)
	estimated, in, out := 0, int64(0), int64(0)
	for _, file := range files {
		m.text = string(file.Text)
		task := newWork(m.text)
		task.Space.Chunking.Tokens = corpusChunking
		estimate, err := packed.Estimate(t.Context(), task)
		if err != nil {
			t.Fatal(err)
		}
		estimated += int(estimate.Calls)
		in += estimate.Input
		out += estimate.Output
		runCorpus(t, single, each, string(file.Text))
		runCorpus(t, packed, m, string(file.Text))
	}
	if diff := cmp.Diff(slices.Collect(maps.Keys(each.saved)), slices.Collect(maps.Keys(m.saved)), cmp.Transformer("set", func(hashes []document.ContentHash) map[document.ContentHash]bool {
		set := map[document.ContentHash]bool{}
		for _, hash := range hashes {
			set[hash] = true
		}
		return set
	})); diff != "" {
		t.Errorf("other sections have a summary than with one request for each:\n%s", diff)
	}
	calls := len(m.batches) + len(m.singles)
	t.Logf("%d documents with %d sections to summarise: %d requests, compared with %d for one section each; about %d tokens sent and %d received", len(files), len(m.saved), calls, len(each.singles), in, out)
	if calls*213 > 300*len(files) || max(calls, estimated)-min(calls, estimated) > calls/20 {
		t.Errorf("%d requests for %d documents, want at most 300 for 213, and about the estimate, %d", calls, len(files), estimated)
	}

	// Ten paragraphs are edited, each in another document if there are enough.
	m.batches, m.singles, each.singles = nil, nil, nil
	texts := map[int]string{}
	for edit := range 10 {
		i := edit % len(files)
		text, edited := texts[i]
		if !edited {
			text = string(files[i].Text)
		}
		paragraphs := strings.Split(text, "\n\n")
		longest := 0
		for j, p := range paragraphs {
			if len(p) > len(paragraphs[longest]) && !strings.Contains(p, "edited") {
				longest = j
			}
		}
		paragraphs[longest] += fmt.Sprintf(" It was edited %d.", edit)
		texts[i] = strings.Join(paragraphs, "\n\n")
	}
	for _, i := range slices.Sorted(maps.Keys(texts)) {
		runCorpus(t, single, each, texts[i])
		runCorpus(t, packed, m, texts[i])
	}
	calls = len(m.batches) + len(m.singles)
	t.Logf("ten edits in %d documents: %d requests, compared with %d for one section each", len(texts), calls, len(each.singles))
	if calls > 15 {
		t.Errorf("ten edits took %d requests, want at most 15", calls)
	}
}
