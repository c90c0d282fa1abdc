package reindex_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"github.com/seed-7a112592/gristmill/internal/fault"
	"github.com/seed-7a112592/gristmill/internal/pipeline/reindex"
	"github.com/seed-7a112592/gristmill/internal/provider"
	"github.com/seed-7a112592/gristmill/internal/vector"
	"github.com/seed-7a112592/gristmill/pkg/document"
)

// fakeBackend is a store with collections and their reindexes, an object store, a model, a notifier and a
// dispatcher.
type fakeBackend struct {
	collections []vector.Collection
	active      []document.Reindex
	begun       []document.ReindexRequest
	beginErr    map[string]error // by collection

	models   map[string]int // dimensions, by name
	modelErr error
	probed   []document.Model

	documents []document.Document // newest first
	objects   map[string]string
	readTime  time.Duration // time to read a part of an object
	estimate  document.ReindexEstimate
	embedded  map[document.ContentHash]bool
	rate      float64

	controls   []string // pause, resume, cancel and revert, as called
	controlErr error
	changed    []uuid.UUID
	dispatched int
}

func (o *fakeBackend) Collection(_ context.Context, name string) (vector.Collection, error) {
	for _, c := range o.collections {
		if c.Name == name {
			return c, nil
		}
	}
	return vector.Collection{}, fault.New(fault.NotFound, "no collection %q", name)
}

func (o *fakeBackend) AllCollections(context.Context) ([]vector.Collection, error) {
	return o.collections, nil
}

func (o *fakeBackend) BeginReindex(_ context.Context, request document.ReindexRequest) (document.Reindex, error) {
	if err := o.beginErr[request.Collection]; err != nil {
		return document.Reindex{}, err
	}
	o.begun = append(o.begun, request)
	return document.Reindex{ID: uuid.New(), Collection: request.Collection, State: document.JobQueued}, nil
}

func (o *fakeBackend) Reindexes(_ context.Context, filter document.ReindexFilter, _ document.Page) (list document.List[document.Reindex], err error) {
	for _, r := range o.active {
		if r.Collection == filter.Collection && r.State == filter.State {
			list.Items = append(list.Items, r)
		}
	}
	return list, nil
}

func (o *fakeBackend) recordControl(what string, id uuid.UUID) (document.Reindex, error) {
	o.controls = append(o.controls, what)
	return document.Reindex{ID: id}, o.controlErr
}

func (o *fakeBackend) PauseReindex(_ context.Context, id uuid.UUID) (document.Reindex, error) {
	return o.recordControl("pause", id)
}

func (o *fakeBackend) ResumeReindex(_ context.Context, id uuid.UUID) (document.Reindex, error) {
	return o.recordControl("resume", id)
}

func (o *fakeBackend) CancelReindex(_ context.Context, id uuid.UUID, keep time.Duration) (document.Reindex, error) {
	return o.recordControl(fmt.Sprint("cancel ", keep), id)
}

func (o *fakeBackend) RevertReindex(_ context.Context, id uuid.UUID, keep time.Duration) (document.Reindex, error) {
	return o.recordControl(fmt.Sprint("revert ", keep), id)
}

func (o *fakeBackend) Embed(_ context.Context, model document.Model, texts []string) ([][]float32, error) {
	o.probed = append(o.probed, model)
	if o.modelErr != nil {
		return nil, o.modelErr
	}
	dimensions, known := o.models[model.Name]
	switch {
	case !known:
		return nil, fault.New(fault.BadRequest, "provider answered 404: no such model")
	case model.Dimensions != 0 && dimensions != model.Dimensions:
		wrong := &provider.DimensionsError{Model: model, Got: dimensions}
		return nil, fault.Wrap(fault.Misconfigured, wrong, "provider returned %d dimensions, want %d", dimensions, model.Dimensions)
	default:
		return slices.Repeat([][]float32{make([]float32, dimensions)}, len(texts)), nil
	}
}

func (o *fakeBackend) NotifyChange(_ context.Context, id uuid.UUID) {
	o.changed = append(o.changed, id)
}
func (o *fakeBackend) Dispatch(context.Context) { o.dispatched++ }

