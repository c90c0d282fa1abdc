package storetest

import (
	"context"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"github.com/seed-7a112592/gristmill/internal/fault"
	"github.com/seed-7a112592/gristmill/internal/rebuild"
	"github.com/seed-7a112592/gristmill/internal/task"
	"github.com/seed-7a112592/gristmill/internal/vector"
	"github.com/seed-7a112592/gristmill/pkg/document"
)

func beginsReindexes(t *testing.T, ctx context.Context, s Store) {
	c := ensureCollection(t, ctx, s, "begin")
	one := publishTexts(t, ctx, s, c, "one", "one")
	overlap := 40
	for name, test := range map[string]struct {
		request document.ReindexRequest
		want    document.Reindex
	}{
		"nothing": {
			document.ReindexRequest{Force: true, KeyPrefix: "o", DocumentIDs: []uuid.UUID{one.DocumentID}},
			document.Reindex{Change: document.ChangeNothing, Model: "test-model", Dimensions: 3, Tokens: 400,
				Force: true, KeyPrefix: "o", DocumentIDs: []uuid.UUID{one.DocumentID}},
		},
		"nothing, said at length": {
			document.ReindexRequest{Model: c.ActiveSpace.Model, Tokens: 400, Overlap: new(int)},
			document.Reindex{Change: document.ChangeNothing, Model: "test-model", Dimensions: 3, Tokens: 400},
		},
		"model": {
			document.ReindexRequest{Model: document.Model{Name: "another", Dimensions: 3}},
			document.Reindex{Change: document.ChangeModel, Model: "another", Dimensions: 3, Tokens: 400},
		},
		"dimensions": {
			document.ReindexRequest{Model: document.Model{Dimensions: 2}},
			document.Reindex{Change: document.ChangeModel, Model: "test-model", Dimensions: 2, Tokens: 400},
		},
		"chunking": {
			document.ReindexRequest{Tokens: 100, Overlap: &overlap},
			document.Reindex{Change: document.ChangeChunking, Model: "test-model", Dimensions: 3, Tokens: 100, Overlap: 40},
		},
		"both": {
			document.ReindexRequest{Model: document.Model{Name: "another", Dimensions: 2}, Overlap: &overlap},
			document.Reindex{Change: document.ChangeChunking, Model: "another", Dimensions: 2, Tokens: 400, Overlap: 40},
		},
	} {
		test.request.Collection = c.Name
		got := beginReindex(t, ctx, s, test.request)
		want := test.want
		want.ID, want.Collection, want.CreatedAt = got.ID, c.Name, got.CreatedAt
		want.State, want.Stage, want.Progress = document.JobQueued, got.Stage, got.Progress
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: reindex (-want +got):\n%s", name, diff)
		}
		if got.Stage != document.StageDocuments || got.ID.Version() != 7 || got.CreatedAt.Location().String() != "UTC" {
			t.Errorf("%s: got stage %q, id %s, created at %v", name, got.Stage, got.ID, got.CreatedAt)
		}
		if diff := cmp.Diff(got, readReindex(t, ctx, s, got.ID)); diff != "" {
			t.Errorf("%s: reindex (-begun +read):\n%s", name, diff)
		}
		work := claimReindex(t, ctx, s, got.ID)
		space := vector.Space{ID: work.Space.ID, CollectionID: c.ID, Model: document.Model{Name: want.Model, Dimensions: want.Dimensions},
			Chunking: document.Chunking{Tokens: want.Tokens, Overlap: want.Overlap}}
		if diff := cmp.Diff(space, work.Space); diff != "" || (work.Space.ID == c.ActiveSpace.ID) != (want.Change == document.ChangeNothing) {
			t.Errorf("%s: space, the live one being %d (-want +got):\n%s", name, c.ActiveSpace.ID, diff)
		}
		if diff := cmp.Diff(c.ActiveSpace, readCollection(t, ctx, s, c).ActiveSpace); diff != "" {
			t.Errorf("%s: collection (-before +after):\n%s", name, diff)
		}
		cancelReindex(t, ctx, s, got.ID, 0)
	}
}

