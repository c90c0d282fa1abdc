package reindex_test

import (
	"context"
	"fmt"
	"io"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"github.com/seed-7a112592/gristmill/internal/fault"
	"github.com/seed-7a112592/gristmill/internal/rebuild"
	"github.com/seed-7a112592/gristmill/internal/task"
	"github.com/seed-7a112592/gristmill/internal/vector"
	"github.com/seed-7a112592/gristmill/pkg/chunk"
	"github.com/seed-7a112592/gristmill/pkg/document"
)

func (o *fakeBackend) EstimateReindex(_ context.Context, request document.ReindexRequest) (document.ReindexEstimate, error) {
	collection, err := o.Collection(context.Background(), request.Collection)
	if err != nil {
		return document.ReindexEstimate{}, err
	}
	target, change := rebuild.TargetSpace(request, collection.ActiveSpace)
	e := o.estimate
	e.Collection, e.Change, e.Model, e.Dimensions = collection.Name, change, target.Model.Name, target.Model.Dimensions
	return e, nil
}

func (o *fakeBackend) DocumentsToRedo(context.Context, document.ReindexRequest) (ids []uuid.UUID, err error) {
	for _, d := range o.documents {
		ids = append(ids, d.ID)
	}
	return ids, nil
}

func (o *fakeBackend) Document(_ context.Context, id uuid.UUID) (document.Document, error) {
	for _, d := range o.documents {
		if d.ID == id {
			return d, nil
		}
	}
	return document.Document{}, fault.New(fault.NotFound, "no document %s", id)
}

// fakeSummaryEstimator returns an estimate of two calls for each document, after a delay.
type fakeSummaryEstimator struct {
	*fakeBackend
	delay time.Duration
}

func (s fakeSummaryEstimator) Estimate(_ context.Context, work task.Work) (document.SummaryEstimate, error) {
	<-time.After(s.delay) // on the bubble's clock
	if s.objects[work.Object] == "" || work.Space.Chunking != oldChunking {
		return document.SummaryEstimate{}, fault.New(fault.Damaged, "no object %s", work.Object)
	}
	return document.SummaryEstimate{Sections: 5, Reusable: 3, Calls: 2, Input: 100, Output: 10}, nil
}

// A reindex that queues documents again also summarises them again, which is estimated. If there are
// many documents, some are estimated. Documents with missing originals do not fail the estimate.
func TestEstimateOfSummaries(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		service, o := newService(t, "default")
		for i := range 100 {
			o.addDocument(fmt.Sprint("# Wheat ", i))
			o.documents[i].ID = uuid.New()
		}
		for delay, want := range map[time.Duration]struct {
			document.SummaryEstimate
			sampled bool
		}{
			0:                      {document.SummaryEstimate{Sections: 500, Reusable: 300, Calls: 200, Input: 10000, Output: 1000}, false},
			300 * time.Millisecond: {document.SummaryEstimate{Sections: 500, Reusable: 300, Calls: 200, Input: 10000, Output: 1000}, true},
		} {
			service.Summaries = fakeSummaryEstimator{o, delay}
			got, err := service.Estimate(t.Context(), document.ReindexRequest{Collection: "default", Force: true})
			if err != nil || got[0].Summaries != want.SummaryEstimate || got[0].Sampled != want.sampled {
				t.Errorf("delay %s: got %+v, error %v, want %+v", delay, got, err, want)
			}
		}
		delete(o.objects, o.documents[0].Object)
		service.Summaries = fakeSummaryEstimator{o, 0}
		if got, err := service.Estimate(t.Context(), document.ReindexRequest{Collection: "default", Force: true}); err != nil || got[0].Summaries.Calls != 198 {
			t.Errorf("got %+v, error %v, want 198 calls for all but the missing original", got, err)
		}
		if got, err := service.Estimate(t.Context(), document.ReindexRequest{Collection: "default", Model: newModel}); err != nil || got[0].Summaries.Calls != 0 {
			t.Errorf("new model: got %+v, error %v, want no calls, because documents are not queued again", got, err)
		}
	})
}

func (o *fakeBackend) EmbeddingRate(context.Context, document.Model) (float64, error) {
	return o.rate, nil
}

func (o *fakeBackend) ReusableHashes(_ context.Context, _ vector.Space, hashes []document.ContentHash) (embedded []document.ContentHash, err error) {
	for _, hash := range hashes {
		if o.embedded[hash] {
			embedded = append(embedded, hash)
		}
	}
	return embedded, nil
}

