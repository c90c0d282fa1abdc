package lifecycle

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-7a112592/gristmill/internal/fault"
	"github.com/seed-7a112592/gristmill/pkg/document"
)

func TestNextVersion(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		was, want Document
		obsolete  int
	}{
		"the first": {Document{ID: documentID}, Document{ID: documentID, State: "pending", Newest: 1}, 0},
		"after a published version": {
			Document{State: "ready", Newest: 2, Published: 2}, Document{State: "ready", Newest: 3, Published: 2}, 0},
		"after an unpublished version": {
			Document{State: "ready", Newest: 3, Published: 2}, Document{State: "ready", Newest: 4, Published: 2}, 3},
		"after a pending version": {Document{State: "pending", Newest: 1}, Document{State: "pending", Newest: 2}, 1},
		"after a failed version":  {Document{State: "failed", Newest: 1}, Document{State: "pending", Newest: 2}, 1},
	} {
		got, obsolete := test.was.NextVersion()
		if diff := cmp.Diff(test.want, got); diff != "" || obsolete != test.obsolete {
			t.Errorf("%s: obsolete version %d, want %d; next state (-want +got):\n%s", name, obsolete, test.obsolete, diff)
		}
	}
}

func TestAcceptUpload(t *testing.T) {
	t.Parallel()
	match := func(hashes ...string) document.Condition { return document.Condition{Match: hashes} }
	noneMatch := func(hashes ...string) document.Condition { return document.Condition{NoneMatch: hashes} }
	version := func(same bool, job document.JobState) NewestVersion {
		return NewestVersion{Document: Document{Newest: 1}, SHA256: "aa", SameContent: same, Job: job}
	}
	for name, test := range map[string]struct {
		newest    NewestVersion
		condition document.Condition
		unchanged bool
		kind      fault.Kind
	}{
		"no document":                      {NewestVersion{}, document.Condition{}, false, ""},
		"no document, must match any":      {NewestVersion{}, match("*"), false, fault.PreconditionFailed},
		"no document, must match none":     {NewestVersion{}, noneMatch("*"), false, ""},
		"other content":                    {version(false, "succeeded"), document.Condition{}, false, ""},
		"same, queued":                     {version(true, "queued"), document.Condition{}, true, ""},
		"same, running":                    {version(true, "running"), document.Condition{}, true, ""},
		"same, waiting":                    {version(true, "waiting"), document.Condition{}, true, ""},
		"same, succeeded":                  {version(true, "succeeded"), document.Condition{}, true, ""},
		"same, failed":                     {version(true, "failed"), document.Condition{}, false, ""},
		"same, cancelled":                  {version(true, "cancelled"), document.Condition{}, false, ""},
		"other content, matches":           {version(false, "succeeded"), match("aa"), false, ""},
		"same, matches":                    {version(true, "succeeded"), match("aa"), true, ""},
		"same, does not match":             {version(true, "succeeded"), match("bb"), false, fault.PreconditionFailed},
		"same, must not match that one":    {version(true, "succeeded"), noneMatch("aa"), false, fault.PreconditionFailed},
		"same, must not match another one": {version(true, "succeeded"), noneMatch("bb"), true, ""},
	} {
		unchanged, err := test.newest.Accept(test.condition)
		check(t, name, test.unchanged, unchanged, test.kind, err)
	}
}

func TestCollectVersion(t *testing.T) {
	t.Parallel()
	type result struct {
		Needed bool
		Until  time.Time
	}
	obsolete := Document{Newest: 3, Published: 2}
	gone := Document{Newest: 3, Published: 2, Deleted: true}
	for name, test := range map[string]struct {
		document Document
		version  int
		job      document.JobState
		finished time.Time
		ahead    time.Duration
		want     result
		kind     fault.Kind
	}{
		"the newest":                             {obsolete, 3, "failed", now.Add(-2 * time.Hour), 0, result{Needed: true}, ""},
		"the published":                          {obsolete, 2, "succeeded", now.Add(-2 * time.Hour), 0, result{Needed: true}, ""},
		"the newest, its job runs":               {obsolete, 3, "running", time.Time{}, 0, result{Needed: true}, ""},
		"queued":                                 {obsolete, 1, "queued", time.Time{}, 0, result{}, fault.Conflict},
		"running":                                {obsolete, 1, "running", time.Time{}, 0, result{}, fault.Conflict},
		"waiting":                                {obsolete, 1, "waiting", time.Time{}, 0, result{}, fault.Conflict},
		"succeeded long ago":                     {obsolete, 1, "succeeded", now.Add(-time.Hour), 0, result{}, ""},
		"failed long ago":                        {obsolete, 1, "failed", now.Add(-time.Hour), 0, result{}, ""},
		"cancelled long ago":                     {obsolete, 1, "cancelled", now.Add(-time.Hour), 0, result{}, ""},
		"ended less than an hour ago":            {obsolete, 1, "cancelled", now.Add(-59 * time.Minute), 0, result{Until: later}, ""},
		"ended now":                              {obsolete, 1, "cancelled", now, 0, result{Until: now.Add(time.Hour)}, ""},
		"an hour ahead":                          {obsolete, 1, "cancelled", now, time.Hour, result{}, ""},
		"less than an hour ahead":                {obsolete, 1, "cancelled", now, time.Hour - 1, result{Until: now.Add(time.Hour)}, ""},
		"no job":                                 {obsolete, 1, "", time.Time{}, 0, result{}, ""},
		"no document":                            {Document{}, 1, "", time.Time{}, 0, result{}, ""},
		"deleted, the newest":                    {gone, 3, "cancelled", now, 0, result{}, ""},
		"deleted, the published":                 {gone, 2, "succeeded", now, 0, result{}, ""},
		"deleted, though its job has not ended":  {gone, 3, "running", time.Time{}, 0, result{}, fault.Conflict},
		"obsolete, nothing of it was published":  {Document{Newest: 2}, 1, "failed", now.Add(-time.Hour), 0, result{}, ""},
		"the newest, nothing of it is published": {Document{Newest: 2}, 2, "failed", now.Add(-time.Hour), 0, result{Needed: true}, ""},
	} {
		needed, until, err := test.document.CollectVersion(test.version, test.job, test.finished, test.ahead, now)
		check(t, name, test.want, result{needed, until}, test.kind, err)
	}
}
