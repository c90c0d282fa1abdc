package knowledge_test

import (
	"bytes"
	"context"
	"io"
	"maps"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
	"unicode"

	"github.com/google/uuid"

	"github.com/seed-7a112592/gristmill/internal/fault"
	"github.com/seed-7a112592/gristmill/internal/pipeline/knowledge"
	"github.com/seed-7a112592/gristmill/internal/vector"
	"github.com/seed-7a112592/gristmill/pkg/document"
)

func TestRunStoresEveryPassage(t *testing.T) {
	t.Parallel()
	step, m, e := newStep(t)
	text := sampleDocument("grain", 50)
	work := m.addObject(text)
	if err := step.Run(t.Context(), work); err != nil {
		t.Fatal(err)
	}
	entries := m.entries[work.DocumentID]
	slices.SortFunc(entries, func(a, b vector.ManifestEntry) int { return a.Ordinal - b.Ordinal })
	end := int64(0)
	for i, entry := range entries {
		if entry.Ordinal != i || entry.Start < end {
			t.Fatalf("entry %d is %+v after byte %d", i, entry, end)
		}
		if gap := text[end:entry.Start]; strings.ContainsFunc(gap, func(r rune) bool { return !unicode.IsSpace(r) }) {
			t.Errorf("no passage covers %q", gap)
		}
		if got := m.passages[entry.Hash].Content; got != text[entry.Start:entry.End] {
			t.Errorf("passage %d is %q, its source %q", i, got, text[entry.Start:entry.End])
		}
		end = entry.End
	}
	if got := m.published[work.DocumentID]; got.Passages != int64(len(entries)) || got.Embedded != got.Passages ||
		got.BytesDone != work.Size || got.BytesTotal != work.Size || got.Stage != "done" {
		t.Errorf("published %+v with %d entries of %d bytes", got, len(entries), work.Size)
	}
	if len(e.sentTwice()) > 0 {
		t.Errorf("embedded twice: %q", e.sentTwice())
	}
}

func TestRunReusesKnownPassages(t *testing.T) {
	t.Parallel()
	step, m, e := newStep(t)
	text := sampleDocument("grain", 20)
	if err := step.Run(t.Context(), m.addObject(text)); err != nil {
		t.Fatal(err)
	}
	before := len(e.sent)
	edited := m.addObject(strings.Replace(text, "Section 7 of grain tells of wheat", "Section 7 of grain tells of millet", 1))
	if err := step.Run(t.Context(), edited); err != nil {
		t.Fatal(err)
	}
	if got := len(e.sent) - before; got != 1 || len(e.sentTwice()) > 0 {
		t.Errorf("editing one section sent %d new texts and again %q; want 1 and none", got, e.sentTwice())
	}
	if got := m.published[edited.DocumentID]; got.Embedded != 1 || got.Reused != got.Passages-1 {
		t.Errorf("progress %+v, want one passage embedded and the others reused", got)
	}
}

// A version with only one batch is written and published in one transaction, if the store can do that
// now. The result is the same if it cannot, and if there are more batches.
func TestSingleBatchIsPublishedWithItsWrite(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		sections          int
		publishSeparately bool
		publishedInOne    int
	}{
		"one batch":              {sections: 2, publishedInOne: 1},
		"one batch, but not now": {sections: 2, publishSeparately: true},
		"more batches":           {sections: 20},
	} {
		step, m, e := newStep(t)
		m.publishSeparately = test.publishSeparately
		work := m.addObject(sampleDocument("grain", test.sections))
		if err := step.Run(t.Context(), work); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		entries := int64(len(m.entries[work.DocumentID]))
		want := document.KnowledgeProgress{Stage: "done", BytesDone: work.Size, BytesTotal: work.Size, Passages: entries, Embedded: entries}
		if got := m.published[work.DocumentID]; got != want || entries == 0 {
			t.Errorf("%s: published %+v, want %+v", name, got, want)
		}
		if m.publishedInOne != test.publishedInOne || len(e.sentTwice()) > 0 {
			t.Errorf("%s: %d versions were written and published in one transaction, want %d; embedded twice: %q", name, m.publishedInOne, test.publishedInOne, e.sentTwice())
		}
	}
}

func TestNextAttemptReusesPassages(t *testing.T) {
	t.Parallel()
	step, m, e := newStep(t, func(c *knowledge.Config) { c.ParallelBatches = 1 })
	work := m.addObject(sampleDocument("grain", 40))
	calls := 0
	e.call = func(context.Context, document.Model, []string) error {
		if calls++; calls == 4 {
			return fault.New(fault.Unavailable, "provider is down")
		}
		return nil
	}
	if err := step.Run(t.Context(), work); !fault.Is(err, fault.Unavailable) {
		t.Fatalf("got error %v, want unavailable", err)
	}
	if len(m.published) != 0 {
		t.Error("an incomplete document was published")
	}
	m.entries = map[uuid.UUID][]vector.ManifestEntry{} // as Claim does
	if err := step.Run(t.Context(), work); err != nil {
		t.Fatal(err)
	}
	if len(e.sentTwice()) > 0 {
		t.Errorf("the second attempt sent again: %q", e.sentTwice())
	}
}