func (o *fakeBackend) Documents(_ context.Context, filter document.DocumentFilter, page document.Page) (list document.List[document.Document], err error) {
	if filter.Collection != "default" || filter.State != document.DocumentReady {
		return list, fmt.Errorf("unexpected filter %+v", filter)
	}
	first, _ := strconv.Atoi(page.Cursor)
	last := min(first+page.Limit, len(o.documents))
	list.Items = o.documents[first:last]
	if last < len(o.documents) {
		list.NextCursor = strconv.Itoa(last)
	}
	return list, nil
}

func (o *fakeBackend) Open(_ context.Context, name string) (io.ReadSeekCloser, error) {
	text, ok := o.objects[name]
	if !ok {
		return nil, fault.New(fault.NotFound, "no object %s", name)
	}
	return slowReader{objectReader{strings.NewReader(text)}, o.readTime}, nil
}

// slowReader is an object that is read slowly.
type slowReader struct {
	io.ReadSeekCloser
	delay time.Duration
}

func (r slowReader) Read(b []byte) (int, error) {
	<-time.After(r.delay) // on the bubble's clock
	return r.ReadSeekCloser.Read(b[:min(len(b), 4<<10)])
}

// addDocument adds a document with an original.
func (o *fakeBackend) addDocument(text string) {
	name := uuid.NewString()
	o.objects[name] = text
	o.documents = append(o.documents, document.Document{Key: name + ".md", Object: name, Size: int64(len(text)), SHA256: sha256Hex(text)})
	o.estimate.Documents++
}

// passageTokens returns the number of tokens of each distinct passage of the texts, including its
// headings.
func passageTokens(t *testing.T, chunking document.Chunking, texts ...string) map[document.ContentHash]int {
	t.Helper()
	tokens := map[document.ContentHash]int{}
	for _, text := range texts {
		for p, err := range chunk.Split(strings.NewReader(text), chunk.Options{Tokens: chunking.Tokens}) {
			if err != nil {
				t.Fatal(err)
			}
			text := p.EmbeddingInput()
			tokens[document.HashText(text)] = p.Tokens + (len(text)-len(p.Content)+3)/4
		}
	}
	return tokens
}

func TestEstimateOfANewModel(t *testing.T) {
	t.Parallel()
	service, o := newService(t, "default")
	o.estimate = document.ReindexEstimate{Documents: 10, Passages: 1000, Reusable: 400, Tokens: 5_000_000}
	o.rate = 20
	got, err := service.Estimate(t.Context(), document.ReindexRequest{Collection: "default", Model: newModel})
	if err != nil {
		t.Fatal(err)
	}
	cost, seconds := 0.1, 30.0
	want := document.ReindexEstimate{
		Collection: "default", Change: document.ChangeModel, Model: "new", Dimensions: 3,
		Documents: 10, Passages: 1000, Reusable: 400, Tokens: 5_000_000, Cost: &cost, Seconds: &seconds,
	}
	if diff := cmp.Diff([]document.ReindexEstimate{want}, got); diff != "" {
		t.Errorf("estimate (-want +got):\n%s", diff)
	}
	if len(o.begun) > 0 || len(o.probed) != 1 {
		t.Errorf("began %v and probed %v, want nothing begun and one probe", o.begun, o.probed)
	}
}

// Unknown cost and time are missing in an estimate.
func TestEstimateWithoutPriceAndRate(t *testing.T) {
	t.Parallel()
	service, o := newService(t, "default", "other")
	service.Prices = nil
	o.estimate = document.ReindexEstimate{Documents: 10, Passages: 1000, Tokens: 5000}
	got, err := service.Estimate(t.Context(), document.ReindexRequest{})
	if err != nil || len(got) != 2 {
		t.Fatalf("got %v, error %v, want two estimates", got, err)
	}
	for i, collection := range []string{"default", "other"} {
		e := got[i]
		if e.Collection != collection || e.Change != document.ChangeNothing || e.Cost != nil || e.Seconds != nil || e.Passages != 1000 || e.Sampled {
			t.Errorf("got %+v, want the store's estimate for %s without cost and time", e, collection)
		}
	}
	if len(o.probed) > 0 {
		t.Error("probed a model that is in use")
	}
}

