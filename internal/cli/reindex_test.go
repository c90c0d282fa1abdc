package cli_test

import (
	"encoding/json"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/google/uuid"

	"github.com/seed-7a112592/gristmill/internal/test/fakeapi"
	"github.com/seed-7a112592/gristmill/pkg/document"
)

const documentID = "0199c7a4-0000-7000-8000-000000000001"

func TestReindexExitCodes(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		args   []string
		code   int
		stderr string
	}{
		"all":                      {nil, 0, ""},
		"all, with --watch":        {[]string{"--watch"}, 0, ""},
		"a dry run":                {[]string{"--dry-run"}, 0, ""},
		"a missing collection":     {[]string{"--collection", "none"}, 1, "no collection none"},
		"an empty collection":      {[]string{"--collection", ""}, 2, "--collection is empty"},
		"an empty document":        {[]string{"--document", ""}, 2, "--document is empty"},
		"a bad document":           {[]string{"--document", "x"}, 2, "want the id of a document"},
		"no dimensions":            {[]string{"--dimensions", "0"}, 2, "--dimensions 0: want at least 1"},
		"not an id":                {[]string{"docs"}, 2, "use --collection"},
		"a missing reindex":        {[]string{documentID}, 1, "no reindex " + documentID},
		"an id and a model":        {[]string{documentID, "--model", "m"}, 2, "--model is for a new reindex"},
		"an id and a collection":   {[]string{documentID, "--collection", "docs"}, 2, "--collection has no effect"},
		"revert by force":          {[]string{"--revert", "--force"}, 2, "--force is for a new reindex"},
		"pause and resume":         {[]string{"--pause", "--resume"}, 2, "none of the others can be"},
		"pause and watch":          {[]string{"--pause", "--watch"}, 2, "none of the others can be"},
		"dry run and watch":        {[]string{"--dry-run", "--watch"}, 2, "none of the others can be"},
		"nothing to revert":        {[]string{"--revert"}, 1, `collection "default" has no reindex to revert: none has changed the space`},
		"nothing to pause":         {[]string{"--pause", "--collection", "docs"}, 1, `collection "docs" has no reindex to pause: none is running`},
		"revert a missing reindex": {[]string{documentID, "--revert"}, 1, "no reindex " + documentID},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := gristmill(t, fakeapi.New(t), append([]string{"reindex"}, test.args...)...)
			if got.code != test.code || !strings.Contains(got.stderr, test.stderr) {
				t.Errorf("exit %d, want %d with %q\nstdout: %s\nstderr: %s", got.code, test.code, test.stderr, got.stdout, got.stderr)
			}
		})
	}
}

// The server receives the requested reindex, and the output has the commands to follow and control
// it.
func TestReindexBegins(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		args  []string
		want  document.Reindex
		shown string
	}{
		"no options": {
			nil, document.Reindex{Collection: "default", Change: document.ChangeNothing, Model: "local", Dimensions: 64, Tokens: 400},
			"documents that are missing, failed or stale are redone",
		},
		"part of a collection": {
			[]string{"--collection", "docs", "--key-prefix", "a/", "--document", documentID, "--force"},
			document.Reindex{
				Collection: "docs", Change: document.ChangeNothing, Model: "local", Dimensions: 64, Tokens: 400,
				KeyPrefix: "a/", DocumentIDs: []uuid.UUID{uuid.MustParse(documentID)}, Force: true,
			},
			`all documents are redone, among 1 document, if their keys begin with "a/"`,
		},
		"another model": {
			[]string{"--collection", "docs", "--model", "m", "--dimensions", "1536"},
			document.Reindex{Collection: "docs", Change: document.ChangeModel, Model: "m", Dimensions: 1536, Tokens: 400},
			"→ m (1536 dimensions); all passages are embedded again, from the stored text",
		},
		"another chunking": {
			[]string{"--collection", "docs", "--chunk-tokens", "200", "--chunk-overlap", "20"},
			document.Reindex{Collection: "docs", Change: document.ChangeChunking, Model: "local", Dimensions: 64, Tokens: 200, Overlap: 20},
			"→ local (64 dimensions), passages of at most 200 tokens, overlap 20; all originals are split again",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := fakeapi.New(t)
			if test.want.Collection != "default" {
				server.Collections = []string{"default", "docs"}
			}
			got := gristmill(t, server, append([]string{"reindex"}, test.args...)...)
			ignored := cmpopts.IgnoreFields(document.Reindex{}, "ID", "State", "CreatedAt")
			if diff := cmp.Diff([]document.Reindex{test.want}, server.Reindexes(), ignored); diff != "" {
				t.Fatalf("begun reindexes (-want +got):\n%s", diff)
			}
			id := server.Reindexes()[0].ID.String()
			want := "reindex " + id + " of " + test.want.Collection + ": " + test.shown
			for _, want := range []string{want, "gristmill reindex " + id + " --watch\n", "gristmill reindex " + id + " --pause\n", "gristmill reindex " + id + " --cancel\n"} {
				if !strings.Contains(got.stdout, want) {
					t.Errorf("stdout has no %q:\n%s", want, got.stdout)
				}
			}
			again := gristmill(t, server, append([]string{"reindex"}, test.args...)...)
			if again.code != 1 || !strings.Contains(again.stderr, id) {
				t.Errorf("a second reindex: exit %d %s, want exit 1 and the id of the first", again.code, again.stderr)
			}
		})
	}
}

