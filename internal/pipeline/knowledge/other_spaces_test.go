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

func TestRunWritesToAllSpaces(t *testing.T) {
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
	active, model, chunking := m.entries[work.DocumentID], m.others[1].entries[work.DocumentID], m.others[2].entries[work.DocumentID]
	if len(model) != len(active) || len(chunking) <= len(active) {
		t.Errorf("%d entries in the active space, %d with another model, %d with passages half as long; want the second equal and the third larger", len(active), len(model), len(chunking))
	}
	for _, entry := range chunking {
		if got := m.others[2].passages[entry.Hash].Content; got != text[entry.Start:entry.End] {
			t.Errorf("passage %d is %q, its source %q", entry.Ordinal, got, text[entry.Start:entry.End])
		}
	}
	want := []vector.SpaceVersion{{SpaceID: 1, Passages: int64(len(model))}, {SpaceID: 2, Passages: int64(len(chunking))}}
	if diff := cmp.Diff(want, m.also[work.DocumentID]); diff != "" {
		t.Errorf("published in (-want +got):\n%s", diff)
	}
	if got := m.published[work.DocumentID]; got.Passages != int64(len(active)) || got.BytesDone != work.Size {
		t.Errorf("progress %+v, want that of the active space with its %d passages", got, len(active))
	}
	both := map[document.ContentHash]bool{} // passages of two spaces with one model
	for _, entry := range append(slices.Clone(active), chunking...) {
		both[entry.Hash] = true
	}
	if byModel["new"] != len(active) || byModel["m"] != len(both) {
		t.Errorf("sent %v texts, want %d to the new model and %d to the old one", byModel, len(active), len(both))
	}
}

// A failure in a space that is not active never prevents a document from being found.
func TestFailedSpaceIsLeftOut(t *testing.T) {
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
		fail   func(*fakeBackend, *fakeEmbedder)
		intact int64 // the other space, which has no failure
	}{
		"its model refuses the request": {refuse(fault.New(fault.BadRequest, "no such model")), 2},
		"its model is down":             {refuse(fault.New(fault.Unavailable, "down").WithRetryAfter(time.Hour)), 2},
		"writes to it fail": {func(m *fakeBackend, _ *fakeEmbedder) {
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
			test.fail(m, e)
			work := m.addObject(sampleDocument("grain", 50))
			work.OtherSpaces = otherSpaces()
			if err := step.Run(t.Context(), work); err != nil {
				t.Fatal(err)
			}
			if _, ok := m.published[work.DocumentID]; !ok {
				t.Error("the document was not published")
			}
			if also := m.also[work.DocumentID]; len(also) != 1 || also[0].SpaceID != test.intact {
				t.Errorf("published also in %v, want in space %d", also, test.intact)
			}
			if n := strings.Count(log.String(), "level=WARN"); n != 1 {
				t.Errorf("%d warnings, want one about the document:\n%s", n, log.String())
			}
		})
	}
}

// A lost lease is not a failure of a space.
func TestLostLeaseInAnotherSpaceFailsTheRun(t *testing.T) {
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
			t.Errorf("space %d: got error %v and %d published documents, want %s and none", space, err, len(m.published), fault.LeaseLost)
		}
	}
}

// The end of the process is not a failure of a space.
func TestStopDuringAnotherSpacePublishesNothing(t *testing.T) {
	t.Parallel()
	step, m, e := newStep(t, func(c *knowledge.Config) { c.BatchPassages = 100 }) // the active space is complete by then
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
		t.Errorf("got error %v and %d published documents, want %v and none", err, len(m.published), context.Canceled)
	}
}

// onceReader is an object that can be read only once.
type onceReader struct {
	io.ReadSeekCloser
	started *bool
}

func (r onceReader) Seek(offset int64, whence int) (int64, error) {
	if whence == io.SeekStart {
		if *r.started {
			return 0, fault.New(fault.Unavailable, "object storage is down")
		}
		*r.started = true
	}
	return r.ReadSeekCloser.Seek(offset, whence)
}