// The requests of other batches that are under way when one fails are paid for, so they complete.
func TestFailureLetsBatchesUnderWayComplete(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		step, m, e := newStep(t)
		work := m.addObject(sampleDocument("grain", 40))
		var calls atomic.Int32
		e.call = func(ctx context.Context, _ document.Model, _ []string) error {
			if calls.Add(1) == 2 {
				return fault.New(fault.RateLimited, "slow down")
			}
			<-time.After(time.Second) // on the bubble's clock
			return ctx.Err()
		}
		if err := step.Run(t.Context(), work); !fault.Is(err, fault.RateLimited) {
			t.Fatalf("got error %v, want rate limited", err)
		}
		if n := int(calls.Load()); n > step.ParallelBatches+1 || m.writes != n-1 {
			t.Errorf("%d batches began and %d were written; want no new ones after the failure, and all others written", n, m.writes)
		}
	})
}

func TestDeletedPassageIsEmbeddedAgain(t *testing.T) {
	t.Parallel()
	step, m, e := newStep(t, func(c *knowledge.Config) { c.BatchPassages = 100 })
	text := sampleDocument("grain", 10)
	if err := step.Run(t.Context(), m.addObject(text)); err != nil {
		t.Fatal(err)
	}
	once := true
	m.deletePassages = func(batch vector.Batch) bool {
		now := once && len(batch.Entries) > 0
		once = once && !now
		return now
	}
	work := m.addObject(text + sampleDocument("fresh", 3))
	if err := step.Run(t.Context(), work); err != nil {
		t.Fatal(err)
	}
	if once {
		t.Fatal("no passage was deleted")
	}
	for text, n := range e.sent {
		if strings.Contains(text, "fresh") && n != 1 {
			t.Errorf("a passage that was embedded before the deletion was sent %d times, want once: %q", n, text)
		}
	}
	for _, entry := range m.entries[work.DocumentID] {
		if _, ok := m.passages[entry.Hash]; !ok {
			t.Errorf("entry %d has no passage", entry.Ordinal)
		}
	}
}

// The passage of a document that is only front matter is the front matter.
func TestFrontMatterAloneIsPublished(t *testing.T) {
	t.Parallel()
	step, m, e := newStep(t)
	work := m.addObject("---\ntitle: Nothing else\n---\n")
	if err := step.Run(t.Context(), work); err != nil {
		t.Fatal(err)
	}
	sent := slices.Collect(maps.Keys(e.sent))
	if got, ok := m.published[work.DocumentID]; !ok || got.Passages != 1 || len(sent) != 1 || !strings.Contains(sent[0], "Nothing else") {
		t.Errorf("published %+v, %v, sent %q; want one passage with the front matter", got, ok, sent)
	}
}

func TestReadErrorFailsTheRun(t *testing.T) {
	t.Parallel()
	step, m, _ := newStep(t, func(c *knowledge.Config) { c.Objects = brokenObjects{} })
	work := m.addObject("text")
	if err := step.Run(t.Context(), work); !fault.Is(err, fault.Unavailable) {
		t.Errorf("got error %v, want unavailable", err)
	}
	if len(m.published) != 0 {
		t.Error("the document was published")
	}
}

type brokenObjects struct{}

func (brokenObjects) Open(context.Context, string) (io.ReadSeekCloser, error) {
	return brokenReader{bytes.NewReader([]byte("text"))}, nil
}

type brokenReader struct{ *bytes.Reader }

func (brokenReader) Read([]byte) (int, error) {
	return 0, fault.New(fault.Unavailable, "store is down")
}
func (brokenReader) Close() error { return nil }

// A version is not published if its original is damaged, in any way.
func TestDamagedOriginalIsNotPublished(t *testing.T) {
	t.Parallel()
	text := sampleDocument("wheat", 40)
	for name, stored := range map[string]string{
		"truncated": text[:len(text)/2],
		"empty":     "",
		"longer":    text + "And more.\n",
		"replaced":  strings.ReplaceAll(text, "wheat", "maize"),
		"last byte": text[:len(text)-1] + "!",
	} {
		step, m, _ := newStep(t)
		work := m.addObject(text)
		m.objects[work.Object] = stored
		err := step.Run(t.Context(), work)
		if !fault.Is(err, fault.Damaged) || len(m.published) != 0 {
			t.Errorf("%s: got error %v and %d published documents, want %s and none", name, err, len(m.published), fault.Damaged)
		}
	}
}