// An overlap of 0 is sent if the flag is set.
func TestReindexWithoutOverlap(t *testing.T) {
	t.Parallel()
	server := fakeapi.New(t)
	gristmill(t, server, "reindex", "--chunk-tokens", "100", "--chunk-overlap", "0", "--dry-run")
	if n := len(server.Reindexes()); n != 0 {
		t.Errorf("a dry run has begun %d reindexes", n)
	}
	want := `{"chunk_tokens":100,"chunk_overlap":0,"dry_run":true}`
	if got := server.ReindexBodies(); len(got) != 1 || string(got[0]) != want {
		t.Errorf("sent %s, want %s", got, want)
	}
}

func TestReindexDryRun(t *testing.T) {
	t.Parallel()
	cost, duration := 0.0912, 125.0
	server := fakeapi.New(t)
	server.Collections = []string{"default", "docs"}
	server.Estimate = document.ReindexEstimate{Documents: 99, Passages: 12345, Reusable: 345, Tokens: 4560000, Cost: &cost, Seconds: &duration, Sampled: true}
	got := gristmill(t, server, "reindex", "--dry-run", "--collection", "docs", "--model", "m", "--dimensions", "1536")
	want := "COLLECTION  CHANGE  MODEL  DIMENSIONS  DOCUMENTS  PASSAGES  REUSED  TOKENS    COST      TIME\n" +
		"docs        model   m      1536        99         ~12345    ~345    ~4560000  ~$0.0912  ~2m5s\n" +
		"~ estimated from a part of the documents\nDry run: no reindex was begun.\n"
	if diff := cmp.Diff(want, got.stdout); got.code != 0 || diff != "" {
		t.Errorf("exit %d, output (-want +got):\n%s", got.code, diff)
	}
	server.Estimate.Summaries = document.SummaryEstimate{Sections: 900, Reusable: 800, Calls: 9, Input: 50000, Output: 8000}
	if got := gristmill(t, server, "reindex", "--dry-run", "--collection", "docs", "--force").stdout; !strings.Contains(got,
		"\nSummaries of docs: ~9 calls of the chat model, about 50000 tokens of input and 8000 of output (~800 of ~900 sections are reused).\n") {
		t.Errorf("with summaries: got\n%s\nwant a line about summaries", got)
	}
	server.Estimate.Cost, server.Estimate.Seconds, server.Estimate.Sampled = nil, nil, false
	if got := gristmill(t, server, "reindex", "--dry-run").stdout; strings.Count(got, "no price  no rate\n") != 2 || strings.Contains(got, "~") {
		t.Errorf("without price and rate: got\n%s\nwant two lines that say so", got)
	}
	var one document.ReindexEstimate
	if err := json.Unmarshal([]byte(gristmill(t, server, "reindex", "--dry-run", "--collection", "docs", "--json").stdout), &one); err != nil || one.Passages != 12345 {
		t.Errorf("--json: %+v, %v", one, err)
	}
	if n := len(server.Reindexes()); n != 0 {
		t.Errorf("dry runs have begun %d reindexes", n)
	}
}

