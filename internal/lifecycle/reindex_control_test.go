package lifecycle

import (
	"testing"
	"time"

	"github.com/seed-7a112592/gristmill/internal/fault"
	"github.com/seed-7a112592/gristmill/internal/task"
	"github.com/seed-7a112592/gristmill/pkg/document"
)

func TestPause(t *testing.T) {
	t.Parallel()
	paused := all(endedReindex("paused", ""), func(r *Reindex) { r.DispatchedAt = time.Time{} })
	notWritten := withSpace(2, unwritten)
	runReindexTests(t, func(r Reindex) (Reindex, error) { return r.Pause() }, map[string]reindexTest{
		"queued":            {reindexIn("queued"), all(paused, notWritten), ""},
		"running":           {reindexIn("running"), all(paused, notWritten), ""},
		"waiting":           {reindexIn("waiting"), all(paused, notWritten), ""},
		"paused":            {reindexIn("paused"), nil, ""},
		"succeeded":         {reindexIn("succeeded"), nil, fault.Conflict},
		"failed":            {reindexIn("failed"), nil, fault.Conflict},
		"cancelled":         {reindexIn("cancelled"), nil, fault.Conflict},
		"builds the active": {reindexIn("running", active(2)), paused, ""},
		"changes nothing":   {reindexIn("running", changesNothing), paused, ""},
		"reverting":         {reindexIn("running", active(2), reverting), all(paused, withSpace(1, unwritten)), ""},
	})
}

func TestResume(t *testing.T) {
	t.Parallel()
	stopped := withSpace(2, unwritten)                                // as Pause leaves it
	failed := withSpace(2, unwritten, retired(now.Add(24*time.Hour))) // as RecordOutcome leaves it
	documents := func(r *Reindex) { r.Stage = document.StageDocuments }
	fromActive := func(r *Reindex) { r.From = r.Collection.Active }
	toActive := func(r *Reindex) { r.To = r.Collection.Active }
	newSpace := func(r *Reindex) {
		r.To = 0
		r.Collection = r.Collection.withSpace(space(0, "new"))
	}
	thirdActive := func(r *Reindex) {
		r.Collection = r.Collection.withSpace(space(3, "third"))
		r.Collection.Active = 3
	}
	resumed := all(documents, restartedReindex)
	runReindexTests(t, func(r Reindex) (Reindex, error) { return r.Resume(now) }, map[string]reindexTest{
		"queued":                          {reindexIn("queued"), nil, ""},
		"running":                         {reindexIn("running"), nil, ""},
		"waiting":                         {reindexIn("waiting"), nil, ""},
		"succeeded":                       {reindexIn("succeeded"), nil, fault.Conflict},
		"cancelled":                       {reindexIn("cancelled"), nil, fault.Conflict},
		"paused":                          {reindexIn("paused", stopped), all(resumed, withSpace(2, inUse)), ""},
		"failed":                          {reindexIn("failed", failed), all(resumed, withSpace(2, inUse, retry), withoutLeftOut), ""},
		"failed, another is active":       {reindexIn("failed", failed, otherReindex), nil, fault.Conflict},
		"paused, a third space is active": {reindexIn("paused", stopped, thirdActive), all(resumed, fromActive, withSpace(2, inUse)), ""},
		"failed, a third space is active": {reindexIn("failed", failed, thirdActive),
			all(resumed, fromActive, withSpace(2, inUse, retry), withoutLeftOut), ""},

		// Another reindex has activated the space, or one like it.
		"paused, its space is active": {reindexIn("paused", active(2)), all(resumed, fromActive), ""},
		"failed, its space is active": {reindexIn("failed", active(2)), all(resumed, fromActive, withoutLeftOut), ""},
		"failed, one like its space is active": {reindexIn("failed", failed, func(r *Reindex) {
			r.Collection = r.Collection.withSpace(space(3, "new"))
			r.Collection.Active = 3
		}), all(resumed, fromActive, toActive, withoutLeftOut), ""},

		// Its space is no longer there, so that the reindex begins with another.
		"paused, its space is gone":        {reindexIn("paused", withoutSpace2), all(resumed, newSpace, withoutProgress), ""},
		"failed, its space is gone":        {reindexIn("failed", withoutSpace2), all(resumed, newSpace, withoutProgress), ""},
		"failed, the time is over":         {reindexIn("failed", withSpace(2, unwritten, retired(now))), all(resumed, newSpace, withoutProgress), ""},
		"failed, vectors cannot be stored": {reindexIn("failed", withoutSpace2, func(r *Reindex) { r.Wanted.Model.Dimensions = 20000 }), nil, fault.BadRequest},

		"paused, changes nothing":           {reindexIn("paused", changesNothing), resumed, ""},
		"failed, changes nothing":           {reindexIn("failed", changesNothing), all(resumed, withoutProgress), ""},
		"paused, changes nothing, switched": {reindexIn("paused", changesNothing, thirdActive), all(resumed, fromActive, toActive), ""},

		"paused, reverting":                       {reindexIn("paused", active(2), reverting, withSpace(1, unwritten)), all(restartedReindex, withSpace(1, inUse)), ""},
		"failed, reverting":                       {reindexIn("failed", active(2), reverting, withSpace(1, unwritten, retired(later))), all(restartedReindex, withSpace(1, inUse, retry), withoutLeftOut), ""},
		"running, reverting":                      {reindexIn("running", active(2), reverting), nil, ""},
		"failed, reverting, another reindex":      {reindexIn("failed", active(2), reverting, otherReindex), nil, fault.Conflict},
		"failed, reverting, third space":          {reindexIn("failed", reverting, thirdActive), nil, fault.Conflict},
		"failed, reverting, the previous is over": {reindexIn("failed", active(2), reverting, withSpace(1, retired(now))), nil, fault.Conflict},
		"failed, reverting, the previous is gone": {reindexIn("failed", active(2), reverting, func(r *Reindex) {
			r.Collection.Spaces = r.Collection.Spaces[1:]
		}), nil, fault.Conflict},
	})
}

