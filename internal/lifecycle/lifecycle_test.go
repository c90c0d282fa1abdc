package lifecycle

import (
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/seed-7a112592/gristmill/internal/fault"
	"github.com/seed-7a112592/gristmill/internal/task"
	"github.com/seed-7a112592/gristmill/internal/vector"
	"github.com/seed-7a112592/gristmill/pkg/document"
)

var (
	now   = time.Date(2031, 2, 3, 4, 5, 6, 0, time.UTC)
	lease = uuid.UUID{1}
	other = uuid.UUID{2}
)

// jobOf returns a job of version 1 with tasks in these states.
func jobOf(knowledge, summary document.JobState, change ...func(*Job)) Job {
	newTask := func(kind task.Kind, state document.JobState) Task {
		t := Task{Kind: kind, State: state, Round: 1, DispatchedAt: now}
		switch state {
		case document.JobRunning:
			t.Attempt, t.Lease, t.LeaseUntil = 1, lease, now.Add(time.Minute)
		case document.JobWaiting:
			t.Attempt, t.Error, t.NextAttemptAt = 1, "down", now.Add(time.Minute)
		case document.JobFailed, document.JobCancelled:
			t.Attempt, t.Error = 1, "broken"
		}
		return t
	}
	j := Job{ID: uuid.UUID{9}, Version: 1, Knowledge: newTask(task.KindKnowledge, knowledge), Summary: newTask(task.KindSummary, summary),
		Document: Document{ID: uuid.UUID{8}, State: document.DocumentPending, Newest: 1}}
	if knowledge == document.JobSucceeded {
		j.Document.Published, j.Document.State = 1, document.DocumentReady
	}
	for _, c := range change {
		c(&j)
	}
	return j.deriveStates(now)
}

func newest(n int) func(*Job) { return func(j *Job) { j.Document.Newest = n } }
func published(n int) func(*Job) {
	return func(j *Job) { j.Document.Published, j.Document.State = n, document.DocumentReady }
}
func deleted(j *Job) { j.Document.Deleted, j.Document.State = true, document.DocumentDeleting }
func expired(j *Job) { j.Knowledge.LeaseUntil = now }
func mine(j *Job)    { j.Knowledge.Lease = other }

func TestClaim(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		job              Job
		kind             task.Kind
		refused          fault.Kind
		attempt, crashes int
		state            document.JobState // of the task afterwards
		document         document.DocumentState
		reason           string
	}{
		"queued":             {job: jobOf("queued", "queued"), attempt: 1, state: "running", document: "pending"},
		"taken over":         {job: jobOf("running", "queued", expired), attempt: 2, crashes: 1, state: "running", document: "pending"},
		"leased":             {job: jobOf("running", "queued"), refused: fault.Conflict, attempt: 1, state: "running", document: "pending"},
		"answer was lost":    {job: jobOf("running", "queued", mine), attempt: 1, state: "running", document: "pending"},
		"waiting":            {job: jobOf("waiting", "queued"), refused: fault.Unavailable, attempt: 1, state: "waiting", document: "pending"},
		"ended":              {job: jobOf("failed", "queued"), refused: fault.NotFound, attempt: 1, state: "failed", document: "failed"},
		"superseded":         {job: jobOf("queued", "queued", newest(2)), refused: fault.NotFound, state: "cancelled", document: "pending", reason: "superseded by version 2"},
		"superseded, begun":  {job: jobOf("running", "queued", newest(2), expired), attempt: 2, crashes: 1, state: "running", document: "pending"},
		"deleted":            {job: jobOf("running", "queued", deleted), refused: fault.NotFound, attempt: 1, state: "cancelled", document: "deleting", reason: "document deleted"},
		"of an unknown kind": {job: jobOf("queued", "queued"), kind: "another", refused: fault.NotFound, state: "queued", document: "pending"},
	} {
		kind := test.kind
		if kind == "" {
			kind = task.KindKnowledge
		}
		got, err := test.job.Claim(kind, other, time.Hour, now)
		if k := got.Knowledge; (err != nil) != (test.refused != "") || err != nil && !fault.Is(err, test.refused) ||
			k.Attempt != test.attempt || k.Crashes != test.crashes || k.State != test.state || k.State == "cancelled" && k.Error != test.reason ||
			got.Document.State != test.document {
			t.Errorf("%s: got %+v, document %+v, %v", name, k, got.Document, err)
		}
	}
}