func TestReindexWatch(t *testing.T) {
	t.Parallel()
	server := fakeapi.New(t)
	server.ReindexUpdates = []document.Reindex{
		{Stage: document.StageDocuments, Progress: document.ReindexProgress{Documents: 2, Bytes: 100}},
		{Stage: document.StageDocuments, Progress: document.ReindexProgress{Documents: 2, Bytes: 100, BytesDone: 50}},
		{State: document.JobWaiting, Stage: document.StageDocuments, Error: "the provider\nis down"},
		{Stage: document.StageIndex},
		{Stage: document.StageVerify, Progress: document.ReindexProgress{Documents: 2, DocumentsDone: 2, Passages: 7, Embedded: 5, Reused: 2, Seconds: 3.14}},
	}
	got := gristmill(t, server, "reindex", "--model", "m", "--collection", "default", "--watch")
	id := server.Reindexes()[0].ID.String()
	line := "reindex " + id + " of default: "
	want := line + "embedding\n" + line + "waiting: the provider is down\n" + line + "building the index\n" + line + "verifying\n"
	if got.code != 0 || got.stderr != want {
		t.Errorf("exit %d, stderr:\n%swant:\n%s", got.code, got.stderr, want)
	}
	end := regexp.MustCompile(`\n` + line[:len(line)-2] + ` has succeeded: 2 of 2 documents, 7 passages \(5 embedded, 2 reused\), 3\.1s of work\n` +
		`Searches now use m \(64 dimensions\)\.\n` +
		`The previous space is kept for 24h, until \d{4}-\d\d-\d\d \d\d:\d\d:\d\d\. Switch back: gristmill reindex ` + id + ` --revert\n$`)
	if !end.MatchString(got.stdout) {
		t.Errorf("stdout:\n%swant this end:\n%s", got.stdout, end)
	}
}

func TestReindexWatchAsJSON(t *testing.T) {
	t.Parallel()
	server := fakeapi.New(t)
	server.ReindexUpdates = []document.Reindex{{Stage: document.StageDocuments}, {State: document.JobFailed, Error: "wrong dimension"}}
	got := gristmill(t, server, "reindex", "--collection", "default", "--watch", "--json")
	var reindex document.Reindex
	if err := json.Unmarshal([]byte(got.stdout), &reindex); err != nil || reindex.State != document.JobFailed || got.code != 1 || got.stderr != "" {
		t.Errorf("got %+v, %v; want exit 1 and only the ended reindex", got, err)
	}
	server.ReindexUpdates = nil
	got = gristmill(t, server, "reindex", "--watch", "--json")
	var list document.List[document.Reindex]
	if err := json.Unmarshal([]byte(got.stdout), &list); err != nil || len(list.Items) != 1 || list.Items[0].State != document.JobSucceeded || got.code != 0 {
		t.Errorf("all collections: got %+v, %v; want exit 0 and a list of ended reindexes", got, err)
	}
}

func TestReindexFailed(t *testing.T) {
	t.Parallel()
	server := fakeapi.New(t)
	server.ReindexUpdates = []document.Reindex{{State: document.JobFailed, Error: "the model\nis down"}}
	got := gristmill(t, server, "reindex", "--watch")
	id := server.Reindexes()[0].ID.String()
	want := "has failed: the model is down\nSearches have not changed. To continue from the work done so far: gristmill reindex " + id + " --resume\n"
	if got.code != 1 || !strings.HasSuffix(got.stdout, want) {
		t.Errorf("exit %d, stdout:\n%swant exit 1 and this end:\n%s", got.code, got.stdout, want)
	}
	if shown := gristmill(t, server, "reindex", id); shown.code != 0 || !strings.Contains(shown.stdout, "error       the model is down\n") {
		t.Errorf("show: got %+v, want exit 0 and the error", shown)
	}
	if resumed := gristmill(t, server, "reindex", "--resume", "--watch"); resumed.code != 0 || !strings.Contains(resumed.stdout, "has succeeded") {
		t.Errorf("resume: got %+v, want exit 0 and success", resumed)
	}
}

func TestReindexShown(t *testing.T) {
	t.Setenv("TZ", "UTC")
	server := fakeapi.New(t)
	until := time.Date(2026, 1, 3, 3, 4, 5, 0, time.UTC)
	id := server.AddReindex(document.Reindex{
		Collection: "docs", Change: document.ChangeModel, Model: "m", Dimensions: 8, State: document.JobSucceeded, Stage: document.StageDone, Attempt: 2,
		Progress:        document.ReindexProgress{Documents: 1, DocumentsDone: 1, Bytes: 9, BytesDone: 9, Passages: 3, Embedded: 3, Seconds: 3725},
		RevertibleUntil: &until,
	}).String()
	want := "reindex     " + id + "  succeeded\n" +
		"collection  docs                                  → m (8 dimensions); all passages are embedded again, from the stored text\n" +
		"stage       done                                  attempt 2\n" +
		"progress    9 of 9 bytes                          1 of 1 document, 3 passages (3 embedded, 0 reused), 1h2m of work\n" +
		"revertible  until 2026-01-03 03:04:05             gristmill reindex " + id + " --revert --server " + server.URL + "\n"
	got := gristmill(t, server, "reindex", id, "--server", server.URL)
	if diff := cmp.Diff(want, got.stdout); got.code != 0 || diff != "" {
		t.Errorf("exit %d, output (-want +got):\n%s", got.code, diff)
	}
	var reindex document.Reindex
	if err := json.Unmarshal([]byte(gristmill(t, server, "reindex", id, "--json").stdout), &reindex); err != nil || reindex.ID.String() != id {
		t.Errorf("--json: %+v, %v", reindex, err)
	}
}

