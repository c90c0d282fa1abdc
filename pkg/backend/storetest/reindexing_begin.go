package storetest

import (
	"context"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"github.com/seed-7a112592/gristmill/pkg/document"
	"github.com/seed-7a112592/gristmill/pkg/fault"
)

func beginsReindexes(t *testing.T, ctx context.Context, s Store) {
	c := ensure(t, ctx, s, "begin")
	one := publishTexts(t, ctx, s, c, "one", "one")
	overlap := 40
	for name, test := range map[string]struct {
		request document.ReindexRequest
		want    document.Reindex
	}{
		"nothing": {
			document.ReindexRequest{Force: true, KeyPrefix: "o", Documents: []uuid.UUID{one.Document}},
			document.Reindex{Change: document.ChangeNothing, Model: "test-model", Dimensions: 3, Tokens: 400,
				Force: true, KeyPrefix: "o", Documents: []uuid.UUID{one.Document}},
		},
		"nothing, said at length": {
			document.ReindexRequest{Model: c.Space.Model, Tokens: 400, Overlap: new(int)},
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
		want.State, want.Stage, want.Progress = document.Queued, got.Stage, got.Progress
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
		space := document.Space{ID: work.Space.ID, Collection: c.ID, Model: document.Model{Name: want.Model, Dimensions: want.Dimensions},
			Chunking: document.Chunking{Tokens: want.Tokens, Overlap: want.Overlap}}
		if diff := cmp.Diff(space, work.Space); diff != "" || (work.Space.ID == c.Space.ID) != (want.Change == document.ChangeNothing) {
			t.Errorf("%s: space, the live one being %d (-want +got):\n%s", name, c.Space.ID, diff)
		}
		if diff := cmp.Diff(c.Space, live(t, ctx, s, c).Space); diff != "" {
			t.Errorf("%s: collection (-before +after):\n%s", name, diff)
		}
		cancelReindex(t, ctx, s, got.ID, 0)
	}
}

// wantTaken checks that a second reindex is refused, and told of the first.
func wantTaken(t *testing.T, ctx context.Context, s Store, when string, request document.ReindexRequest, by uuid.UUID) {
	t.Helper()
	_, err := s.BeginReindex(ctx, request)
	if !fault.Is(err, fault.Conflict) || !strings.Contains(err.Error(), by.String()) {
		t.Errorf("%s: a second reindex: got error %v, want one of kind conflict that names %s", when, err, by)
	}
}

func beginsOneReindexAtATime(t *testing.T, ctx context.Context, s Store) {
	c := ensure(t, ctx, s, "begin second")
	id := beginReindex(t, ctx, s, anotherModel(c)).ID
	wantTaken(t, ctx, s, "queued", anotherModel(c), id)
	wantTaken(t, ctx, s, "queued", document.ReindexRequest{Collection: c.Name}, id)
	work := claimReindex(t, ctx, s, id)
	wantTaken(t, ctx, s, "running", anotherModel(c), id)
	settle(t, ctx, s, work, document.Outcome{Verdict: document.VerdictWait, Error: "down", Delay: leaseTime})
	wantTaken(t, ctx, s, "waiting", anotherModel(c), id)
	steerReindex(t, ctx, s, s.PauseReindex, id)
	wantTaken(t, ctx, s, "paused", anotherModel(c), id)

	beginReindex(t, ctx, s, anotherModel(ensure(t, ctx, s, "begin second elsewhere")))
	cancelReindex(t, ctx, s, id, leaseTime)
	settle(t, ctx, s, startReindex(t, ctx, s, anotherModel(c)), document.Outcome{Verdict: document.VerdictFail, Error: "broken"})
	beginReindex(t, ctx, s, document.ReindexRequest{Collection: c.Name})
}

func beginsOneReindexAtOnce(t *testing.T, ctx context.Context, s Store) {
	c := ensure(t, ctx, s, "begin at once")
	begun := make(chan document.Reindex, 8)
	together(t, cap(begun), func(int) error {
		r, err := s.BeginReindex(ctx, anotherModel(c))
		if fault.Is(err, fault.Conflict) {
			return nil
		}
		begun <- r
		return err
	})
	if len(begun) != 1 {
		t.Fatalf("%d of %d were begun, want 1", len(begun), cap(begun))
	}
	wantTaken(t, ctx, s, "afterwards", anotherModel(c), (<-begun).ID)
}

func beginsNothingUnknown(t *testing.T, ctx context.Context, s Store) {
	c := ensure(t, ctx, s, "begin nowhere")
	kept := publishTexts(t, ctx, s, c, "kept", "one")
	deleted := publishTexts(t, ctx, s, c, "deleted", "one")
	if err := s.DeleteDocument(ctx, deleted.Document); err != nil {
		t.Fatal(err)
	}
	elsewhere := publishTexts(t, ctx, s, ensure(t, ctx, s, "begin elsewhere"), "elsewhere", "one")
	for name, request := range map[string]document.ReindexRequest{
		"collection":                      {Collection: "never made"},
		"document":                        {Collection: c.Name, Documents: []uuid.UUID{kept.Document, uuid.New()}},
		"deleted document":                {Collection: c.Name, Documents: []uuid.UUID{deleted.Document}},
		"document of another collection ": {Collection: c.Name, Documents: []uuid.UUID{elsewhere.Document, kept.Document}},
	} {
		if _, err := s.BeginReindex(ctx, request); !fault.Is(err, fault.NotFound) {
			t.Errorf("%s: got error %v, want one of kind not_found", name, err)
		}
	}
	wantReindexes(t, ctx, s, document.ReindexFilter{Collection: c.Name})
}

// What a cancelled reindex has bought is not bought again.
func adoptsTheSpaceOfACancelledReindex(t *testing.T, ctx context.Context, s Store) {
	c := ensure(t, ctx, s, "begin after cancel")
	whole := publishTexts(t, ctx, s, c, "whole", "one", "two")
	half := publishTexts(t, ctx, s, c, "half", "three", "four")
	publishTexts(t, ctx, s, c, "changed", "five")
	first := startReindex(t, ctx, s, anotherModel(c))
	place(t, ctx, s, first, wholeOf(whole, passagesIn(first.Space, "one", "two")...))
	place(t, ctx, s, first, document.Rebuilt{New: passagesIn(first.Space, "three")})
	place(t, ctx, s, first, wholeOf(unplaced(t, ctx, s, first)[1], passagesIn(first.Space, "five")...))
	cancelReindex(t, ctx, s, first.Job, leaseTime)
	changed := publishTexts(t, ctx, s, c, "changed", "six")

	second := startReindex(t, ctx, s, anotherModel(c))
	if diff := cmp.Diff(first.Space, second.Space); diff != "" {
		t.Errorf("space (-first +second):\n%s", diff)
	}
	wantUnplaced(t, ctx, s, "adopted", second, half, changed)
	wantKnown(t, ctx, s, second.Space, hashesOf(passagesIn(second.Space, "two", "three", "four")...), passagesIn(second.Space, "two", "three")...)
	if rebuild := rebuildOf(t, ctx, s, second); rebuild.Reached != uuid.Nil || rebuild.Reindex.Progress.Documents != 2 {
		t.Errorf("rebuild: got %+v, want 2 documents to be done, from the first on", rebuild)
	}
	wantAlso(t, ctx, s, "adopted", c, second.Space)
	fill(t, ctx, s, second)
	finish(t, ctx, s, second, leaseTime)
	wantFound(t, ctx, s, "switched", c, "four", "one", "six", "three", "two")
}

func adoptsTheSpaceThatWasLeft(t *testing.T, ctx context.Context, s Store) {
	c := ensure(t, ctx, s, "begin back")
	publishTexts(t, ctx, s, c, "a", "one", "two")
	away := change(t, ctx, s, anotherModel(c), leaseTime)
	next := live(t, ctx, s, c)

	back := startReindex(t, ctx, s, document.ReindexRequest{Collection: c.Name, Model: c.Space.Model})
	if diff := cmp.Diff(c.Space, back.Space); diff != "" {
		t.Errorf("space (-first +adopted):\n%s", diff)
	}
	wantUnplaced(t, ctx, s, "back", back)
	wantAlso(t, ctx, s, "back", c, c.Space)
	finish(t, ctx, s, back, leaseTime)
	if diff := cmp.Diff(c.Space, live(t, ctx, s, c).Space); diff != "" {
		t.Errorf("collection (-first +back):\n%s", diff)
	}
	wantAlso(t, ctx, s, "once it is back", c, next.Space)
	_, err := s.RevertReindex(ctx, away.ID, leaseTime)
	wantFault(t, err, fault.Conflict)
	wantFound(t, ctx, s, "back", c, "one", "two")
}

func makesASpaceForAnotherTarget(t *testing.T, ctx context.Context, s Store) {
	c := ensure(t, ctx, s, "begin another")
	a := publishTexts(t, ctx, s, c, "a", "one")
	first := startReindex(t, ctx, s, anotherModel(c))
	fill(t, ctx, s, first)
	cancelReindex(t, ctx, s, first.Job, leaseTime)
	request := anotherModel(c)
	request.Tokens = 100
	second := startReindex(t, ctx, s, request)
	if second.Space.ID == first.Space.ID || second.Space.ID == c.Space.ID {
		t.Errorf("got space %d, want neither %d nor the live %d", second.Space.ID, first.Space.ID, c.Space.ID)
	}
	wantUnplaced(t, ctx, s, "another chunking", second, a)
	wantAlso(t, ctx, s, "another chunking", c, second.Space)
}

func writesUploadsToWhatIsBuilt(t *testing.T, ctx context.Context, s Store) {
	c := ensure(t, ctx, s, "begin uploads")
	wantAlso(t, ctx, s, "at first", c)
	r := beginReindex(t, ctx, s, document.ReindexRequest{Collection: c.Name})
	wantAlso(t, ctx, s, "nothing is changed", c)
	cancelReindex(t, ctx, s, r.ID, leaseTime)
	r = beginReindex(t, ctx, s, anotherModel(c))
	elsewhere := ensure(t, ctx, s, "begin uploads elsewhere")
	wantAlso(t, ctx, s, "another collection is changed", elsewhere)

	built := alsoWritten(t, ctx, s, c) // at once, before anybody has claimed it
	if len(built) != 1 || built[0].ID != claimReindex(t, ctx, s, r.ID).Space.ID {
		t.Errorf("the model is changed: got %+v, want the space that is built", built)
	}
	work := claim(t, ctx, s, accept(t, ctx, s, uploadOf(c, "a")).Job, document.Knowledge)
	if diff := cmp.Diff(c.Space, work.Space); diff != "" {
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
	one, two := ensure(t, ctx, s, "list one"), ensure(t, ctx, s, "list two")
	a := cancelReindex(t, ctx, s, beginReindex(t, ctx, s, anotherModel(one)).ID, leaseTime)
	other := beginReindex(t, ctx, s, document.ReindexRequest{Collection: two.Name, Force: true, KeyPrefix: "a/"})
	b := change(t, ctx, s, anotherModel(one), leaseTime)
	c := beginReindex(t, ctx, s, document.ReindexRequest{Collection: one.Name})

	in := document.ReindexFilter{Collection: one.Name}
	wantReindexes(t, ctx, s, in, c, b, a)
	wantReindexes(t, ctx, s, document.ReindexFilter{Collection: two.Name}, other)
	wantReindexes(t, ctx, s, document.ReindexFilter{Collection: "never made"})
	for state, want := range map[document.JobState][]document.Reindex{
		document.Queued: {c}, document.Succeeded: {b}, document.Cancelled: {a}, document.Paused: {},
	} {
		in.State = state
		wantReindexes(t, ctx, s, in, want...)
	}
	list, err := s.Reindexes(ctx, document.ReindexFilter{State: document.Queued}, document.Page{Limit: 1})
	if err != nil || len(list.Items) != 1 {
		t.Errorf("of every collection: got %+v, %v", list, err)
	}
}
