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

func TestRunPlacesEveryPassage(t *testing.T) {
	t.Parallel()
	step, m, e := newStep(t)
	text := sampleDocument("grain", 50)
	work := m.addObject(text)
	if err := step.Run(t.Context(), work); err != nil {
		t.Fatal(err)
	}
	places := m.places[work.DocumentID]
	slices.SortFunc(places, func(a, b vector.ManifestEntry) int { return a.Ordinal - b.Ordinal })
	end := int64(0)
	for i, place := range places {
		if place.Ordinal != i || place.Start < end {
			t.Fatalf("place %d is %+v after byte %d", i, place, end)
		}
		if gap := text[end:place.Start]; strings.ContainsFunc(gap, func(r rune) bool { return !unicode.IsSpace(r) }) {
			t.Errorf("nothing covers %q", gap)
		}
		if got := m.passages[place.Hash].Content; got != text[place.Start:place.End] {
			t.Errorf("passage %d is %q, its source %q", i, got, text[place.Start:place.End])
		}
		end = place.End
	}
	if got := m.published[work.DocumentID]; got.Passages != int64(len(places)) || got.Embedded != got.Passages ||
		got.BytesDone != work.Size || got.BytesTotal != work.Size || got.Stage != "done" {
		t.Errorf("published %+v with %d places of %d bytes", got, len(places), work.Size)
	}
	if len(e.sentTwice()) > 0 {
		t.Errorf("embedded twice: %q", e.sentTwice())
	}
}

func TestRunReusesWhatIsKnown(t *testing.T) {
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
		t.Errorf("progress = %+v", got)
	}
}

// A version of one batch is written and published at once, where the store does
// that. It comes to the same when it does not, and when there are more batches.
func TestOneBatchIsPublishedWithIt(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		sections int
		notNow   bool
		atOnce   int
	}{
		"one batch":    {sections: 2, atOnce: 1},
		"not now":      {sections: 2, notNow: true},
		"more batches": {sections: 20},
	} {
		step, m, e := newStep(t)
		m.notNow = test.notNow
		work := m.addObject(sampleDocument("grain", test.sections))
		if err := step.Run(t.Context(), work); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		places := int64(len(m.places[work.DocumentID]))
		want := document.KnowledgeProgress{Stage: "done", BytesDone: work.Size, BytesTotal: work.Size, Passages: places, Embedded: places}
		if got := m.published[work.DocumentID]; got != want || places == 0 {
			t.Errorf("%s: published %+v, want %+v", name, got, want)
		}
		if m.atOnce != test.atOnce || len(e.sentTwice()) > 0 {
			t.Errorf("%s: %d versions were written and published in one, want %d; embedded twice: %q", name, m.atOnce, test.atOnce, e.sentTwice())
		}
	}
}

func TestFailureKeepsWhatWasPaidFor(t *testing.T) {
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
		t.Fatalf("error %v, want unavailable", err)
	}
	if len(m.published) != 0 {
		t.Error("a document that is not whole was published")
	}
	m.places = map[uuid.UUID][]vector.ManifestEntry{} // as Claim does for the next attempt
	if err := step.Run(t.Context(), work); err != nil {
		t.Fatal(err)
	}
	if len(e.sentTwice()) > 0 {
		t.Errorf("the second attempt sent again: %q", e.sentTwice())
	}
}

// What others have asked of the model when one batch fails is paid for.
func TestFailureLetsBatchesInFlightFinish(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		step, m, e := newStep(t)
		work := m.addObject(sampleDocument("grain", 40))
		var calls atomic.Int32
		e.call = func(ctx context.Context, _ document.Model, _ []string) error {
			if calls.Add(1) == 2 {
				return fault.New(fault.RateLimited, "slow down")
			}
			<-time.After(time.Second) // of the bubble's clock
			return ctx.Err()
		}
		if err := step.Run(t.Context(), work); !fault.Is(err, fault.RateLimited) {
			t.Fatalf("error %v, want rate limited", err)
		}
		if n := int(calls.Load()); n > step.ParallelBatches+1 || m.writes != n-1 {
			t.Errorf("%d batches were begun and %d written; want no new ones, and all but the one that failed written", n, m.writes)
		}
	})
}

func TestPassageThatVanishesIsMadeAgain(t *testing.T) {
	t.Parallel()
	step, m, e := newStep(t, func(c *knowledge.Config) { c.BatchPassages = 100 })
	text := sampleDocument("grain", 10)
	if err := step.Run(t.Context(), m.addObject(text)); err != nil {
		t.Fatal(err)
	}
	once := true
	m.vanish = func(batch vector.Batch) bool {
		now := once && len(batch.Entries) > 0
		once = once && !now
		return now
	}
	work := m.addObject(text + sampleDocument("fresh", 3))
	if err := step.Run(t.Context(), work); err != nil {
		t.Fatal(err)
	}
	if once {
		t.Fatal("nothing vanished")
	}
	for text, n := range e.sent {
		if strings.Contains(text, "fresh") && n != 1 {
			t.Errorf("what was paid for when another passage vanished was sent %d times: %q", n, text)
		}
	}
	for _, place := range m.places[work.DocumentID] {
		if _, ok := m.passages[place.Hash]; !ok {
			t.Errorf("place %d has no passage", place.Ordinal)
		}
	}
}

// A document of nothing but front matter is found by what that says.
func TestDocumentOfFrontMatterAloneIsPublished(t *testing.T) {
	t.Parallel()
	step, m, e := newStep(t)
	work := m.addObject("---\ntitle: Nothing else\n---\n")
	if err := step.Run(t.Context(), work); err != nil {
		t.Fatal(err)
	}
	sent := slices.Collect(maps.Keys(e.sent))
	if got, ok := m.published[work.DocumentID]; !ok || got.Passages != 1 || len(sent) != 1 || !strings.Contains(sent[0], "Nothing else") {
		t.Errorf("published %+v, %v; sent %q", got, ok, sent)
	}
}

func TestReadErrorEndsTheRun(t *testing.T) {
	t.Parallel()
	step, m, _ := newStep(t, func(c *knowledge.Config) { c.Objects = brokenObjects{} })
	work := m.addObject("text")
	if err := step.Run(t.Context(), work); !fault.Is(err, fault.Unavailable) {
		t.Errorf("error %v, want the reader's", err)
	}
	if len(m.published) != 0 {
		t.Error("published")
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

// Whatever became of an original, nothing of it becomes live.
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
			t.Errorf("%s: %v, and %d documents were published", name, err, len(m.published))
		}
	}
}
