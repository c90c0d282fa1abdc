package lifecycle

import (
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/seed-7a112592/gristmill/internal/fault"
	"github.com/seed-7a112592/gristmill/internal/task"
	"github.com/seed-7a112592/gristmill/internal/vector"
	"github.com/seed-7a112592/gristmill/pkg/document"
)

// reindexTest is one event on a reindex. want changes the reindex into the state that must follow;
// nil means that the reindex stays as it is.
type reindexTest struct {
	was  Reindex
	want func(*Reindex)
	kind fault.Kind
}

func runReindexTests(t *testing.T, event func(Reindex) (Reindex, error), tests map[string]reindexTest) {
	t.Helper()
	for name, test := range tests {
		want := test.was
		if test.want != nil {
			test.want(&want)
		}
		got, err := event(test.was)
		check(t, name, want, got, test.kind, err)
	}
}

// Changes of reindexIn, and of the states that must follow.
func reverting(r *Reindex)      { r.Stage = document.StageReverting }
func changesNothing(r *Reindex) { r.Change, r.To = document.ChangeNothing, 1 }
func active(space int64) func(*Reindex) {
	return func(r *Reindex) { r.Collection.Active = space }
}
func withSpace(id int64, changes ...func(*Space)) func(*Reindex) {
	return func(r *Reindex) {
		changeSpace(&r.Collection, id, func(s *Space) {
			for _, change := range changes {
				change(s)
			}
		})
	}
}
func withoutSpace2(r *Reindex) { r.Collection.Spaces = r.Collection.Spaces[:1] }
func otherReindex(r *Reindex)  { r.Collection.Reindex = ActiveReindex{other, document.JobWaiting} }
func inUse(s *Space)           { s.Written, s.DropAfter = true, time.Time{} }
func retry(s *Space)           { s.RetryLeftOut = true }

// all combines changes.
func all(changes ...func(*Reindex)) func(*Reindex) {
	return func(r *Reindex) {
		for _, change := range changes {
			change(r)
		}
	}
}

// endedReindex returns a change that ends the lease of a reindex, and the reindex if the state is
// final.
func endedReindex(state document.JobState, reason string) func(*Reindex) {
	return func(r *Reindex) {
		r.State, r.Error, r.Lease, r.LeaseUntil, r.NextAttemptAt = state, reason, uuid.Nil, time.Time{}, time.Time{}
		if state.Ended() {
			r.FinishedAt = now
		}
	}
}

func restartedReindex(r *Reindex) {
	restarted(&r.Task)
	r.FinishedAt = time.Time{}
}

func withoutProgress(r *Reindex) {
	r.Checkpoint, r.FailedJobs, r.Progress = uuid.Nil, 0, document.ReindexProgress{}
}

// withoutLeftOut is the progress of reindexIn without the documents that were left out.
func withoutLeftOut(r *Reindex) {
	r.Progress = document.ReindexProgress{Documents: 9, DocumentsDone: 3}
}

func TestBegin(t *testing.T) {
	t.Parallel()
	collection := Collection{ID: collectionID, Active: 1, Spaces: []Space{space(1, "old"), space(2, "new", unwritten, retired(later))}}
	overlap := 40
	like := func(s Space) vector.Space {
		w := s.Space
		w.ID = 0
		return w
	}
	began := func(change document.ReindexChange, to int64, wanted vector.Space, spaces ...Space) Reindex {
		c := collection
		c.Spaces = append([]Space{space(1, "old")}, spaces...)
		return Reindex{Task: Task{Kind: task.KindReindex, State: document.JobQueued}, ID: reindexID, Change: change, Wanted: wanted,
			Stage: document.StageDocuments, From: 1, To: to, Collection: c}
	}
	newer := space(0, "newer")
	chunked := space(0, "old", func(s *Space) { s.Chunking.Overlap = 40 })
	for name, test := range map[string]struct {
		request document.ReindexRequest
		change  func(*Collection)
		want    Reindex
		kind    fault.Kind
	}{
		"changes nothing": {document.ReindexRequest{}, nil, began("nothing", 1, like(space(1, "old")), collection.Spaces[1]), ""},
		"forced": {document.ReindexRequest{Force: true}, nil, func() Reindex {
			r := began("nothing", 1, like(space(1, "old")), collection.Spaces[1])
			r.Force = true
			return r
		}(), ""},
		"to a new space": {document.ReindexRequest{Model: newer.Model}, nil, began("model", 0, newer.Space, collection.Spaces[1], newer), ""},
		"to a retained space": {document.ReindexRequest{Model: space(2, "new").Model}, nil,
			began("model", 2, like(space(2, "new")), space(2, "new", retry)), ""},
		"changes the chunking": {document.ReindexRequest{Overlap: &overlap}, nil, began("chunking", 0, chunked.Space, collection.Spaces[1], chunked), ""},
		"another is active":    {document.ReindexRequest{}, func(c *Collection) { c.Reindex = ActiveReindex{other, "paused"} }, Reindex{}, fault.Conflict},
		"dimensions not known": {document.ReindexRequest{Model: document.Model{Name: "newer"}}, nil, Reindex{}, fault.BadRequest},
	} {
		c := collection
		if test.change != nil {
			test.change(&c)
		}
		got, err := c.Begin(reindexID, test.request, now)
		check(t, name, test.want, got, test.kind, err)
	}
}