func TestJobFollowsItsTasks(t *testing.T) {
	t.Parallel()
	work := task.Work{Ref: task.Ref{Kind: task.KindKnowledge}, Lease: lease}
	fail := task.Outcome{Verdict: task.VerdictFail, Error: "a\x00b"}
	for name, test := range map[string]struct {
		was      Job
		event    func(Job) (Job, error)
		kind     fault.Kind
		job      document.JobState
		document document.DocumentState
		tasks    int
		ended    bool
		obsolete int
	}{
		"fails":                    {jobOf("running", "failed"), func(j Job) (Job, error) { return j.RecordOutcome(work, fail, now) }, "", "failed", "failed", 1, true, 0},
		"fails over a published":   {jobOf("running", "failed", published(3), newest(4)), func(j Job) (Job, error) { return j.RecordOutcome(work, fail, now) }, "", "failed", "ready", 1, true, 0},
		"lease lost":               {jobOf("running", "failed", mine), func(j Job) (Job, error) { return j.RecordOutcome(work, fail, now) }, fault.LeaseLost, "running", "pending", 0, false, 0},
		"publishes":                {jobOf("running", "succeeded"), func(j Job) (Job, error) { return j.Publish(work, now) }, "", "succeeded", "ready", 1, true, 0},
		"cancel":                   {jobOf("running", "waiting"), func(j Job) (Job, error) { return j.Cancel(now) }, "", "cancelled", "failed", 2, true, 0},
		"cancel, knowledge failed": {jobOf("failed", "queued"), func(j Job) (Job, error) { return j.Cancel(now) }, "", "failed", "failed", 1, true, 0},
		"cancel, cancelled":        {jobOf("cancelled", "cancelled"), func(j Job) (Job, error) { return j.Cancel(now) }, "", "cancelled", "failed", 0, false, 0},
		"cancel, superseded":       {jobOf("running", "queued", newest(2)), func(j Job) (Job, error) { return j.Cancel(now) }, "", "cancelled", "pending", 2, true, 0},
		"cancel, succeeded":        {jobOf("succeeded", "succeeded"), func(j Job) (Job, error) { return j.Cancel(now) }, fault.Conflict, "succeeded", "ready", 0, false, 0},
		"retry, failed":            {jobOf("failed", "failed"), func(j Job) (Job, error) { return j.Retry(now) }, "", "queued", "pending", 2, false, 0},
		"retry, summary failed":    {jobOf("succeeded", "failed"), func(j Job) (Job, error) { return j.Retry(now) }, "", "running", "ready", 1, false, 0},
		"retry, waiting":           {jobOf("waiting", "running"), func(j Job) (Job, error) { return j.Retry(now) }, "", "running", "pending", 1, false, 0},
		"retry, under way":         {jobOf("running", "failed"), func(j Job) (Job, error) { return j.Retry(now) }, "", "running", "pending", 0, false, 0},
		"retry, superseded":        {jobOf("failed", "failed", newest(2)), func(j Job) (Job, error) { return j.Retry(now) }, fault.Conflict, "failed", "pending", 0, false, 0},
		"retry, deleted":           {jobOf("cancelled", "cancelled", deleted), func(j Job) (Job, error) { return j.Retry(now) }, fault.NotFound, "cancelled", "deleting", 0, false, 0},
	} {
		is, err := test.event(test.was)
		c := DiffJob(test.was, is)
		if (err != nil) != (test.kind != "") || err != nil && !fault.Is(err, test.kind) || is.State != test.job || is.Document.State != test.document ||
			len(c.Tasks) != test.tasks || c.Ended != test.ended || c.ObsoleteVersion != test.obsolete {
			t.Errorf("%s: got %+v\nchange %+v, %v", name, is, c, err)
		}
		if strings.Contains(is.Knowledge.Error, "\x00") {
			t.Errorf("%s: error %q", name, is.Knowledge.Error)
		}
	}
}

