package lifecycle

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/seed-7a112592/gristmill/internal/fault"
	"github.com/seed-7a112592/gristmill/internal/task"
	"github.com/seed-7a112592/gristmill/internal/vector"
	"github.com/seed-7a112592/gristmill/pkg/document"
)

// errorOf returns the error of an event.
func errorOf[T any](_ T, err error) error { return err }

// TestErrors has the text of every error of jobs and documents, and of those that the stores
// return themselves. The other tests check in which states there is an error, and its kind.
func TestErrors(t *testing.T) {
	t.Parallel()
	work := workOf(task.KindKnowledge)
	claim := func(j Job) error { return errorOf(j.Claim(task.KindKnowledge, other, time.Hour, now)) }
	collect := func(job document.JobState) error {
		_, _, err := Document{Newest: 2}.CollectVersion(1, job, time.Time{}, 0, now)
		return err
	}
	condition := document.Condition{Match: []string{"bb"}}
	for name, test := range map[string]struct {
		err  error
		text string // with the kind, and the delay if there is one
	}{
		"TaskNotFound":       {TaskNotFound(), "not_found: there is no such task"},
		"JobNotFound":        {JobNotFound(jobID), "not_found: there is no job 09000000-0000-0000-0000-000000000000"},
		"DocumentNotFound":   {DocumentNotFound(documentID), "not_found: there is no document 08000000-0000-0000-0000-000000000000"},
		"ReindexNotFound":    {ReindexNotFound(reindexID), "not_found: there is no reindex 07000000-0000-0000-0000-000000000000"},
		"WebhookNotFound":    {WebhookNotFound(uuid.Nil), "not_found: there is no webhook 00000000-0000-0000-0000-000000000000"},
		"CollectionNotFound": {CollectionNotFound("c"), `not_found: there is no collection "c"`},
		"LeaseLost":          {LeaseLost(work.Ref), "lease_lost: the worker no longer holds the lease on knowledge:08000000-0000-0000-0000-000000000000:2"},
		"DocumentsMissing":   {DocumentsMissing(3, 2), "conflict: 3 documents are not complete in space 2"},
		"MissedPublications": {MissedPublications(2), "conflict: workers keep publishing documents that are not in space 2"},
		"SpaceNotActive":     {SpaceNotActive(2), "conflict: space 2 no longer answers searches of its collection: search again"},
		"BadCursor":          {BadCursor("x"), `bad_request: cursor "x" is not a cursor of this list: leave it out to begin again`},
		"CheckPage":          {CheckPage(document.Page{Limit: -1}), "bad_request: a page of -1 items: ask for at least 1"},
		"CheckQueryVector": {CheckQueryVector(7, document.Model{Name: "m", Dimensions: 8}),
			`bad_request: a vector of 7 dimensions cannot be compared with the vectors of model "m", which have 8`},
		"CheckCondition": {CheckCondition(condition, "aa"),
			`precondition_failed: If-Match failed: the newest version has the ETag "aa"; get the document and decide again`},
		"CheckPublish": {CheckPublish(1, []int64{2, 3}),
			"unavailable: another space has become the active space; the next attempt writes to it (1s)"},
		"CheckModel": {CheckModel(document.Model{Name: "m", Dimensions: 20000}),
			`bad_request: model "m" has vectors of 20000 dimensions; 1 to 16000 can be stored`},

		"claim, leased":     {claim(jobIn("running", "queued")), "conflict: another worker holds the lease of the task"},
		"claim, waiting":    {claim(jobIn("waiting", "queued")), "unavailable: the task waits for its next attempt (1m0s)"},
		"claim, ended":      {claim(jobIn("failed", "queued")), "not_found: the task has ended: failed"},
		"claim, superseded": {claim(jobIn("queued", "queued", newest(3))), "not_found: the task was cancelled: superseded by version 3"},
		"claim, deleted":    {claim(jobIn("queued", "queued", deleted)), "not_found: the task was cancelled: document deleted"},
		"verdict":           {errorOf(jobIn("running", "queued").RecordOutcome(work, task.Outcome{Verdict: "x"}, now)), `internal: unknown verdict "x"`},
		"cancel, succeeded": {errorOf(jobIn("succeeded", "succeeded").Cancel(now)),
			"conflict: job 09000000-0000-0000-0000-000000000000 has succeeded: there is nothing left to cancel"},
		"cancel, failed": {errorOf(jobIn("failed", "succeeded").Cancel(now)),
			"conflict: job 09000000-0000-0000-0000-000000000000 has failed: there is nothing left to cancel"},
		"retry, deleted": {errorOf(jobIn("failed", "failed", deleted).Retry(now)),
			"not_found: the document of job 09000000-0000-0000-0000-000000000000 is deleted"},
		"retry, succeeded": {errorOf(jobIn("succeeded", "succeeded").Retry(now)),
			"conflict: job 09000000-0000-0000-0000-000000000000 has succeeded: there is nothing to retry"},
		"retry, superseded": {errorOf(jobIn("failed", "failed", newest(3)).Retry(now)),
			"conflict: job 09000000-0000-0000-0000-000000000000 made version 2 of document 08000000-0000-0000-0000-000000000000, " +
				"whose newest version is 3: retry the job of that version"},
		"summaries are off": {errorOf(jobIn("queued", "queued").RequestSummary(document.SummariesOff, false, now)),
			"conflict: summaries of this collection are off: set them to on_demand or model first"},
		"summary, deleted": {errorOf(jobIn("queued", "queued", deleted).RequestSummary(document.SummariesOnDemand, false, now)),
			"not_found: there is no document 08000000-0000-0000-0000-000000000000"},
		"collect a version": {collect("running"), "conflict: its job has not ended"},
		"collect a space": {errorOf(collectionOf(space(1, "old", retired(now))).CollectSpace(1, false, 0, now)),
			"conflict: it is needed again"},
		"collect, built": {space(1, "old").CollectPassages(true, ""), "conflict: a reindex may need them"},
		"collect, paid":  {space(1, "old").CollectPassages(false, "queued"), "conflict: the task that paid for them has not ended"},
		"dimensions": {errorOf(collectionOf(space(1, "old")).Prepare(true, false, document.Model{Name: "m"}, document.Chunking{}, now)),
			`bad_request: the dimensions of model "m" are not known`},
	} {
		checkText(t, name, test.err, test.text)
	}
}