func TestCancelReindex(t *testing.T) {
	t.Parallel()
	cancelled := endedReindex("cancelled", "cancelled on request")
	keptForAnHour := withSpace(2, unwritten, retired(now.Add(time.Hour)))
	succeeded := all(endedReindex("succeeded", ""), func(r *Reindex) {
		r.Stage, r.Progress = document.StageDone, document.ReindexProgress{}
	})
	runReindexTests(t, func(r Reindex) (Reindex, error) { return r.Cancel(time.Hour, now) }, map[string]reindexTest{
		"queued":            {reindexIn("queued"), all(cancelled, keptForAnHour), ""},
		"running":           {reindexIn("running"), all(cancelled, keptForAnHour), ""},
		"waiting":           {reindexIn("waiting"), all(cancelled, keptForAnHour), ""},
		"paused":            {reindexIn("paused", withSpace(2, unwritten)), all(cancelled, keptForAnHour), ""},
		"succeeded":         {reindexIn("succeeded"), nil, fault.Conflict},
		"failed":            {reindexIn("failed"), nil, fault.Conflict},
		"cancelled":         {reindexIn("cancelled"), nil, ""},
		"builds the active": {reindexIn("running", active(2)), cancelled, ""},
		"changes nothing":   {reindexIn("running", changesNothing), cancelled, ""},
		"its space is gone": {reindexIn("paused", withoutSpace2), cancelled, ""},
		"reverting":         {reindexIn("running", active(2), reverting), all(succeeded, withSpace(1, unwritten, retired(now.Add(time.Hour)))), ""},
		"reverting, paused": {reindexIn("paused", active(2), reverting), all(succeeded, withSpace(1, unwritten, retired(now.Add(time.Hour)))), ""},
	})
}

// No event retires the active space or stops writing to it, whatever happens to the reindex that
// builds it.
func TestActiveSpaceStays(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*Reindex){"model": active(2), "nothing": changesNothing} {
		r := reindexIn("running", change)
		fail := task.Outcome{Verdict: task.VerdictFail}
		for event, run := range map[string]func() (Reindex, error){
			"pause":    r.Pause,
			"cancel":   func() (Reindex, error) { return r.Cancel(0, now) },
			"fail":     func() (Reindex, error) { return r.RecordOutcome(workOf(task.KindReindex), fail, now) },
			"activate": func() (Reindex, error) { return r.ActivateSpace(r.Progress, 0, now), nil },
			"end":      func() (Reindex, error) { return r.EndRequeue(now), nil },
		} {
			got, err := run()
			c := DiffSpaces(r.Collection, got.Collection)
			if err != nil || c.Active || len(c.Add)+len(c.Update)+len(c.Retired) > 0 {
				t.Errorf("%s of a reindex that changes %s: the spaces changed: %+v, %v", event, name, c, err)
			}
		}
	}
}