// reindexOf returns a reindex to another model in a state, with space 1 active.
func reindexOf(state document.JobState, change ...func(*Reindex)) Reindex {
	model := func(name string) document.Model { return document.Model{Name: name, Dimensions: 2} }
	r := Reindex{
		Task: Task{Kind: task.KindReindex, State: state}, ID: uuid.UUID{7}, Change: document.ChangeModel, Stage: document.StageIndex,
		Wanted: vector.Space{Model: model("next")}, From: 1, To: 2, Checkpoint: uuid.UUID{5}, Progress: document.ReindexProgress{Documents: 3},
		Collection: Collection{Active: 1, Spaces: []Space{
			{Space: vector.Space{ID: 1, Model: model("first")}, Written: true},
			{Space: vector.Space{ID: 2, Model: model("next")}, Written: true},
		}},
	}
	if !state.Ended() {
		r.Collection.Reindex = ActiveReindex{r.ID, state}
	} else if state == document.JobFailed {
		r = r.retireTarget(FailedSpaceRetention, now)
	}
	for _, c := range change {
		c(&r)
	}
	return r
}

func TestResume(t *testing.T) {
	t.Parallel()
	activeIs := func(id int64) func(*Reindex) { return func(r *Reindex) { r.Collection.Active = id } }
	for name, test := range map[string]struct {
		r       Reindex
		kind    fault.Kind
		to      int64
		reached bool
		make    int
		save    int
	}{
		"paused":                       {reindexOf(document.JobPaused, func(r *Reindex) { r.Collection.Spaces[1].Written = false }), "", 2, true, 0, 1},
		"failed":                       {reindexOf(document.JobFailed), "", 2, true, 0, 1},
		"its successor succeeded":      {reindexOf(document.JobFailed, activeIs(2)), "", 2, true, 0, 0},
		"its space is over":            {reindexOf(document.JobFailed, func(r *Reindex) { r.Collection.Spaces[1].DropAfter = now }), "", 0, false, 1, 0},
		"its space is dropped":         {reindexOf(document.JobFailed, func(r *Reindex) { r.Collection.Spaces = r.Collection.Spaces[:1] }), "", 0, false, 1, 0},
		"another is active":            {reindexOf(document.JobFailed, func(r *Reindex) { r.Collection.Reindex.ID = other }), fault.Conflict, 2, true, 0, 0},
		"succeeded":                    {reindexOf(document.JobSucceeded), fault.Conflict, 2, true, 0, 0},
		"running":                      {reindexOf(document.JobRunning), "", 2, true, 0, 0},
		"reverting, another is active": {reindexOf(document.JobFailed, activeIs(3), func(r *Reindex) { r.Stage = document.StageReverting }), fault.Conflict, 2, true, 0, 0},
	} {
		got, err := test.r.Resume(now)
		c := DiffSpaces(test.r.Collection, got.Collection)
		if (err != nil) != (test.kind != "") || err != nil && !fault.Is(err, test.kind) || got.To != test.to || (got.Checkpoint != uuid.Nil) != test.reached ||
			len(c.Add) != test.make || len(c.Update) != test.save {
			t.Errorf("%s: got %+v\nchange %+v, %v", name, got, c, err)
		}
	}
}

// What is active is never left, whatever becomes of the reindex that was building it.
func TestActiveSpaceStays(t *testing.T) {
	t.Parallel()
	r := reindexOf(document.JobRunning, func(r *Reindex) { r.Collection.Active = 2; r.Lease = lease })
	work := task.Work{Lease: lease}
	for name, event := range map[string]func() (Reindex, error){
		"pause":  func() (Reindex, error) { return r.Pause() },
		"cancel": func() (Reindex, error) { return r.Cancel(0, now) },
		"fail":   func() (Reindex, error) { return r.RecordOutcome(work, task.Outcome{Verdict: task.VerdictFail}, now) },
		"switch": func() (Reindex, error) { return r.ActivateSpace(r.Progress, 0, now), nil },
	} {
		got, err := event()
		if s, _ := got.Collection.space(2); err != nil || !s.Written || !s.DropAfter.IsZero() {
			t.Errorf("%s: got %+v, %v", name, s, err)
		}
	}
}