// wantReindexActive checks that a second reindex is refused, and told of the first.
func wantReindexActive(t *testing.T, ctx context.Context, s Store, when string, request document.ReindexRequest, by uuid.UUID) {
	t.Helper()
	_, err := s.BeginReindex(ctx, request)
	if !fault.Is(err, fault.Conflict) || !strings.Contains(err.Error(), by.String()) {
		t.Errorf("%s: a second reindex: got error %v, want one of kind conflict that names %s", when, err, by)
	}
}

func beginsOneReindexAtATime(t *testing.T, ctx context.Context, s Store) {
	c := ensureCollection(t, ctx, s, "begin second")
	id := beginReindex(t, ctx, s, changeModelRequest(c)).ID
	wantReindexActive(t, ctx, s, "queued", changeModelRequest(c), id)
	wantReindexActive(t, ctx, s, "queued", document.ReindexRequest{Collection: c.Name}, id)
	work := claimReindex(t, ctx, s, id)
	wantReindexActive(t, ctx, s, "running", changeModelRequest(c), id)
	recordOutcome(t, ctx, s, work, task.Outcome{Verdict: task.VerdictWait, Error: "down", Delay: leaseTime})
	wantReindexActive(t, ctx, s, "waiting", changeModelRequest(c), id)
	controlReindex(t, ctx, s, s.PauseReindex, id)
	wantReindexActive(t, ctx, s, "paused", changeModelRequest(c), id)

	beginReindex(t, ctx, s, changeModelRequest(ensureCollection(t, ctx, s, "begin second elsewhere")))
	cancelReindex(t, ctx, s, id, leaseTime)
	recordOutcome(t, ctx, s, startReindex(t, ctx, s, changeModelRequest(c)), task.Outcome{Verdict: task.VerdictFail, Error: "broken"})
	beginReindex(t, ctx, s, document.ReindexRequest{Collection: c.Name})
}

func beginsOneReindexAtOnce(t *testing.T, ctx context.Context, s Store) {
	c := ensureCollection(t, ctx, s, "begin at once")
	begun := make(chan document.Reindex, 8)
	concurrently(t, cap(begun), func(int) error {
		r, err := s.BeginReindex(ctx, changeModelRequest(c))
		if fault.Is(err, fault.Conflict) {
			return nil
		}
		begun <- r
		return err
	})
	if len(begun) != 1 {
		t.Fatalf("%d of %d were begun, want 1", len(begun), cap(begun))
	}
	wantReindexActive(t, ctx, s, "afterwards", changeModelRequest(c), (<-begun).ID)
}

func beginsNothingUnknown(t *testing.T, ctx context.Context, s Store) {
	c := ensureCollection(t, ctx, s, "begin nowhere")
	kept := publishTexts(t, ctx, s, c, "kept", "one")
	deleted := publishTexts(t, ctx, s, c, "deleted", "one")
	if err := s.DeleteDocument(ctx, deleted.DocumentID); err != nil {
		t.Fatal(err)
	}
	elsewhere := publishTexts(t, ctx, s, ensureCollection(t, ctx, s, "begin elsewhere"), "elsewhere", "one")
	for name, request := range map[string]document.ReindexRequest{
		"collection":                      {Collection: "never made"},
		"document":                        {Collection: c.Name, DocumentIDs: []uuid.UUID{kept.DocumentID, uuid.New()}},
		"deleted document":                {Collection: c.Name, DocumentIDs: []uuid.UUID{deleted.DocumentID}},
		"document of another collection ": {Collection: c.Name, DocumentIDs: []uuid.UUID{elsewhere.DocumentID, kept.DocumentID}},
	} {
		if _, err := s.BeginReindex(ctx, request); !fault.Is(err, fault.NotFound) {
			t.Errorf("%s: got error %v, want one of kind not_found", name, err)
		}
	}
	wantReindexes(t, ctx, s, document.ReindexFilter{Collection: c.Name})
}