func newService(t *testing.T, collections ...string) (*reindex.Service, *fakeBackend) {
	t.Helper()
	o := &fakeBackend{models: map[string]int{"old": 2, "new": 3}, beginErr: map[string]error{}, objects: map[string]string{}, embedded: map[document.ContentHash]bool{}}
	for _, name := range collections {
		o.collections = append(o.collections, vector.Collection{Name: name, ActiveSpace: vector.Space{Model: oldModel, Chunking: oldChunking}})
	}
	service, err := reindex.NewService(reindex.ServiceConfig{
		Store: o, Objects: o, Embedder: o, DefaultSummaryMode: document.SummariesByModel, Changes: o, Dispatcher: o,
		Prices: map[string]float64{"new": 0.02, "old": 0.1}, Soak: soak, Log: slog.New(slog.NewTextHandler(t.Output(), nil)),
	})
	if err != nil {
		t.Fatal(err)
	}
	return service, o
}

func TestBeginProbesTheModelOnce(t *testing.T) {
	t.Parallel()
	service, o := newService(t, "default")
	request := document.ReindexRequest{Collection: "default", Model: newModel}
	begun, err := service.Begin(t.Context(), request)
	if err != nil || len(begun) != 1 || begun[0].Collection != "default" {
		t.Fatalf("got %+v, error %v, want one reindex", begun, err)
	}
	if diff := cmp.Diff([]document.ReindexRequest{request}, o.begun); diff != "" {
		t.Errorf("begun (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]document.Model{newModel}, o.probed); diff != "" {
		t.Errorf("probed (-want +got):\n%s", diff)
	}
	if o.dispatched != 1 {
		t.Errorf("dispatched %d times, want once", o.dispatched)
	}
}

// Dimensions that the request leaves out are those that the model returns, not those of the active space.
func TestBeginLearnsDimensions(t *testing.T) {
	t.Parallel()
	learned := document.Model{Name: "new", Dimensions: 3}
	for name, test := range map[string]struct {
		active  document.Model
		request document.ReindexRequest
		probed  document.Model
		begun   document.Model
	}{
		"another model":           {oldModel, document.ReindexRequest{Model: document.Model{Name: "new"}}, document.Model{Name: "new"}, learned},
		"with unknown dimensions": {document.Model{Name: "new"}, document.ReindexRequest{Tokens: 64}, document.Model{Name: "new"}, learned},
		"a chunking":              {oldModel, document.ReindexRequest{Tokens: 64}, oldModel, oldModel},
		"a model and a chunking":  {oldModel, document.ReindexRequest{Model: document.Model{Name: "new"}, Tokens: 64}, document.Model{Name: "new"}, learned},
	} {
		service, o := newService(t, "default", "other")
		for i := range o.collections {
			o.collections[i].ActiveSpace.Model = test.active
		}
		if _, err := service.Begin(t.Context(), test.request); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		for _, begun := range o.begun {
			if begun.Model != test.begun {
				t.Errorf("%s: began %+v, want model %+v", name, begun, test.begun)
			}
		}
		if len(o.begun) != 2 || len(o.probed) != 1 || o.probed[0] != test.probed {
			t.Errorf("%s: began %d, probed %+v; want 2, and %+v probed once", name, len(o.begun), o.probed, test.probed)
		}
	}
}

func TestBeginWithoutAChangeProbesNoModel(t *testing.T) {
	t.Parallel()
	service, o := newService(t, "default", "other")
	o.modelErr = fault.New(fault.Unavailable, "the provider is down")
	for _, request := range []document.ReindexRequest{
		{Collection: "default"},
		{Collection: "default", Model: oldModel, Tokens: 32, Force: true},
		{Collection: "default", KeyPrefix: "guide/"},
		{DocumentIDs: []uuid.UUID{uuid.New()}}, // of the default collection
		{},                                     // both collections
	} {
		if _, err := service.Begin(t.Context(), request); err != nil {
			t.Errorf("%+v: %v", request, err)
		}
	}
	var collections []string
	for _, request := range o.begun {
		collections = append(collections, request.Collection)
	}
	if diff := cmp.Diff([]string{"default", "default", "default", "default", "default", "other"}, collections); diff != "" || len(o.probed) > 0 {
		t.Errorf("probed %v, began (-want +got):\n%s", o.probed, diff)
	}
}

// A model that cannot be used is found before anything is started.
func TestUnusableModels(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		model    document.Model
		err      error
		kind     fault.Kind
		contains string
	}{
		"unknown":          {document.Model{Name: "nonsense"}, nil, fault.BadRequest, "model nonsense cannot be used: provider answered 404: no such model"},
		"wrong dimensions": {document.Model{Name: "new", Dimensions: 64}, nil, fault.BadRequest, "returned 3 dimensions, want 64"},
		"no key":           {newModel, fault.New(fault.Forbidden, "provider answered 401"), fault.BadRequest, "provider answered 401"},
		"down":             {newModel, fault.New(fault.Unavailable, "provider is down").WithRetryAfter(7 * time.Second), fault.Unavailable, "provider is down"},
		"busy":             {newModel, fault.New(fault.RateLimited, "slow down").WithRetryAfter(7 * time.Second), fault.Unavailable, "slow down"},
		"interrupted":      {newModel, fault.New(fault.InterruptedResponse, "interrupted").WithRetryAfter(7 * time.Second), fault.Unavailable, "interrupted"},
		"a defect":         {newModel, errors.New("no such thing"), fault.Internal, ""},
	} {
		service, o := newService(t, "default", "other")
		o.modelErr = test.err
		for _, collection := range []string{"default", ""} {
			request := document.ReindexRequest{Collection: collection, Model: test.model}
			begun, err := service.Begin(t.Context(), request)
			if !fault.Is(err, test.kind) || !strings.Contains(err.Error(), test.contains) || len(begun)+len(o.begun) > 0 {
				t.Errorf("%s: got error %v and %d begun, want %s and none", name, err, len(o.begun), test.kind)
			}
			if f := fault.As(err); test.kind == fault.Unavailable && f.RetryAfter != 7*time.Second {
				t.Errorf("%s: retry after %s", name, f.RetryAfter)
			}
			if _, err := service.Estimate(t.Context(), request); !fault.Is(err, test.kind) {
				t.Errorf("%s: the estimate returns error %v, want %s", name, err, test.kind)
			}
		}
		if len(o.probed) != 4 {
			t.Errorf("%s: probed %d times, want once for each of 4 requests", name, len(o.probed))
		}
	}
}

