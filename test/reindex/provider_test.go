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

// A reindex sends the provider only texts that it has not embedded yet, and one probe to check that
// the model answers.
func TestProviderCalls(t *testing.T) {
	t.Parallel()
	const price = 2.5 // US dollars per million tokens
	m := newTestEnv(t, 10*time.Millisecond, fmt.Sprintf("GRISTMILL_PRICES=%s=%v", largeModel.Name, price))
	files := corpusFiles(t, ifShort(16, 1000))
	m.upload(append(files, file{"again/" + files[0].key, files[0].text})) // a copy, so its passages occur twice
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
		t.Errorf("estimated cost %v, want %v", estimate.Cost, cost)
	}
	if estimate.Seconds == nil || *estimate.Seconds <= 0 {
		t.Errorf("estimated %v seconds, want more than 0, because uploads have been measured", estimate.Seconds)
	}

	sent := m.sentTexts(largeModel)
	m.awaitSuccess(m.begin(toModel(largeModel)).ID)
	wantTexts(t, "another model", subtractTexts(m.sentTexts(largeModel), sent), passages)

	for name, same := range map[string]document.ReindexRequest{
		"the same model": toModel(largeModel),
		"no change":      {Collection: collection},
		"force":          {Collection: collection, Force: true},
	} {
		requests := m.provider.Counts().EmbeddingRequests
		reindex := m.awaitSuccess(m.begin(same).ID)
		if n := m.provider.Counts().EmbeddingRequests - requests; n != 0 || reindex.Change != document.ChangeNothing || reindex.Progress.Embedded != 0 {
			t.Errorf("%s: %d requests were sent; %+v", name, n, reindex)
		}
	}
	for key, d := range audit.Documents(t, c) {
		if d.Version != 2 { // processed again once, by the reindex with force
			t.Errorf("%s is at version %d, want 2", key, d.Version)
		}
	}

	// Changes back to a model whose vectors still exist: only a probe is sent.
	if estimate := m.estimate(toModel(smallModel)); estimate.Reusable != estimate.Passages || estimate.Tokens != 0 {
		t.Errorf("estimate for changing back: %+v", estimate)
	}
	sent = m.sentTexts(smallModel)
	m.awaitSuccess(m.begin(toModel(smallModel)).ID)
	wantTexts(t, "the previous model", subtractTexts(m.sentTexts(smallModel), sent), nil)

	// While both spaces exist, both models embed new texts, each once.
	added := plainFile("added.md", 8, 6)
	if _, err := m.uploadAndWait(ctx, c, added); err != nil {
		t.Fatal(err)
	}
	m.audit(10) // probes
}

// Each crash costs at most one unit.
func TestCrashCostsAtMostOneUnit(t *testing.T) {
	t.Parallel()
	const crashes = 2
	m := newTestEnv(t, 40*time.Millisecond)
	m.upload(corpusFiles(t, ifShort(16, 200)))
	passages := m.publishedTexts()
	processed := m.provider.Counts().TextsProcessed
	id := m.begin(toModel(largeModel)).ID
	for n := range crashes {
		m.awaitProgress(id, 0.25+0.4*float64(n))
		m.crashWorker()
	}
	m.awaitSuccess(id)
	sent := m.sentTexts(largeModel)
	// Counts processed texts, because the provider charges for them even if no client waits for the
	// answer.
	wasted := m.provider.Counts().TextsProcessed - processed - len(passages) - 1 // the probe
	t.Logf("%d passages were sent without need", wasted)
	for text := range passages {
		if sent[text] == 0 {
			t.Errorf("never sent: %.60q", text)
		}
	}
	if wasted < 0 || wasted > crashes*batchPassages {
		t.Errorf("%d passages were sent without need, want at most %d", wasted, crashes*batchPassages)
	}
	m.audit(1 + crashes*batchPassages)
}

// A new chunking that leaves some passages unchanged sends only the others.
func TestChunkingChangeSendsOnlyNewPassages(t *testing.T) {
	t.Parallel()
	const before, after = 400, 150
	m := newTestEnv(t, 10*time.Millisecond)
	files := make([]file, ifShort(6, 60))
	for i := range files {
		key := "half/" + strings.Repeat("x", i) + ".md"
		// One half of the sections is one passage before and after; each of the others is one
		// before and two after.
		files[i] = file{key, plainFile(key, 8, 6).text + "\n" + plainFile("the rest of "+key, 4, 14).text}
	}
	m.upload(files)
	old, new := m.split(files, before), m.split(files, after)
	fresh := subtractTexts(new, old)
	if kept := len(new) - len(fresh); kept < len(new)/3 || kept > 2*len(new)/3 {
		t.Fatalf("%d of %d passages stay the same; the test needs about half", kept, len(new))
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