// Without an id, an action applies to the newest suitable reindex, but not to one before the last
// change of the space.
func TestReindexActions(t *testing.T) {
	t.Parallel()
	until := time.Now().Add(time.Hour)
	failed := document.Reindex{Collection: "docs", Change: document.ChangeModel, State: document.JobFailed}
	switched := document.Reindex{Collection: "docs", Change: document.ChangeModel, State: document.JobSucceeded, Stage: document.StageDone, RevertibleUntil: &until}
	reverted := document.Reindex{Collection: "docs", Change: document.ChangeModel, State: document.JobSucceeded, Stage: document.StageReverted}
	redone := document.Reindex{Collection: "docs", Change: document.ChangeNothing, State: document.JobSucceeded}
	paused := document.Reindex{Collection: "docs", Change: document.ChangeModel, State: document.JobPaused}
	running := document.Reindex{Collection: "docs", Change: document.ChangeModel, State: document.JobRunning}
	other := document.Reindex{Collection: "other", Change: document.ChangeModel, State: document.JobRunning}
	for name, test := range map[string]struct {
		existing []document.Reindex // the newest last
		flag     string
		selected int    // index in existing, -1 for none
		output   string // on stdout, or on stderr if the command fails
	}{
		"pause":                         {[]document.Reindex{switched, running, other}, "--pause", 1, "is paused; continue it: gristmill reindex "},
		"resume a paused reindex":       {[]document.Reindex{failed, paused}, "--resume", 1, "is queued; follow it: gristmill reindex "},
		"resume a failed reindex":       {[]document.Reindex{failed, redone}, "--resume", 0, "is queued"},
		"resume before the last switch": {[]document.Reindex{failed, switched}, "--resume", -1, "none has failed since"},
		"cancel":                        {[]document.Reindex{paused, other}, "--cancel", 0, "is cancelled; searches have not changed"},
		"nothing to cancel":             {[]document.Reindex{switched, other}, "--cancel", -1, "none is running"},
		"revert":                        {[]document.Reindex{switched, switched, redone}, "--revert", 1, "is reverted: the previous space answers searches again"},
		"revert again":                  {[]document.Reindex{switched, reverted}, "--revert", -1, "does not allow to revert it"},
		"nothing to revert":             {[]document.Reindex{redone}, "--revert", -1, "none has changed the space"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := fakeapi.New(t)
			server.MaxPageSize = 1 // for several pages
			for _, reindex := range test.existing {
				server.AddReindex(reindex)
			}
			before := server.Reindexes()
			got := gristmill(t, server, "reindex", test.flag, "--collection", "docs")
			after := server.Reindexes()
			for i := range after {
				if changed := !cmp.Equal(before[i], after[i]); changed != (i == test.selected) {
					t.Errorf("reindex %d is %s, was %s; want a change of reindex %d only", i, after[i].State, before[i].State, test.selected)
				}
			}
			if test.selected < 0 {
				if got.code != 1 || !strings.Contains(got.stderr, test.output) {
					t.Errorf("got %+v, want exit 1 and %q", got, test.output)
				}
				return
			}
			if got.code != 0 || !strings.Contains(got.stdout, "reindex "+after[test.selected].ID.String()+" of docs "+test.output) {
				t.Errorf("got %+v, want exit 0 and %q", got, test.output)
			}
		})
	}
}

// --watch follows a revert that has to complete the previous space first.
func TestReindexRevertWatch(t *testing.T) {
	t.Parallel()
	server := fakeapi.New(t)
	id := server.AddReindex(document.Reindex{Collection: "docs", Change: document.ChangeModel, State: document.JobQueued, Stage: document.StageReverting}).String()
	server.ReindexUpdates = []document.Reindex{{Stage: document.StageReverting}}
	got := gristmill(t, server, "reindex", id, "--watch")
	if got.code != 0 || !strings.Contains(got.stderr, "completing the previous space") || !strings.Contains(got.stdout, "is reverted") {
		t.Errorf("got %+v, want exit 0, the stage and the result", got)
	}
}