// checkText compares an error as "kind: text (delay)".
func checkText(t *testing.T, name string, err error, want string) {
	t.Helper()
	if err == nil {
		t.Errorf("%s: got no error, want %q", name, want)
		return
	}
	got := fmt.Sprintf("%s: %v", fault.KindOf(err), err)
	if e := fault.As(err); e != nil {
		got = fmt.Sprintf("%s: %s", e.Kind, e.Detail)
		if e.RetryAfter > 0 {
			got += fmt.Sprintf(" (%v)", e.RetryAfter)
		}
	}
	if got != want {
		t.Errorf("%s: got error\n%s, want\n%s", name, got, want)
	}
}

func TestCheckCondition(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		sha256 string
		kind   fault.Kind
	}{{"bb", ""}, {"aa", fault.PreconditionFailed}, {"", fault.PreconditionFailed}} {
		check(t, "newest version "+test.sha256, 0, 0, test.kind, CheckCondition(document.Condition{Match: []string{"bb"}}, test.sha256))
	}
}

func TestCheckPublish(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		active   int64
		complete []int64
		kind     fault.Kind
	}{
		"complete":         {2, []int64{2}, ""},
		"complete in both": {2, []int64{1, 2}, ""},
		"in another space": {2, []int64{1}, fault.Unavailable},
		"in none":          {2, nil, fault.Unavailable},
	} {
		check(t, name, 0, 0, test.kind, CheckPublish(test.active, test.complete))
	}
}

func TestCheckPage(t *testing.T) {
	t.Parallel()
	for limit, kind := range map[int]fault.Kind{-1: fault.BadRequest, 0: fault.BadRequest, 1: "", 2: ""} {
		check(t, fmt.Sprint(limit), 0, 0, kind, CheckPage(document.Page{Limit: limit}))
	}
}

func TestCheckQueryVector(t *testing.T) {
	t.Parallel()
	for length, kind := range map[int]fault.Kind{0: fault.BadRequest, 2: fault.BadRequest, 3: "", 4: fault.BadRequest} {
		check(t, fmt.Sprint(length), 0, 0, kind, CheckQueryVector(length, document.Model{Name: "m", Dimensions: 3}))
	}
}

func TestCheckModel(t *testing.T) {
	t.Parallel()
	for dimensions, kind := range map[int]fault.Kind{
		-1: fault.BadRequest, 0: "", 1: "", vector.MaxDimensions: "", vector.MaxDimensions + 1: fault.BadRequest,
	} {
		check(t, fmt.Sprint(dimensions), 0, 0, kind, CheckModel(document.Model{Name: "m", Dimensions: dimensions}))
	}
}
