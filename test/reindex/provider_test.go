package reindex_test

import (
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-7a112592/gristmill/pkg/document"
	"github.com/seed-7a112592/gristmill/test/audit"
)

// What a provider is sent is what it has not embedded yet, and one text to see
// whether it is there.
func TestProviderCalls(t *testing.T) {
	t.Parallel()
	const price = 2.5 // US dollars for a million tokens
	m := newMill(t, 10*time.Millisecond, fmt.Sprintf("GRISTMILL_PRICES=%s=%v", large.Name, price))
	files := corpusFiles(t, short(16, 1000))
	m.upload(append(files, file{"again/" + files[0].key, files[0].text})) // whose passages are there twice
	passages := m.passages()
	ctx, c := t.Context(), m.client()

	before := holdings(m)
	estimate := m.estimate(toModel(large))
	wantTexts(t, "a dry run", m.sent(large), nil)
	if diff := cmp.Diff(before, holdings(m)); diff != "" {
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

	sent := m.sent(large)
	m.succeed(m.begin(toModel(large)).ID)
	wantTexts(t, "another model", less(m.sent(large), sent), passages)

	for name, same := range map[string]document.ReindexRequest{
		"the same again":         toModel(large),
		"nothing":                {Collection: collection},
		"everything, once again": {Collection: collection, Force: true},
	} {
		requests := m.provider.Counts().Requests
		reindex := m.succeed(m.begin(same).ID)
		if n := m.provider.Counts().Requests - requests; n != 0 || reindex.Change != document.ChangeNothing || reindex.Progress.Embedded != 0 {
			t.Errorf("%s: %d requests were sent; %+v", name, n, reindex)
		}
	}
	for key, d := range audit.Documents(t, c) {
		if d.Version != 2 { // redone once, by force
			t.Errorf("%s is at version %d, want 2", key, d.Version)
		}
	}

	// Back to vectors that are still kept: nothing to send but the probe.
	if estimate := m.estimate(toModel(small)); estimate.Reusable != estimate.Passages || estimate.Tokens != 0 {
		t.Errorf("estimate of going back: %+v", estimate)
	}
	sent = m.sent(small)
	m.succeed(m.begin(toModel(small)).ID)
	wantTexts(t, "the model from before", less(m.sent(small), sent), nil)

	// New texts are embedded by both while both are kept, each once.
	added := plainFile("added.md", 8, 6)
	if _, err := m.add(ctx, c, added); err != nil {
		t.Fatal(err)
	}
	m.audit(10) // probes
}

// Each crash costs one unit at the most.
func TestCrashesCostAUnit(t *testing.T) {
	t.Parallel()
	const crashes = 2
	m := newMill(t, 40*time.Millisecond)
	m.upload(corpusFiles(t, short(16, 200)))
	passages := m.passages()
	taken := m.provider.Counts().Taken
	id := m.begin(toModel(large)).ID
	for n := range crashes {
		m.awaitProgress(id, 0.25+0.4*float64(n))
		m.kill()
	}
	m.succeed(id)
	sent := m.sent(large)
	// Counted as they are taken: what is sent is paid for, whether or not
	// somebody is left to be answered.
	wasted := m.provider.Counts().Taken - taken - len(passages) - 1 // the probe
	t.Logf("%d passages were sent in vain", wasted)
	for text := range passages {
		if sent[text] == 0 {
			t.Errorf("never sent: %.60q", text)
		}
	}
	if wasted < 0 || wasted > crashes*unit {
		t.Errorf("%d passages were sent in vain, want at most %d", wasted, crashes*unit)
	}
	m.audit(1 + crashes*unit)
}

// A chunking that leaves passages as they are sends the others only.
func TestChunkingChangeSendsWhatIsNew(t *testing.T) {
	t.Parallel()
	const before, after = 400, 150
	m := newMill(t, 10*time.Millisecond)
	files := make([]file, short(6, 60))
	for i := range files {
		key := "half/" + strings.Repeat("x", i) + ".md"
		// Sections of a passage, and sections of one before and of two after.
		files[i] = file{key, plainFile(key, 8, 6).text + "\n" + plainFile("the rest of "+key, 4, 14).text}
	}
	m.upload(files)
	old, new := m.split(files, before), m.split(files, after)
	fresh := less(new, old)
	if kept := len(new) - len(fresh); kept < len(new)/3 || kept > 2*len(new)/3 {
		t.Fatalf("%d of %d passages stay as they are; the test wants about half", kept, len(new))
	}
	if diff := cmp.Diff(old, m.passages()); diff != "" {
		t.Fatalf("passages before (-want +got):\n%s", diff)
	}

	change := document.ReindexRequest{Collection: collection, Tokens: after}
	sent, held := m.sent(small), holdings(m)
	estimate := m.estimate(change)
	wantTexts(t, "a dry run", less(m.sent(small), sent), nil)
	if diff := cmp.Diff(held, holdings(m)); diff != "" {
		t.Errorf("a dry run changed (-before +after):\n%s", diff)
	}
	if estimate.Change != document.ChangeChunking || estimate.Passages != int64(len(new)) || estimate.Reusable != int64(len(new)-len(fresh)) {
		t.Errorf("estimate %+v, want %d passages, %d of them new", estimate, len(new), len(fresh))
	}
	wantNear(t, "tokens", estimate.Tokens, tokens(t, fresh))

	sent = m.sent(small)
	m.succeed(m.begin(change).ID)
	wantTexts(t, "another chunking", less(m.sent(small), sent), fresh)
	if diff := cmp.Diff(new, m.passages()); diff != "" {
		t.Errorf("passages after (-want +got):\n%s", diff)
	}
	m.audit(5) // probes
}
