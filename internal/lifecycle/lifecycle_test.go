package lifecycle

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"github.com/seed-7a112592/gristmill/internal/fault"
	"github.com/seed-7a112592/gristmill/internal/task"
	"github.com/seed-7a112592/gristmill/internal/vector"
	"github.com/seed-7a112592/gristmill/pkg/document"
)

var (
	now   = time.Date(2031, 2, 3, 4, 5, 6, 0, time.UTC)
	later = now.Add(time.Minute)
	lease = uuid.UUID{1} // the lease of every running task
	other = uuid.UUID{2}

	documentID   = uuid.UUID{8}
	jobID        = uuid.UUID{9}
	reindexID    = uuid.UUID{7}
	collectionID = uuid.UUID{6}
)

// allStates are the states of a reindex. Those of a job are the same without paused.
var allStates = append([]document.JobState{document.JobPaused}, document.JobStates...)

// taskIn returns a task in a state, as it is after one attempt has brought it there. It has waited
// or been given up before that, so every field that may be set in the state is set.
func taskIn(kind task.Kind, state document.JobState) Task {
	t := Task{Kind: kind, State: state, Attempt: 3, Crashes: 2, Round: 5, DispatchedAt: now.Add(-time.Hour)}
	switch state {
	case document.JobQueued:
		t.Attempt, t.Crashes = 0, 0
	case document.JobRunning:
		t.Lease, t.LeaseUntil = lease, later
	case document.JobWaiting:
		t.Error, t.NextAttemptAt = "model is down", later
	case document.JobFailed, document.JobCancelled:
		t.Error = "broken"
	}
	return t
}

// jobIn returns the job of version 2, the newest, with tasks in these states. Version 2 is published
// if the knowledge task has succeeded, otherwise no version is.
func jobIn(knowledge, summary document.JobState, change ...func(*Job)) Job {
	j := Job{
		ID: jobID, Version: 2, StartedAt: now.Add(-time.Hour), FinishedAt: now.Add(-time.Second),
		Knowledge: taskIn(task.KindKnowledge, knowledge), Summary: taskIn(task.KindSummary, summary),
		Document: Document{ID: documentID, State: document.DocumentPending, Newest: 2},
	}
	if knowledge == document.JobSucceeded {
		j.Document.Published, j.Document.State = 2, document.DocumentReady
	}
	for _, c := range change {
		c(&j)
	}
	return j.deriveStates(now)
}

// Changes of jobIn.
func newest(version int) func(*Job) { return func(j *Job) { j.Document.Newest = version } }
func published(version int) func(*Job) {
	return func(j *Job) { j.Document.Published, j.Document.State = version, document.DocumentReady }
}
func deleted(j *Job) { j.Document.Deleted, j.Document.State = true, document.DocumentDeleting }

// spaceOf returns a space of the model with that name, to which new versions are written.
func spaceOf(id int64, model string) Space {
	return Space{Space: vector.Space{ID: id, Model: document.Model{Name: model, Dimensions: 2}, Chunking: document.Chunking{Tokens: 400}}, Written: true}
}

// reindexIn returns a reindex in a state that builds space 2, of the model new. Space 1, of the
// model old, is active.
func reindexIn(state document.JobState, change ...func(*Reindex)) Reindex {
	r := Reindex{
		Task: taskIn(task.KindReindex, state), ID: reindexID, Change: document.ChangeModel, Wanted: spaceOf(0, "new").Space,
		Stage: document.StageIndex, From: 1, To: 2, Checkpoint: uuid.UUID{5}, StartedAt: now.Add(-time.Hour),
		Progress:   document.ReindexProgress{Documents: 9, DocumentsDone: 5, LeftOutCount: 2, LeftOut: []document.LeftOut{{Key: "a"}, {Key: "b"}}},
		Collection: Collection{ID: collectionID, Active: 1, Spaces: []Space{spaceOf(1, "old"), spaceOf(2, "new")}},
	}
	if state.Ended() {
		r.FinishedAt = now.Add(-time.Minute)
	} else {
		r.Collection.Reindex = ActiveReindex{r.ID, state}
	}
	for _, c := range change {
		c(&r)
	}
	return r
}

// changeSpace changes space id of a collection without changing the collections that share its list.
func changeSpace(c *Collection, id int64, change func(*Space)) {
	s, _ := c.space(id)
	change(&s)
	*c = c.withSpace(s)
}

// workOf is the work of a worker that holds the lease of a running task.
func workOf(kind task.Kind) task.Work {
	return task.Work{Ref: task.Ref{Kind: kind, DocumentID: documentID, Version: 2}, Lease: lease}
}

// check compares the result of an event. kind is the kind of the error that the event must return,
// or "" for none.
func check[T any](t *testing.T, name string, want, got T, kind fault.Kind, err error) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s: next state (-want +got):\n%s", name, diff)
	}
	if (err != nil) != (kind != "") || err != nil && !fault.Is(err, kind) {
		t.Errorf("%s: got error %v, want kind %q", name, err, kind)
	}
}

func TestStatesOfStatements(t *testing.T) {
	t.Parallel()
	list := func(keep func(document.JobState) bool) string {
		var names []string
		for _, s := range append(document.JobStates, document.JobPaused) {
			if keep(s) {
				names = append(names, "'"+string(s)+"'")
			}
		}
		return "(" + strings.Join(names, ", ") + ")"
	}
	if want := list(func(s document.JobState) bool { return !s.Ended() && s != document.JobPaused }); UnendedStates != want {
		t.Errorf("UnendedStates is %s, want %s", UnendedStates, want)
	}
	if want := list(func(s document.JobState) bool { return !s.Ended() }); ActiveStates != want {
		t.Errorf("ActiveStates is %s, want %s", ActiveStates, want)
	}
}

func TestStorable(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"":             "",
		"é 漢":          "é 漢",
		"a\x00b":       "a\uFFFDb",
		"a\xff\xfeb":   "a\uFFFDb",
		"\x00\xc3\x28": "\uFFFD\uFFFD(",
	} {
		if got := Storable(text); got != want {
			t.Errorf("Storable(%q) = %q, want %q", text, got, want)
		}
	}
}