// What a cancelled reindex has bought is not bought again.
func reusesTheSpaceOfACancelledReindex(t *testing.T, ctx context.Context, s Store) {
	c := ensureCollection(t, ctx, s, "begin after cancel")
	whole := publishTexts(t, ctx, s, c, "whole", "one", "two")
	half := publishTexts(t, ctx, s, c, "half", "three", "four")
	publishTexts(t, ctx, s, c, "changed", "five")
	first := startReindex(t, ctx, s, changeModelRequest(c))
	writeToSpace(t, ctx, s, first, spaceWriteOf(whole, passagesIn(first.Space, "one", "two")...))
	writeToSpace(t, ctx, s, first, rebuild.SpaceWrite{New: passagesIn(first.Space, "three")})
	writeToSpace(t, ctx, s, first, spaceWriteOf(missingVersions(t, ctx, s, first)[1], passagesIn(first.Space, "five")...))
	cancelReindex(t, ctx, s, first.JobID, leaseTime)
	changed := publishTexts(t, ctx, s, c, "changed", "six")

	second := startReindex(t, ctx, s, changeModelRequest(c))
	if diff := cmp.Diff(first.Space, second.Space); diff != "" {
		t.Errorf("space (-first +second):\n%s", diff)
	}
	wantMissing(t, ctx, s, "adopted", second, half, changed)
	wantKnown(t, ctx, s, second.Space, hashesOf(passagesIn(second.Space, "two", "three", "four")...), passagesIn(second.Space, "two", "three")...)
	if rebuild := planRebuild(t, ctx, s, second); rebuild.Checkpoint != uuid.Nil || rebuild.Reindex.Progress.Documents != 2 {
		t.Errorf("rebuild: got %+v, want 2 documents to be done, from the first on", rebuild)
	}
	wantOtherSpaces(t, ctx, s, "adopted", c, second.Space)
	writeMissing(t, ctx, s, second)
	activateSpace(t, ctx, s, second, leaseTime)
	wantHits(t, ctx, s, "switched", c, "four", "one", "six", "three", "two")
}

func reusesARetiredSpace(t *testing.T, ctx context.Context, s Store) {
	c := ensureCollection(t, ctx, s, "begin back")
	publishTexts(t, ctx, s, c, "a", "one", "two")
	away := runReindex(t, ctx, s, changeModelRequest(c), leaseTime)
	next := readCollection(t, ctx, s, c)

	back := startReindex(t, ctx, s, document.ReindexRequest{Collection: c.Name, Model: c.ActiveSpace.Model})
	if diff := cmp.Diff(c.ActiveSpace, back.Space); diff != "" {
		t.Errorf("space (-first +adopted):\n%s", diff)
	}
	wantMissing(t, ctx, s, "back", back)
	wantOtherSpaces(t, ctx, s, "back", c, c.ActiveSpace)
	activateSpace(t, ctx, s, back, leaseTime)
	if diff := cmp.Diff(c.ActiveSpace, readCollection(t, ctx, s, c).ActiveSpace); diff != "" {
		t.Errorf("collection (-first +back):\n%s", diff)
	}
	wantOtherSpaces(t, ctx, s, "once it is back", c, next.ActiveSpace)
	_, err := s.RevertReindex(ctx, away.ID, leaseTime)
	wantFault(t, err, fault.Conflict)
	wantHits(t, ctx, s, "back", c, "one", "two")
}

func makesASpaceForAnotherTarget(t *testing.T, ctx context.Context, s Store) {
	c := ensureCollection(t, ctx, s, "begin another")
	a := publishTexts(t, ctx, s, c, "a", "one")
	first := startReindex(t, ctx, s, changeModelRequest(c))
	writeMissing(t, ctx, s, first)
	cancelReindex(t, ctx, s, first.JobID, leaseTime)
	request := changeModelRequest(c)
	request.Tokens = 100
	second := startReindex(t, ctx, s, request)
	if second.Space.ID == first.Space.ID || second.Space.ID == c.ActiveSpace.ID {
		t.Errorf("got space %d, want neither %d nor the live %d", second.Space.ID, first.Space.ID, c.ActiveSpace.ID)
	}
	wantMissing(t, ctx, s, "another chunking", second, a)
	wantOtherSpaces(t, ctx, s, "another chunking", c, second.Space)
}

