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

// corpusChunking is the default, too.
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

// The documents of the corpus take about a call each, and have the summary of
// every section that they have with a call for each; ten edits take as many calls
// as documents are edited, or fewer.
func TestCorpusTakesFewCalls(t *testing.T) {
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
	if diff := cmp.Diff(slices.Collect(maps.Keys(each.kept)), slices.Collect(maps.Keys(m.kept)), cmp.Transformer("set", func(hashes []document.ContentHash) map[document.ContentHash]bool {
		set := map[document.ContentHash]bool{}
		for _, hash := range hashes {
			set[hash] = true
		}
		return set
	})); diff != "" {
		t.Errorf("other sections have a summary than with a call for each:\n%s", diff)
	}
	calls := len(m.together) + len(m.asked)
	t.Logf("%d documents with %d sections to be summarised: %d calls, where one for each section is %d; about %d tokens in and %d out", len(files), len(m.kept), calls, len(each.asked), in, out)
	if calls*213 > 300*len(files) || max(calls, estimated)-min(calls, estimated) > calls/20 {
		t.Errorf("%d calls for %d documents, want at most 300 for 213, and about what was estimated, %d", calls, len(files), estimated)
	}

	// Ten paragraphs are edited, each in another document where there are as many.
	m.together, m.asked, each.asked = nil, nil, nil
	texts := map[int]string{}
	for edit := range 10 {
		i := edit % len(files)
		text, again := texts[i]
		if !again {
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
	calls = len(m.together) + len(m.asked)
	t.Logf("ten edits in %d documents: %d calls, where one for each section is %d", len(texts), calls, len(each.asked))
	if calls > 15 {
		t.Errorf("ten edits took %d calls, want at most 15", calls)
	}
}
