package storetest

import (
	"context"
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"github.com/seed-7a112592/gristmill/internal/lifecycle"
	"github.com/seed-7a112592/gristmill/internal/vector"
	"github.com/seed-7a112592/gristmill/pkg/document"
)

// stateChanges is the number of random states that each check saves, one after another.
const stateChanges = 200

// UpdateJob is the function with which a store loads a job, calls event with it, and saves what event
// returns.
type UpdateJob func(ctx context.Context, id uuid.UUID, event func(lifecycle.Job, time.Time) (lifecycle.Job, error)) (document.Job, error)

// UpdateReindex is UpdateJob for a reindex.
type UpdateReindex func(ctx context.Context, id uuid.UUID, event func(lifecycle.Reindex, time.Time) (lifecycle.Reindex, error)) (document.Reindex, error)

// CheckJobStates checks that a store saves and loads every field of [lifecycle.Job] that decisions
// change: it saves random states, and compares each with what the store loads afterwards.
func CheckJobStates(t *testing.T, ctx context.Context, s Store, update UpdateJob) {
	c := ensureCollection(t, ctx, s, "states of jobs")
	for range 2 {
		acceptUpload(t, ctx, s, uploadOf(c, "a"))
	}
	job := acceptUpload(t, ctx, s, uploadOf(c, "a")).Job
	random := randomValues{rand.New(rand.NewPCG(1, 2))}
	var want lifecycle.Job
	for i := range stateChanges {
		_, err := update(ctx, job.ID, func(was lifecycle.Job, _ time.Time) (lifecycle.Job, error) {
			if i == 0 { // as AcceptUpload has written it
				want = was
				if was.ID != job.ID || was.Version != 3 || was.Document.ID != job.DocumentID || was.Document.Newest != 3 || was.Document.Deleted ||
					was.State != document.JobQueued || was.Knowledge.State != document.JobQueued || was.Knowledge.Kind != "knowledge" || was.Summary.Kind != "summary" {
					t.Errorf("the new job is loaded as %+v", was)
				}
			}
			if diff := cmp.Diff(want, was); diff != "" {
				return was, fmt.Errorf("it is loaded otherwise (-saved +loaded):\n%s", diff)
			}
			want = random.job(was)
			return want, nil
		})
		if err != nil {
			t.Fatalf("job, state %d: %v", i, err)
		}
	}
	if err := s.DeleteDocument(ctx, job.DocumentID); err != nil {
		t.Fatal(err)
	}
	if _, err := update(ctx, job.ID, func(was lifecycle.Job, _ time.Time) (lifecycle.Job, error) {
		if !was.Document.Deleted || !was.State.Ended() {
			t.Errorf("the job of a deleted document is loaded as %+v", was)
		}
		return was, nil
	}); err != nil {
		t.Fatal(err)
	}
}

// CheckReindexStates is CheckJobStates for [lifecycle.Reindex] and the spaces of its collection.
// unsaved sets the fields that the store does not save to their zero values; nil means that it saves
// them all.
func CheckReindexStates(t *testing.T, ctx context.Context, s Store, update UpdateReindex, unsaved func(*lifecycle.Reindex)) {
	c := ensureCollection(t, ctx, s, "states of reindexes")
	random := randomValues{rand.New(rand.NewPCG(3, 4))}
	overlap := 40
	for _, request := range []document.ReindexRequest{
		{Collection: c.Name, Model: document.Model{Name: "other", Dimensions: 2}, Tokens: 300, Overlap: &overlap},
		{Collection: c.Name, Force: true},
	} {
		id := beginReindex(t, ctx, s, request).ID
		var want lifecycle.Reindex
		for i := range stateChanges {
			_, err := update(ctx, id, func(was lifecycle.Reindex, now time.Time) (lifecycle.Reindex, error) {
				if i == 0 {
					want = begunAs(t, was, request, now)
				} else {
					identify(&want, was)
				}
				if diff := cmp.Diff(want, was); diff != "" {
					return was, fmt.Errorf("it is loaded otherwise (-saved +loaded):\n%s", diff)
				}
				want = random.reindex(was)
				if unsaved != nil {
					unsaved(&want)
				}
				if i == stateChanges-1 {
					want.State = document.JobCancelled // so that another reindex can begin
				}
				return want, nil
			})
			if err != nil {
				t.Fatalf("reindex that changes %s, state %d: %v", want.Change, i, err)
			}
		}
	}
}

// begunAs returns the state in which a reindex must be that has just begun. It is what the decision
// makes of the loaded collection, whose new space exists by now.
func begunAs(t *testing.T, loaded lifecycle.Reindex, request document.ReindexRequest, now time.Time) lifecycle.Reindex {
	t.Helper()
	c := loaded.Collection
	c.Reindex = lifecycle.ActiveReindex{}
	r, err := c.Begin(loaded.ID, request, now)
	if err != nil {
		t.Fatal(err)
	}
	r.Collection.Spaces = slices.Clone(loaded.Collection.Spaces)
	r.Collection.Reindex = lifecycle.ActiveReindex{ID: r.ID, State: r.State}
	return r
}

