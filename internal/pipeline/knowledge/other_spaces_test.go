package knowledge_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-7a112592/gristmill/internal/fault"
	"github.com/seed-7a112592/gristmill/internal/pipeline/knowledge"
	"github.com/seed-7a112592/gristmill/internal/test/await"
	"github.com/seed-7a112592/gristmill/internal/vector"
	"github.com/seed-7a112592/gristmill/pkg/document"
)

// otherSpaces returns a space with another model and one with another chunking.
func otherSpaces() []vector.Space {
	return []vector.Space{
		{ID: 1, Model: document.Model{Name: "new", Dimensions: 8}, Chunking: document.Chunking{Tokens: 32}},
		{ID: 2, Model: document.Model{Name: "m", Dimensions: 4}, Chunking: document.Chunking{Tokens: 16}},
	}
}

func TestRunPlacesInEverySpaceThatIsKept(t *testing.T) {
	t.Parallel()
	step, m, e := newStep(t)
	var mu sync.Mutex
	byModel := map[string]int{}
	e.call = func(_ context.Context, model document.Model, texts []string) error {
		mu.Lock()
		defer mu.Unlock()
		byModel[model.Name] += len(texts)
		return nil
	}
	text := sampleDocument("grain", 50)
	work := m.addObject(text)
	work.OtherSpaces = otherSpaces()
	if err := step.Run(t.Context(), work); err != nil {
		t.Fatal(err)
	}
	live, model, chunking := m.places[work.DocumentID], m.beside[1].places[work.DocumentID], m.beside[2].places[work.DocumentID]
	if len(model) != len(live) || len(chunking) <= len(live) {
		t.Errorf("%d places in the live space, %d with another model, %d with passages half as long", len(live), len(model), len(chunking))
	}
	for _, place := range chunking {
		if got := m.beside[2].passages[place.Hash].Content; got != text[place.Start:place.End] {
			t.Errorf("passage %d is %q, its source %q", place.Ordinal, got, text[place.Start:place.End])
		}
	}
	want := []vector.SpaceVersion{{SpaceID: 1, Passages: int64(len(model))}, {SpaceID: 2, Passages: int64(len(chunking))}}
	if diff := cmp.Diff(want, m.also[work.DocumentID]); diff != "" {
		t.Errorf("published in (-want +got):\n%s", diff)
	}
	if got := m.published[work.DocumentID]; got.Passages != int64(len(live)) || got.BytesDone != work.Size {
		t.Errorf("progress %+v, want that of the live space with its %d passages", got, len(live))
	}
	both := map[document.ContentHash]bool{} // of one model, and in two spaces
	for _, place := range append(slices.Clone(live), chunking...) {
		both[place.Hash] = true
	}
	if byModel["new"] != len(live) || byModel["m"] != len(both) {
		t.Errorf("sent %v, want %d to the new model and %d to the old one", byModel, len(live), len(both))
	}
}

// Whatever fails beside the live space, and however often, must not keep a
// document from being found.
func TestSpaceThatFailsIsLeftOut(t *testing.T) {
	t.Parallel()
	refuse := func(err error) func(*fakeBackend, *fakeEmbedder) {
		return func(_ *fakeBackend, e *fakeEmbedder) {
			e.call = func(_ context.Context, model document.Model, _ []string) error {
				if model.Name == "new" {
					return err
				}
				return nil
			}
		}
	}
	for name, test := range map[string]struct {
		spoil func(*fakeBackend, *fakeEmbedder)
		left  int64 // the space that is left
	}{
		"its model refuses": {refuse(fault.New(fault.BadRequest, "no such model")), 2},
		"its model is down": {refuse(fault.New(fault.Unavailable, "down").WithRetryAfter(time.Hour)), 2},
		"it cannot be written": {func(m *fakeBackend, _ *fakeEmbedder) {
			m.writeErr = func(space int64) error {
				if space == 2 {
					return errors.New("no partition of relation passages")
				}
				return nil
			}
		}, 1},
		"the original cannot be read again": {func(m *fakeBackend, _ *fakeEmbedder) {
			m.open = func(object io.ReadSeekCloser) io.ReadSeekCloser { return onceReader{object, new(bool)} }
		}, 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var log await.LogBuffer
			step, m, e := newStep(t, func(c *knowledge.Config) { c.Log = slog.New(slog.NewTextHandler(&log, nil)) })
			test.spoil(m, e)
			work := m.addObject(sampleDocument("grain", 50))
			work.OtherSpaces = otherSpaces()
			if err := step.Run(t.Context(), work); err != nil {
				t.Fatal(err)
			}
			if _, ok := m.published[work.DocumentID]; !ok {
				t.Error("not published")
			}
			if also := m.also[work.DocumentID]; len(also) != 1 || also[0].SpaceID != test.left {
				t.Errorf("published beside the live space in %v, want in %d", also, test.left)
			}
			if n := strings.Count(log.String(), "level=WARN"); n != 1 {
				t.Errorf("%d warnings, want one for the document:\n%s", n, log.String())
			}
		})
	}
}

// A lost lease and the end of the process are no failures of a space.
func TestLeaseLostBesideTheLiveSpaceEndsTheRun(t *testing.T) {
	t.Parallel()
	for _, space := range []int64{1, 2} {
		step, m, _ := newStep(t)
		m.writeErr = func(in int64) error {
			if in == space {
				return fault.New(fault.LeaseLost, "lease lost")
			}
			return nil
		}
		work := m.addObject(sampleDocument("grain", 50))
		work.OtherSpaces = otherSpaces()
		if err := step.Run(t.Context(), work); !fault.Is(err, fault.LeaseLost) || len(m.published) > 0 {
			t.Errorf("in space %d: %v, and %d documents published", space, err, len(m.published))
		}
	}
}

func TestRunThatIsStoppedBesideTheLiveSpacePublishesNothing(t *testing.T) {
	t.Parallel()
	step, m, e := newStep(t, func(c *knowledge.Config) { c.BatchPassages = 100 }) // the live space has all of them by then
	ctx, stop := context.WithCancel(t.Context())
	e.call = func(ctx context.Context, model document.Model, _ []string) error {
		if model.Name == "new" {
			stop()
		}
		return ctx.Err()
	}
	work := m.addObject(sampleDocument("grain", 50))
	work.OtherSpaces = otherSpaces()
	if err := step.Run(ctx, work); !errors.Is(err, context.Canceled) || len(m.published) > 0 {
		t.Errorf("%v, and %d documents published", err, len(m.published))
	}
}

// onceReader is an object that can be read once.
type onceReader struct {
	io.ReadSeekCloser
	begun *bool
}

func (r onceReader) Seek(offset int64, whence int) (int64, error) {
	if whence == io.SeekStart {
		if *r.begun {
			return 0, fault.New(fault.Unavailable, "object storage is down")
		}
		*r.begun = true
	}
	return r.ReadSeekCloser.Seek(offset, whence)
}