func TestEstimateOfANewChunkingSplitsOriginals(t *testing.T) {
	t.Parallel()
	service, o := newService(t, "default")
	texts := []string{sampleDocument("one", 30), sampleDocument("two", 40), "", sampleDocument("one", 30)} // two are equal
	for range 250 {
		texts = append(texts, "# Small\n\nAll the same.\n")
	}
	for _, text := range texts {
		o.addDocument(text)
	}
	o.documents = append(o.documents, document.Document{Key: "deleted.md", Object: "deleted", Size: 1 << 30})
	o.objects["truncated"] = "# Half"
	o.documents = append(o.documents, document.Document{Key: "damaged.md", Object: "truncated", Size: 1 << 30})
	tokens := passageTokens(t, newChunking, texts...)
	total, reusable, n := 0, 0, 0
	for hash, count := range tokens {
		if total += count; n%3 == 0 {
			o.embedded[hash] = true
			reusable += count
		}
		n++
	}
	got, err := service.Estimate(t.Context(), document.ReindexRequest{Collection: "default", Tokens: newChunking.Tokens})
	if err != nil {
		t.Fatal(err)
	}
	cost := float64(total-reusable) * 0.1 / 1e6
	want := document.ReindexEstimate{
		Collection: "default", Change: document.ChangeChunking, Model: "old", Dimensions: 2,
		Documents: int64(len(texts)), Passages: int64(len(tokens)), Reusable: int64(len(o.embedded)), Tokens: int64(total - reusable), Cost: &cost,
	}
	if diff := cmp.Diff([]document.ReindexEstimate{want}, got); diff != "" {
		t.Errorf("estimate (-want +got):\n%s", diff)
	}
}

// If there are many originals, some are read for a few seconds, and the estimate is extrapolated.
func TestEstimateOfANewChunkingSamples(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		service, o := newService(t, "default")
		o.readTime = 100 * time.Millisecond
		for i := range 400 {
			o.addDocument(sampleDocument(fmt.Sprint("book ", i), 10))
		}
		all := map[document.ContentHash]int{}
		tokens := 0
		for _, text := range o.objects {
			for hash, count := range passageTokens(t, newChunking, text) {
				all[hash] = count
				tokens += count
			}
		}
		start := time.Now()
		got, err := service.Estimate(t.Context(), document.ReindexRequest{Collection: "default", Tokens: newChunking.Tokens})
		if err != nil {
			t.Fatal(err)
		}
		if took := time.Since(start); took < 4*time.Second || took > 6*time.Second {
			t.Errorf("took %s, want about 5s", took)
		}
		e := got[0]
		if !e.Sampled || e.Documents != 400 {
			t.Errorf("got %+v, want a sample of 400 documents", e)
		}
		near := func(what string, got int64, want int) {
			if f := float64(got) / float64(want); f < 0.95 || f > 1.05 {
				t.Errorf("estimated %d %s, want about %d", got, what, want)
			}
		}
		near("passages", e.Passages, len(all))
		near("tokens", e.Tokens, tokens)
	})
}

// An estimate from a part of one very long original is extrapolated to all of it.
func TestEstimateOfOneLongOriginalSamples(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		service, o := newService(t, "default")
		o.readTime = time.Second
		text := sampleDocument("long", 1000)
		o.addDocument(text)
		got, err := service.Estimate(t.Context(), document.ReindexRequest{Collection: "default", Tokens: newChunking.Tokens})
		if err != nil {
			t.Fatal(err)
		}
		want := float64(len(passageTokens(t, newChunking, text)))
		if f := float64(got[0].Passages) / want; !got[0].Sampled || f < 0.9 || f > 1.1 {
			t.Errorf("got %+v, want a sample with about %v passages", got[0], want)
		}
	})
}

func TestEstimateWhileObjectStorageIsDown(t *testing.T) {
	t.Parallel()
	service, o := newService(t, "default")
	o.addDocument("text")
	service.Objects = downObjects{}
	_, err := service.Estimate(t.Context(), document.ReindexRequest{Collection: "default", Tokens: newChunking.Tokens})
	if !fault.Is(err, fault.Unavailable) {
		t.Errorf("got error %v, want %s", err, fault.Unavailable)
	}
}

type downObjects struct{}

func (downObjects) Open(context.Context, string) (io.ReadSeekCloser, error) {
	return nil, fault.New(fault.Unavailable, "object storage is down")
}