// identify completes a state that was saved with what the store derives: the id of a new space, and
// the active reindex.
func identify(want *lifecycle.Reindex, loaded lifecycle.Reindex) {
	want.Collection.Reindex = lifecycle.ActiveReindex{ID: want.ID, State: want.State}
	if want.State.Ended() {
		want.Collection.Reindex = lifecycle.ActiveReindex{}
	}
	for i := range want.Collection.Spaces {
		space := &want.Collection.Spaces[i]
		space.RetryLeftOut = false
		if space.ID != 0 || len(loaded.Collection.Spaces) <= i {
			continue
		}
		space.ID = loaded.Collection.Spaces[i].ID
		for _, id := range []*int64{&want.To, &want.Collection.Active} {
			if *id == 0 {
				*id = space.ID
			}
		}
	}
}

// randomValues makes random states.
type randomValues struct{ *rand.Rand }

// job returns a random next state of a job. Fields that no decision changes stay.
func (r randomValues) job(was lifecycle.Job) lifecycle.Job {
	is := was
	r.fill(reflect.ValueOf(&is).Elem())
	is.ID, is.Version = was.ID, was.Version
	is.Knowledge.Kind, is.Summary.Kind, is.Knowledge.SummaryRequested = was.Knowledge.Kind, was.Summary.Kind, false
	is.Document.ID, is.Document.Newest, is.Document.Deleted = was.Document.ID, was.Document.Newest, was.Document.Deleted
	is.Document.Published = r.IntN(was.Document.Newest + 1)
	return is
}

// reindex returns a random next state of a reindex and of the spaces of its collection, of which there
// may be one more. Fields that no decision changes stay.
func (r randomValues) reindex(was lifecycle.Reindex) lifecycle.Reindex {
	is := was
	r.fill(reflect.ValueOf(&is).Elem())
	is.Kind, is.SummaryRequested = was.Kind, false
	is.ID, is.Change, is.Force, is.Wanted = was.ID, was.Change, was.Force, was.Wanted
	if r.IntN(8) == 0 {
		is.State = document.JobPaused
	}
	is.Collection = was.Collection
	is.Collection.Spaces = slices.Clone(was.Collection.Spaces)
	for i := range is.Collection.Spaces {
		space := &is.Collection.Spaces[i]
		r.fill(reflect.ValueOf(&space.Written).Elem())
		r.fill(reflect.ValueOf(&space.DropAfter).Elem())
		r.fill(reflect.ValueOf(&space.RetryLeftOut).Elem())
	}
	if len(is.Collection.Spaces) < 8 && r.IntN(10) == 0 {
		is.Collection.Spaces = append(is.Collection.Spaces, lifecycle.Space{Written: true, Space: vector.Space{
			CollectionID: was.Collection.ID, Model: document.Model{Name: r.text(), Dimensions: 1 + r.IntN(9)}, Chunking: document.Chunking{Tokens: r.IntN(500), Overlap: r.IntN(50)}}})
	}
	for _, id := range []*int64{&is.From, &is.To, &is.Collection.Active} {
		*id = is.Collection.Spaces[r.IntN(len(is.Collection.Spaces))].ID
	}
	if is.From == 0 { // a reindex never begins from a space that it adds
		is.From = was.Collection.Active
	}
	return is
}

func (r randomValues) text() string { return "é\n" + strconv.Itoa(r.IntN(1000)) }

// fill sets a field, and all fields of a struct, to random values. One field in three stays, so that
// a state is also saved in parts.
func (r randomValues) fill(v reflect.Value) {
	if _, isTime := v.Interface().(time.Time); v.Kind() == reflect.Struct && !isTime {
		for i := range v.NumField() {
			r.fill(v.Field(i))
		}
		return
	}
	if r.IntN(3) == 0 {
		return
	}
	switch p := v.Addr().Interface().(type) {
	case *document.JobState:
		*p = document.JobStates[r.IntN(len(document.JobStates))]
	case *document.DocumentState:
		*p = []document.DocumentState{document.DocumentPending, document.DocumentReady, document.DocumentFailed}[r.IntN(3)]
	case *document.ReindexStage:
		*p = []document.ReindexStage{document.StageDocuments, document.StageIndex, document.StageVerify, document.StageDone, document.StageReverting, document.StageReverted}[r.IntN(6)]
	case *time.Time:
		*p = time.Time{}
		if r.IntN(4) > 0 {
			*p = time.UnixMicro(1_900_000_000_000_000 + r.Int64N(1_000_000_000_000)).UTC()
		}
	case *uuid.UUID:
		*p = uuid.Nil
		if r.IntN(4) > 0 {
			*p = uuid.UUID{0: byte(r.IntN(256)), 15: byte(1 + r.IntN(255))}
		}
	case *[]document.LeftOut:
		*p = nil
		for range r.IntN(3) {
			*p = append(*p, document.LeftOut{DocumentID: uuid.UUID{byte(r.IntN(256))}, Key: r.text(), Error: r.text()})
		}
	case *[]lifecycle.Space: // reindex fills these
	default:
		r.fillBasic(v)
	}
}

func (r randomValues) fillBasic(v reflect.Value) {
	switch v.Kind() {
	case reflect.Int, reflect.Int64:
		v.SetInt(int64(r.IntN(1000)))
	case reflect.String:
		v.SetString(r.text())
	case reflect.Bool:
		v.SetBool(r.IntN(2) == 0)
	case reflect.Float64:
		v.SetFloat(float64(r.IntN(1000)) / 4)
	default:
		panic("no random values of type " + v.Type().String())
	}
}