func writesUploadsToWhatIsBuilt(t *testing.T, ctx context.Context, s Store) {
	c := ensureCollection(t, ctx, s, "begin uploads")
	wantOtherSpaces(t, ctx, s, "at first", c)
	r := beginReindex(t, ctx, s, document.ReindexRequest{Collection: c.Name})
	wantOtherSpaces(t, ctx, s, "nothing is changed", c)
	cancelReindex(t, ctx, s, r.ID, leaseTime)
	r = beginReindex(t, ctx, s, changeModelRequest(c))
	elsewhere := ensureCollection(t, ctx, s, "begin uploads elsewhere")
	wantOtherSpaces(t, ctx, s, "another collection is changed", elsewhere)

	built := otherSpaces(t, ctx, s, c) // at once, before anybody has claimed it
	if len(built) != 1 || built[0].ID != claimReindex(t, ctx, s, r.ID).Space.ID {
		t.Errorf("the model is changed: got %+v, want the space that is built", built)
	}
	work := claimTask(t, ctx, s, acceptUpload(t, ctx, s, uploadOf(c, "a")).Job, task.KindKnowledge)
	if diff := cmp.Diff(c.ActiveSpace, work.Space); diff != "" {
		t.Errorf("space of an upload (-live +got):\n%s", diff)
	}
}

func wantReindexes(t *testing.T, ctx context.Context, s Store, filter document.ReindexFilter, want ...document.Reindex) {
	t.Helper()
	for limit := 1; limit <= 4; limit++ {
		got := listAll(t, limit, func(page document.Page) (document.List[document.Reindex], error) {
			return s.Reindexes(ctx, filter, page)
		})
		if diff := cmp.Diff(append([]document.Reindex{}, want...), got); diff != "" {
			t.Errorf("%+v, limit %d: reindexes (-want +got):\n%s", filter, limit, diff)
		}
	}
}

func listsReindexesNewestFirst(t *testing.T, ctx context.Context, s Store) {
	one, two := ensureCollection(t, ctx, s, "list one"), ensureCollection(t, ctx, s, "list two")
	a := cancelReindex(t, ctx, s, beginReindex(t, ctx, s, changeModelRequest(one)).ID, leaseTime)
	other := beginReindex(t, ctx, s, document.ReindexRequest{Collection: two.Name, Force: true, KeyPrefix: "a/"})
	b := runReindex(t, ctx, s, changeModelRequest(one), leaseTime)
	c := beginReindex(t, ctx, s, document.ReindexRequest{Collection: one.Name})

	in := document.ReindexFilter{Collection: one.Name}
	wantReindexes(t, ctx, s, in, c, b, a)
	wantReindexes(t, ctx, s, document.ReindexFilter{Collection: two.Name}, other)
	wantReindexes(t, ctx, s, document.ReindexFilter{Collection: "never made"})
	for state, want := range map[document.JobState][]document.Reindex{
		document.JobQueued: {c}, document.JobSucceeded: {b}, document.JobCancelled: {a}, document.JobPaused: {},
	} {
		in.State = state
		wantReindexes(t, ctx, s, in, want...)
	}
	list, err := s.Reindexes(ctx, document.ReindexFilter{State: document.JobQueued}, document.Page{Limit: 1})
	if err != nil || len(list.Items) != 1 {
		t.Errorf("of every collection: got %+v, %v", list, err)
	}
}

// Vectors that are too long to be stored are refused before a space is made for them.
func refusesImpossibleDimensions(t *testing.T, ctx context.Context, s Store) {
	c := ensureCollection(t, ctx, s, "too long")
	for _, dimensions := range []int{-1, vector.MaxDimensions + 1} {
		model := document.Model{Name: "impossible", Dimensions: dimensions}
		_, err := s.EnsureCollection(ctx, "of impossible vectors", model, document.Chunking{Tokens: 400})
		wantFault(t, err, fault.BadRequest)
		_, err = s.Collection(ctx, "of impossible vectors")
		wantFault(t, err, fault.NotFound)
		request := document.ReindexRequest{Collection: c.Name, Model: model}
		_, err = s.EstimateReindex(ctx, request)
		wantFault(t, err, fault.BadRequest)
		_, err = s.BeginReindex(ctx, request)
		wantFault(t, err, fault.BadRequest)
	}
}
