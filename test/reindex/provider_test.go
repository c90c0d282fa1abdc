package reindex_test

import (
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-7a112592/gristmill/internal/test/audit"
	"github.com/seed-7a112592/gristmill/pkg/document"
)

// What a provider is sent is what it has not embedded yet, and one text to see
// whether it is there.
func TestProviderCalls(t *testing.T) {
	t.Parallel()
	const price = 2.5 // US dollars for a million tokens
	m := newTestEnv(t, 10*time.Millisecond, fmt.Sprintf("GRISTMILL_PRICES=%s=%v", largeModel.Name, price))
	files := corpusFiles(t, ifShort(16, 1000))
	m.upload(append(files, file{"again/" + files[0].key, files[0].text})) // whose passages are there twice
	passages := m.publishedTexts()
	ctx, c := t.Context(), m.client()

	before := snapshot(m)
	estimate := m.estimate(toModel(largeModel))
	wantTexts(t, "a dry run", m.sentTexts(largeModel), nil)
	if diff := cmp.Diff(before, snapshot(m)); diff != "" {
		t.Errorf("a dry run changed (-before +after):\n%s", diff)
	}
	if estimate.Documents != int64(len(files)+1) || estimate.Passages != int64(len(passages)) || estimate.Reusable != 0 || estimate.Sampled {
		t.Errorf("estimate %+v, want %d documents with %d passages, all new", estimate, len(files)+1, len(passages))
	}
	wantNear(t, "tokens", estimate.Tokens, tokens(t, passages))
	if cost := price * float64(estimate.Tokens) / 1e6; estimate.Cost == nil || math.Abs(*estimate.Cost-cost) > cost/1e6 {
		t.Errorf("estimated to cost %v, want %v", estimate.Cost, cost)
	}
	if estimate.Seconds == nil || *estimate.Seconds <= 0 {
		t.Errorf("estimated to take %v seconds, though documents were uploaded", estimate.Seconds)
	}

	sent := m.sentTexts(largeModel)
	m.awaitSuccess(m.begin(toModel(largeModel)).ID)
	wantTexts(t, "another model", subtractTexts(m.sentTexts(largeModel), sent), passages)

	for name, same := range map[string]document.ReindexRequest{
		"the same again":         toModel(largeModel),
		"nothing":                {Collection: collection},
		"everything, once again": {Collection: collection, Force: true},
	} {
		requests := m.provider.Counts().EmbeddingRequests
		reindex := m.awaitSuccess(m.begin(same).ID)
		if n := m.provider.Counts().EmbeddingRequests - requests; n != 0 || reindex.Change != document.ChangeNothing || reindex.Progress.Embedded != 0 {
			t.Errorf("%s: %d requests were sent; %+v", name, n, reindex)
		}
	}
	for key, d := range audit.Documents(t, c) {
		if d.Version != 2 { // redone once, by force
			t.Errorf("%s is at version %d, want 2", key, d.Version)
		}
	}

	// Back to vectors that are still kept: nothing to send but the probe.
	if estimate := m.estimate(toModel(smallModel)); estimate.Reusable != estimate.Passages || estimate.Tokens != 0 {
		t.Errorf("estimate of going back: %+v", estimate)
	}
	sent = m.sentTexts(smallModel)
	m.awaitSuccess(m.begin(toModel(smallModel)).ID)
	wantTexts(t, "the model from before", subtractTexts(m.sentTexts(smallModel), sent), nil)

	// New texts are embedded by both while both are kept, each once.
	added := plainFile("added.md", 8, 6)
	if _, err := m.uploadAndWait(ctx, c, added); err != nil {
		t.Fatal(err)
	}
	m.audit(10) // probes
}

// Each crash costs one unit at the most.
func TestCrashesCostAUnit(t *testing.T) {
	t.Parallel()
	const crashes = 2
	m := newTestEnv(t, 40*time.Millisecond)
	m.upload(corpusFiles(t, ifShort(16, 200)))
	passages := m.publishedTexts()
	taken := m.provider.Counts().TextsProcessed
	id := m.begin(toModel(largeModel)).ID
	for n := range crashes {
		m.awaitProgress(id, 0.25+0.4*float64(n))
		m.crashWorker()
	}
	m.awaitSuccess(id)
	sent := m.sentTexts(largeModel)
	// Counted as they are taken: what is sent is paid for, whether or not
	// somebody is left to be answered.
	wasted := m.provider.Counts().TextsProcessed - taken - len(passages) - 1 // the probe
	t.Logf("%d passages were sent in vain", wasted)
	for text := range passages {
		if sent[text] == 0 {
			t.Errorf("never sent: %.60q", text)
		}
	}
	if wasted < 0 || wasted > crashes*batchPassages {
		t.Errorf("%d passages were sent in vain, want at most %d", wasted, crashes*batchPassages)
	}
	m.audit(1 + crashes*batchPassages)
}

// A chunking that leaves passages as they are sends the others only.
func TestChunkingChangeSendsWhatIsNew(t *testing.T) {
	t.Parallel()
	const before, after = 400, 150
	m := newTestEnv(t, 10*time.Millisecond)
	files := make([]file, ifShort(6, 60))
	for i := range files {
		key := "half/" + strings.Repeat("x", i) + ".md"
		// Sections of a passage, and sections of one before and of two after.
		files[i] = file{key, plainFile(key, 8, 6).text + "\n" + plainFile("the rest of "+key, 4, 14).text}
	}
	m.upload(files)
	old, new := m.split(files, before), m.split(files, after)
	fresh := subtractTexts(new, old)
	if kept := len(new) - len(fresh); kept < len(new)/3 || kept > 2*len(new)/3 {
		t.Fatalf("%d of %d passages stay as they are; the test wants about half", kept, len(new))
	}
	if diff := cmp.Diff(old, m.publishedTexts()); diff != "" {
		t.Fatalf("passages before (-want +got):\n%s", diff)
	}

	change := document.ReindexRequest{Collection: collection, Tokens: after}
	sent, held := m.sentTexts(smallModel), snapshot(m)
	estimate := m.estimate(change)
	wantTexts(t, "a dry run", subtractTexts(m.sentTexts(smallModel), sent), nil)
	if diff := cmp.Diff(held, snapshot(m)); diff != "" {
		t.Errorf("a dry run changed (-before +after):\n%s", diff)
	}
	if estimate.Change != document.ChangeChunking || estimate.Passages != int64(len(new)) || estimate.Reusable != int64(len(new)-len(fresh)) {
		t.Errorf("estimate %+v, want %d passages, %d of them new", estimate, len(new), len(fresh))
	}
	wantNear(t, "tokens", estimate.Tokens, tokens(t, fresh))

	sent = m.sentTexts(smallModel)
	m.awaitSuccess(m.begin(change).ID)
	wantTexts(t, "another chunking", subtractTexts(m.sentTexts(smallModel), sent), fresh)
	if diff := cmp.Diff(new, m.publishedTexts()); diff != "" {
		t.Errorf("passages after (-want +got):\n%s", diff)
	}
	m.audit(5) // probes
}