func TestReindexErrors(t *testing.T) {
	t.Parallel()
	const name = "reindex 07000000-0000-0000-0000-000000000000"
	another := "conflict: reindex 02000000-0000-0000-0000-000000000000 of the collection is waiting: wait for its end, or cancel it"
	begin := func(change func(*Collection), model document.Model) error {
		c := reindexIn("succeeded").Collection
		change(&c)
		return errorOf(c.Begin(reindexID, document.ReindexRequest{Model: model}, now))
	}
	built := all(active(2), func(r *Reindex) { r.Stage = document.StageDone })
	for event, test := range map[string]struct {
		err  error
		text string
	}{
		"begin, another": {begin(func(c *Collection) { c.Reindex = ActiveReindex{other, "waiting"} }, document.Model{}), another},
		"begin, model":   {begin(func(*Collection) {}, document.Model{Name: "m"}), `bad_request: the dimensions of model "m" are not known`},
		"step":           {reindexIn("running").CheckChange(false), "internal: " + name + " changes model and does not have this step"},
		"claim":          {errorOf(reindexIn("paused").Claim(other, 0, now)), "not_found: " + name + " is paused"},
		"lease": {reindexIn("queued").CheckLease(workOf(task.KindReindex)),
			"lease_lost: the worker no longer holds the lease on reindex:08000000-0000-0000-0000-000000000000:2"},
		"pause":             {errorOf(reindexIn("failed").Pause()), "conflict: " + name + " has failed: there is nothing left to pause"},
		"pause, cancelled":  {errorOf(reindexIn("cancelled").Pause()), "conflict: " + name + " has been cancelled: there is nothing left to pause"},
		"resume":            {errorOf(reindexIn("succeeded").Resume(now)), "conflict: " + name + " has succeeded: begin another one"},
		"resume, another":   {errorOf(reindexIn("failed", otherReindex).Resume(now)), another},
		"cancel":            {errorOf(reindexIn("failed").Cancel(0, now)), "conflict: " + name + " has failed: there is nothing left to cancel"},
		"reverting, third":  {errorOf(reindexIn("failed", reverting).Resume(now)), "conflict: " + name + " cannot continue its revert: the space that it built is no longer active"},
		"reverting, gone":   {errorOf(reindexIn("failed", active(2), reverting, withSpace(1, retired(now))).Resume(now)), "conflict: " + name + " cannot continue its revert: the previous space is no longer kept"},
		"revert, nothing":   {reindexIn("succeeded", changesNothing).CheckRevert(now), "conflict: there is nothing to revert to: " + name + " did not change the space"},
		"revert, reverted":  {reindexIn("succeeded", func(r *Reindex) { r.Stage = "reverted" }).CheckRevert(now), "conflict: there is nothing to revert to: " + name + " is already reverted"},
		"revert, reverting": {reindexIn("running", reverting).CheckRevert(now), "conflict: there is nothing to revert to: " + name + " is already being reverted"},
		"revert, failed":    {reindexIn("failed").CheckRevert(now), "conflict: there is nothing to revert to: " + name + " has not succeeded, it is failed"},
		"revert, switched":  {reindexIn("succeeded").CheckRevert(now), "conflict: there is nothing to revert to: " + name + " built a space that is no longer active"},
		"revert, over": {reindexIn("succeeded", built, withSpace(1, retired(now))).CheckRevert(now), "conflict: there is nothing to revert to: " + name +
			" replaced a space that is no longer kept: begin a reindex with the model and chunking of that space"},
		"revert, another": {reindexIn("succeeded", built, otherReindex).CheckRevert(now), another},
	} {
		checkText(t, event, test.err, test.text)
	}
	failed := reindexIn("running", changesNothing, func(r *Reindex) { r.FailedJobs = 2 }).EndRequeue(now)
	if want := "2 of 5 documents could not be reindexed: see the errors of their jobs"; failed.Error != want {
		t.Errorf("end: got %q, want %q", failed.Error, want)
	}
}