func TestModelThatDoesNotRespond(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		service, o := newService(t, "default")
		service.Embedder = silentEmbedder{}
		_, err := service.Begin(t.Context(), document.ReindexRequest{Model: newModel})
		if f := fault.As(err); f == nil || f.Kind != fault.Unavailable || f.RetryAfter <= 0 || !strings.Contains(f.Detail, "model new did not answer within 20s") || len(o.begun) > 0 {
			t.Errorf("got error %v and %d begun, want a timeout and none", err, len(o.begun))
		}
	})
}

// silentEmbedder is a model that never responds.
type silentEmbedder struct{}

func (silentEmbedder) Embed(ctx context.Context, _ document.Model, _ []string) ([][]float32, error) {
	<-ctx.Done()
	return nil, fmt.Errorf("embed: %w", ctx.Err())
}

func TestSecondReindexIsRefusedWithoutAProbe(t *testing.T) {
	t.Parallel()
	for _, state := range []document.JobState{document.JobQueued, document.JobRunning, document.JobWaiting, document.JobPaused} {
		service, o := newService(t, "default")
		first := document.Reindex{ID: uuid.New(), Collection: "default", State: state}
		o.active = []document.Reindex{{ID: uuid.New(), Collection: "other", State: state}, {ID: uuid.New(), Collection: "default", State: document.JobSucceeded}, first}
		_, err := service.Begin(t.Context(), document.ReindexRequest{Collection: "default", Model: newModel})
		if f := fault.As(err); f == nil || f.Kind != fault.Conflict || !strings.Contains(f.Detail, first.ID.String()) {
			t.Errorf("%s: got error %v, want a conflict with reindex %s", state, err, first.ID)
		}
		if len(o.probed)+len(o.begun) > 0 {
			t.Errorf("%s: probed %v and began %v, want neither", state, o.probed, o.begun)
		}
	}
}

// If one collection is refused, the reindexes of the others go on, and the error names them.
func TestOneOfSeveralCollectionsIsRefused(t *testing.T) {
	t.Parallel()
	service, o := newService(t, "a", "b", "c")
	o.beginErr["c"] = fault.New(fault.Conflict, "reindex 17 is running").WithRetryAfter(time.Second)
	begun, err := service.Begin(t.Context(), document.ReindexRequest{Model: newModel})
	if len(begun) != 2 || len(o.probed) != 1 || o.dispatched != 2 {
		t.Fatalf("%d begun, %d probes, %d dispatches; want 2, 1 and 2", len(begun), len(o.probed), o.dispatched)
	}
	f := fault.As(err)
	if f == nil || f.Kind != fault.Conflict || f.RetryAfter != time.Second {
		t.Fatalf("got error %v, want the conflict with its delay", err)
	}
	for _, want := range []string{`collection "c"`, "reindex 17 is running", begun[0].ID.String(), begun[1].ID.String()} {
		if !strings.Contains(f.Detail, want) {
			t.Errorf("the error %q does not contain %q", f.Detail, want)
		}
	}
}