func TestBuilds(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		r    Reindex
		want int64
	}{
		"a space":                   {reindexIn("running"), 2},
		"a space that is active":    {reindexIn("running", active(2)), 2},
		"changes nothing":           {reindexIn("running", changesNothing), 1},
		"changes nothing, switched": {reindexIn("running", changesNothing, active(2)), 2},
		"reverting":                 {reindexIn("running", active(2), reverting), 1},
		"done":                      {reindexIn("succeeded", active(2), func(r *Reindex) { r.Stage = document.StageDone }), 2},
		"reverted":                  {reindexIn("succeeded", func(r *Reindex) { r.Stage = document.StageReverted }), 2},
		"chunking":                  {reindexIn("running", func(r *Reindex) { r.Change = document.ChangeChunking }), 2},
		"chunking, reverting":       {reindexIn("running", func(r *Reindex) { r.Change = document.ChangeChunking }, reverting), 1},
	} {
		if got := test.r.Builds(); got != test.want {
			t.Errorf("%s: got space %d, want %d", name, got, test.want)
		}
	}
}

func TestCheckChange(t *testing.T) {
	t.Parallel()
	for change, builds := range map[document.ReindexChange]bool{document.ChangeNothing: false, document.ChangeModel: true, document.ChangeChunking: true} {
		r := reindexIn("running", func(r *Reindex) { r.Change = change })
		check(t, string(change), 0, 0, "", r.CheckChange(builds))
		check(t, string(change), 0, 0, fault.Internal, r.CheckChange(!builds))
	}
}

func TestClaimReindex(t *testing.T) {
	t.Parallel()
	running := func(attempt, crashes int) func(*Reindex) {
		return func(r *Reindex) {
			r.State, r.Attempt, r.Crashes, r.Round, r.Error = document.JobRunning, attempt, crashes, 6, ""
			r.Lease, r.LeaseUntil, r.NextAttemptAt = other, now.Add(time.Hour), time.Time{}
		}
	}
	notStarted := func(r *Reindex) { r.StartedAt = time.Time{} }
	startedNow := func(r *Reindex) { r.StartedAt = now }
	runReindexTests(t, func(r Reindex) (Reindex, error) { return r.Claim(other, time.Hour, now) }, map[string]reindexTest{
		"queued":           {reindexIn("queued"), running(1, 0), ""},
		"queued, first":    {reindexIn("queued", notStarted), all(running(1, 0), startedNow), ""},
		"running":          {reindexIn("running"), nil, fault.Conflict},
		"running, expired": {reindexIn("running", func(r *Reindex) { r.LeaseUntil = now }), running(4, 3), ""},
		"waiting":          {reindexIn("waiting"), nil, fault.Unavailable},
		"waiting, first":   {reindexIn("waiting", notStarted), nil, fault.Unavailable},
		"waiting, due":     {reindexIn("waiting", func(r *Reindex) { r.NextAttemptAt = now }), running(4, 2), ""},
		"paused":           {reindexIn("paused"), nil, fault.NotFound},
		"succeeded":        {reindexIn("succeeded"), nil, fault.NotFound},
		"failed":           {reindexIn("failed"), nil, fault.NotFound},
		"cancelled":        {reindexIn("cancelled"), nil, fault.NotFound},
	})
}