func TestInvalidRequests(t *testing.T) {
	t.Parallel()
	overlap := func(n int) *int { return &n }
	for _, test := range []struct {
		request document.ReindexRequest
		kind    fault.Kind
		says    string
	}{
		{document.ReindexRequest{Collection: "no/name"}, fault.BadRequest, "collection"},
		{document.ReindexRequest{Collection: "absent"}, fault.NotFound, "absent"},
		{document.ReindexRequest{Model: document.Model{Name: "a\x00b"}}, fault.BadRequest, "model"},
		{document.ReindexRequest{Model: document.Model{Name: strings.Repeat("m", 257)}}, fault.BadRequest, "model"},
		{document.ReindexRequest{Model: document.Model{Dimensions: -1}}, fault.BadRequest, "dimensions"},
		{document.ReindexRequest{Model: document.Model{Dimensions: 16001}}, fault.BadRequest, "dimensions"},
		{document.ReindexRequest{Tokens: 15}, fault.BadRequest, "chunk_tokens"},
		{document.ReindexRequest{Tokens: 8193}, fault.BadRequest, "chunk_tokens"},
		{document.ReindexRequest{Overlap: overlap(17)}, fault.BadRequest, "chunk_overlap"},
		{document.ReindexRequest{Overlap: overlap(-1)}, fault.BadRequest, "chunk_overlap"},
		{document.ReindexRequest{KeyPrefix: "a\xff"}, fault.BadRequest, "key_prefix"},
		{document.ReindexRequest{KeyPrefix: "guide/", Model: newModel}, fault.BadRequest, "leave out key_prefix"},
		{document.ReindexRequest{KeyPrefix: "guide/", Tokens: 64}, fault.BadRequest, "leave out key_prefix"},
		{document.ReindexRequest{DocumentIDs: []uuid.UUID{uuid.New()}, Tokens: 64}, fault.BadRequest, "document_ids"},
		{document.ReindexRequest{DocumentIDs: make([]uuid.UUID, 1)}, fault.BadRequest, "document id"},
		{document.ReindexRequest{DocumentIDs: slices.Repeat([]uuid.UUID{uuid.New()}, 1001)}, fault.BadRequest, "1001"},
	} {
		service, o := newService(t, "default")
		for what, call := range map[string]func() error{
			"begin":    func() error { _, err := service.Begin(t.Context(), test.request); return err },
			"estimate": func() error { _, err := service.Estimate(t.Context(), test.request); return err },
		} {
			err := call()
			if f := fault.As(err); f == nil || f.Kind != test.kind || !strings.Contains(f.Detail, test.says) {
				t.Errorf("%s %+v: got error %v, want %s with %q", what, test.request, err, test.kind, test.says)
			}
		}
		if len(o.begun)+len(o.probed) > 0 {
			t.Errorf("%+v: began %v and probed %v, want neither", test.request, o.begun, o.probed)
		}
	}
}

func TestControls(t *testing.T) {
	t.Parallel()
	service, o := newService(t)
	id := uuid.New()
	controls := []func(context.Context, uuid.UUID) (document.Reindex, error){service.Pause, service.Resume, service.Cancel, service.Revert}
	for _, control := range controls {
		if reindex, err := control(t.Context(), id); err != nil || reindex.ID != id {
			t.Errorf("got %+v, error %v, want reindex %s", reindex, err, id)
		}
	}
	if diff := cmp.Diff([]string{"pause", "resume", "cancel 3h0m0s", "revert 3h0m0s"}, o.controls); diff != "" {
		t.Errorf("calls (-want +got):\n%s", diff)
	}
	if len(o.changed) != 4 || o.changed[0] != id || o.dispatched != 4 {
		t.Errorf("notified of changes to %v, dispatched %d times; want 4 of each", o.changed, o.dispatched)
	}
	o.controlErr = fault.New(fault.Conflict, "it has ended")
	for _, control := range controls {
		if _, err := control(t.Context(), id); !fault.Is(err, fault.Conflict) {
			t.Errorf("got error %v, want %s", err, fault.Conflict)
		}
	}
	if len(o.changed) != 4 {
		t.Error("notified of changes that were refused")
	}
}