func TestRecordOutcomeOfReindex(t *testing.T) {
	t.Parallel()
	record := func(verdict task.Verdict) func(Reindex) (Reindex, error) {
		return func(r Reindex) (Reindex, error) {
			return r.RecordOutcome(workOf(task.KindReindex), task.Outcome{Verdict: verdict, Error: "why", Delay: time.Second}, now)
		}
	}
	waiting := func(attempt int) func(*Reindex) {
		return all(endedReindex("waiting", "why"), func(r *Reindex) { r.Attempt, r.NextAttemptAt = attempt, now.Add(time.Second) })
	}
	keptForADay := withSpace(2, unwritten, retired(now.Add(24*time.Hour)))
	tests := map[string]reindexTest{
		"fail":                    {reindexIn("running"), all(endedReindex("failed", "why"), keptForADay), ""},
		"fail, its space is gone": {reindexIn("running", withoutSpace2), endedReindex("failed", "why"), ""},
		"fail, active":            {reindexIn("running", active(2)), endedReindex("failed", "why"), ""},
		"fail, nothing":           {reindexIn("running", changesNothing), endedReindex("failed", "why"), ""},
		"fail, reverting": {reindexIn("running", active(2), reverting),
			all(endedReindex("failed", "why"), withSpace(1, unwritten, retired(now.Add(24*time.Hour)))), ""},
		"fail, another lease": {reindexIn("running", func(r *Reindex) { r.Lease = other }), nil, fault.LeaseLost},
	}
	for _, state := range allStates {
		if state != document.JobRunning {
			tests["fail, "+string(state)] = reindexTest{reindexIn(state), nil, fault.LeaseLost}
		}
	}
	runReindexTests(t, record(task.VerdictFail), tests)
	runReindexTests(t, record(task.VerdictCancel), map[string]reindexTest{"cancel": {reindexIn("running"), all(endedReindex("cancelled", "why"), keptForADay), ""}})
	runReindexTests(t, record(task.VerdictRetry), map[string]reindexTest{"retry": {reindexIn("running"), waiting(3), ""}})
	runReindexTests(t, record(task.VerdictWait), map[string]reindexTest{"wait": {reindexIn("running"), waiting(2), ""}})
	runReindexTests(t, record("another"), map[string]reindexTest{"unknown": {reindexIn("running"), nil, fault.Internal}})
	runReindexTests(t, func(r Reindex) (Reindex, error) {
		return r.RecordOutcome(task.Work{}, task.Outcome{Verdict: task.VerdictFail}, now)
	}, map[string]reindexTest{"without a lease": {reindexIn("queued"), nil, fault.LeaseLost}})

	// An attempt that has written something counts as the first one, and one that waits does not count.
	r, err := reindexIn("running").ResetAttempts().RecordOutcome(workOf(task.KindReindex), task.Outcome{Verdict: task.VerdictWait}, now)
	if err != nil || r.Attempt != 0 || r.Crashes != 0 {
		t.Errorf("progress, then wait: attempt %d, %d crashes, %v; want none", r.Attempt, r.Crashes, err)
	}
}

func TestResetAttempts(t *testing.T) {
	t.Parallel()
	runReindexTests(t, func(r Reindex) (Reindex, error) { return r.ResetAttempts(), nil }, map[string]reindexTest{
		"running": {reindexIn("running"), func(r *Reindex) { r.Attempt, r.Crashes = 1, 0 }, ""},
	})
}

func TestActivateSpace(t *testing.T) {
	t.Parallel()
	progress := document.ReindexProgress{Documents: 12}
	done := func(stage document.ReindexStage) func(*Reindex) {
		return all(endedReindex("succeeded", ""), func(r *Reindex) { r.Stage, r.Progress = stage, progress })
	}
	runReindexTests(t, func(r Reindex) (Reindex, error) { return r.ActivateSpace(progress, time.Hour, now), nil }, map[string]reindexTest{
		"activates": {reindexIn("running"), all(done("done"), active(2), withSpace(1, retired(now.Add(time.Hour)))), ""},
		"activates a retired space": {reindexIn("running", withSpace(2, unwritten, retired(later))),
			all(done("done"), active(2), withSpace(2, inUse), withSpace(1, retired(now.Add(time.Hour)))), ""},
		"already active":  {reindexIn("running", active(2)), done("done"), ""},
		"changes nothing": {reindexIn("running", changesNothing), done("done"), ""},
		"reverts": {reindexIn("running", active(2), reverting, withSpace(1, retired(later))),
			all(done("reverted"), active(1), withSpace(1, inUse), withSpace(2, unwritten, retired(now.Add(time.Hour)))), ""},
		"replaces one without dimensions": {reindexIn("running", withSpace(1, unknownDimensions)),
			all(done("done"), active(2), withSpace(1, unwritten, retired(now))), ""},
	})
}
