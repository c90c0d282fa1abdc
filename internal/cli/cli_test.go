package cli_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-7a112592/gristmill/internal/cli"
	"github.com/seed-7a112592/gristmill/internal/test/fakeapi"
	"github.com/seed-7a112592/gristmill/internal/upload"
	"github.com/seed-7a112592/gristmill/internal/verification"
	"github.com/seed-7a112592/gristmill/pkg/document"
)

// result is the exit status and the output of a command.
type result struct {
	code           int
	stdout, stderr string
}

// gristmill runs a command with arguments against a server.
func gristmill(t *testing.T, server *fakeapi.Server, args ...string) result {
	t.Helper()
	var stdout, stderr bytes.Buffer
	code := cli.Run(t.Context(), args, cli.Deps{
		Stdout: &stdout,
		Stderr: &stderr,
		Getenv: func(name string) string {
			return map[string]string{"GRISTMILL_SERVER": server.URL, "GRISTMILL_KEY": "from-environment"}[name]
		},
		Migrate: func(context.Context) error { return errors.New("no database") },
		Doctor: func(_ context.Context, w io.Writer) error {
			_, err := fmt.Fprintln(w, "all ok")
			return err
		},
		Models: func(_ context.Context, lift bool, w io.Writer) error {
			_, err := fmt.Fprintln(w, "lift:", lift)
			return err
		},
		Verify: func(_ context.Context, options cli.VerifyOptions, found func(verification.Finding) error) (cli.VerifyResult, error) {
			switch options.Collection {
			case "damaged":
				f := verification.Finding{Kind: verification.FindingOriginalGone, Collection: "damaged", Key: "a.md", Version: 2, Object: "default/1", Detail: "it is lost", Remedy: "upload it again"}
				return cli.VerifyResult{Documents: 3, Findings: 1}, found(f)
			case "interrupted":
				return cli.VerifyResult{Documents: 2, After: "default/7"}, errors.New("no database")
			}
			return cli.VerifyResult{Documents: 3, Bytes: 10, Objects: 4}, nil
		},
		Dev: func(_ context.Context, options cli.DevOptions) error {
			return json.NewEncoder(&stdout).Encode(options)
		},
	})
	return result{code, stdout.String(), stderr.String()}
}

// writeDocuments writes three files and returns their directory.
func writeDocuments(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for name, content := range map[string]string{"a.md": "# a", "b.md": "# b", "c.md": "# c"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestExitCodes(t *testing.T) {
	t.Parallel()
	dir := writeDocuments(t)
	for name, test := range map[string]struct {
		args   []string
		code   int
		stderr string
	}{
		"help":                        {[]string{"--help"}, 0, ""},
		"no arguments":                {nil, 0, ""},
		"upload":                      {[]string{"upload", dir}, 0, ""},
		"upload and wait":             {[]string{"upload", "--wait", dir + "/a.md"}, 0, ""},
		"upload, a job fails":         {[]string{"upload", "--wait", dir + "/b.md"}, 1, ""},
		"upload, the wait times out":  {[]string{"upload", "--wait=10ms", dir + "/c.md"}, 124, "timeout: some jobs have not ended"},
		"upload nothing":              {[]string{"upload"}, 2, "requires at least 1 arg"},
		"upload a missing path":       {[]string{"upload", dir + "/missing"}, 1, "missing"},
		"upload an empty directory":   {[]string{"upload", t.TempDir()}, 1, "no markdown or text files"},
		"a bad wait":                  {[]string{"upload", "--wait=soon", dir}, 2, "not a duration"},
		"an unknown command":          {[]string{"uplaod"}, 2, "unknown command"},
		"an unknown flag":             {[]string{"jobs", "--nonsense"}, 2, "unknown flag"},
		"a bad server":                {[]string{"jobs", "--server", "nonsense"}, 2, "want a URL"},
		"no server":                   {[]string{"jobs", "--server", "http://127.0.0.1:1"}, 1, "start one with 'gristmill dev'"},
		"jobs":                        {[]string{"jobs"}, 0, ""},
		"a job with a bad id":         {[]string{"jobs", "nonsense"}, 2, "want an id"},
		"a job that does not exist":   {[]string{"jobs", "0199c7a4-0000-7000-8000-000000000000"}, 1, "no job 0199c7a4"},
		"jobs, failed and in a state": {[]string{"jobs", "--failed", "--state", "queued"}, 2, "none of the others can be"},
		"cancel nothing":              {[]string{"cancel"}, 2, "requires at least 1 arg"},
		"cancel a job with a bad id":  {[]string{"cancel", "nonsense"}, 2, "want an id"},
		"cancel a missing job":        {[]string{"cancel", "0199c7a4-0000-7000-8000-000000000000"}, 1, "0199c7a4-0000-7000-8000-000000000000: no job 0199c7a4"},
		"retry nothing":               {[]string{"retry"}, 2, "--failed"},
		"retry a job with a bad id":   {[]string{"retry", "nonsense"}, 2, "want an id"},
		"retry a job and all":         {[]string{"retry", "--failed", "0199c7a4-0000-7000-8000-000000000000"}, 2, "--failed"},
		"retry a job of a collection": {[]string{"retry", "--collection", "x", "0199c7a4-0000-7000-8000-000000000000"}, 2, "--collection"},
		"retry without failed jobs":   {[]string{"retry", "--failed"}, 0, ""},
		"retry, no server":            {[]string{"retry", "--failed", "--server", "http://127.0.0.1:1"}, 1, "start one with 'gristmill dev'"},
		"search":                      {[]string{"search", "q"}, 0, "Nothing found"},
		"search for nothing":          {[]string{"search"}, 2, "requires at least 1 arg"},
		"migrate fails":               {[]string{"migrate"}, 1, "gristmill migrate: no database"},
		"doctor":                      {[]string{"doctor"}, 0, ""},
		"dev":                         {[]string{"dev"}, 0, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := fakeapi.New(t)
			server.JobErrors = map[string]string{"b.md": "the model is down"}
			server.UnendingJobs = map[string]bool{"c.md": true}
			got := gristmill(t, server, test.args...)
			if got.code != test.code || !strings.Contains(got.stderr, test.stderr) {
				t.Errorf("exit %d, want %d with %q\nstdout: %s\nstderr: %s", got.code, test.code, test.stderr, got.stdout, got.stderr)
			}
			if hint := strings.Contains(got.stderr, "--help' for usage"); hint != (test.code == 2) {
				t.Errorf("exit %d shows how to get help: %v, want it for status 2 only\nstderr: %s", got.code, hint, got.stderr)
			}
		})
	}
}

func TestUpload(t *testing.T) {
	t.Parallel()
	server := fakeapi.New(t)
	server.UploadRejections = map[string]string{"b.md": "the document is empty"}
	dir := writeDocuments(t)

	got := gristmill(t, server, "upload", "--collection", "x", "--wait", dir)
	if got.code != 1 || !strings.Contains(got.stdout, "documents") || !strings.Contains(got.stdout, "b.md  the document is empty (empty_document)") {
		t.Errorf("exit %d, want 1 and a table with the failure:\n%s%s", got.code, got.stdout, got.stderr)
	}
	if diff := cmp.Diff(map[string]string{"x:a.md": "# a", "x:c.md": "# c"}, server.Contents()); diff != "" {
		t.Errorf("uploaded (-want +got):\n%s", diff)
	}

	got = gristmill(t, server, "upload", "--collection", "x", "--json", "--wait", dir)
	var uploaded upload.Result
	if err := json.Unmarshal([]byte(got.stdout), &uploaded); err != nil {
		t.Fatalf("stdout %q: %v", got.stdout, err)
	}
	if uploaded.Documents != 2 || uploaded.Unchanged != 2 || uploaded.Passages != 4 || len(uploaded.Failures) != 1 {
		t.Errorf("result %+v, want two unchanged documents and a failure", uploaded)
	}
}

func TestKeyComesFromFlagOrEnvironment(t *testing.T) {
	t.Parallel()
	server := fakeapi.New(t)
	server.Key = "from-environment"
	if got := gristmill(t, server, "jobs"); got.code != 0 {
		t.Errorf("key from the environment: exit %d %s, want 0", got.code, got.stderr)
	}
	if got := gristmill(t, server, "jobs", "--key", "another"); got.code != 1 || !strings.Contains(got.stderr, "the key is not valid (unauthenticated)") {
		t.Errorf("another key: exit %d %s, want 1 and the server's error", got.code, got.stderr)
	}
}

// anyID matches ids, which differ in each run.
var anyID = regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f-]{27}`)

func TestJobs(t *testing.T) {
	t.Setenv("TZ", "UTC")
	server := fakeapi.New(t)
	server.JobErrors = map[string]string{"b.md": "the model\nis down"}
	server.JobWarnings = map[string]document.Warnings{"b.md": {{Code: "passage_truncated", Detail: "too\nlong", Start: 3, End: 9}}}
	gristmill(t, server, "upload", "--collection", "x", writeDocuments(t)+"/b.md")

	got := gristmill(t, server, "jobs")
	if got.code != 0 || !regexp.MustCompile(`(?m)^JOB +STATE +PASSAGES.*\n\S{36}  failed  2 .* x .* the model is down\n`).MatchString(got.stdout) {
		t.Errorf("exit %d, table:\n%s", got.code, got.stdout)
	}
	id := anyID.FindString(got.stdout)

	one := gristmill(t, server, "jobs", id)
	for _, want := range []string{"job        " + id + "  failed", "2 passages (1 embedded, 1 reused)", "the model is down",
		"warning    passage_truncated", "bytes 3 to 9: too long"} {
		if !strings.Contains(one.stdout, want) {
			t.Errorf("one job is shown without %q:\n%s", want, one.stdout)
		}
	}
	if n := strings.Count(one.stdout, "the model is down"); n != 1 {
		t.Errorf("the reason is shown %d times, want once:\n%s", n, one.stdout)
	}
	if one.code != 0 {
		t.Errorf("showing a failed job: exit %d, want 0", one.code)
	}
	if watched := gristmill(t, server, "jobs", id, "--watch"); watched.code != 1 {
		t.Errorf("watching a failed job: exit %d, want 1", watched.code)
	}

	var job document.Job
	if err := json.Unmarshal([]byte(gristmill(t, server, "jobs", id, "--json").stdout), &job); err != nil || job.ID.String() != id {
		t.Errorf("--json: job %s, %v", job.ID, err)
	}
	var list document.List[document.Job]
	if err := json.Unmarshal([]byte(gristmill(t, server, "jobs", "--json").stdout), &list); err != nil || len(list.Items) != 1 {
		t.Errorf("--json: list %+v, %v", list, err)
	}
	if got := gristmill(t, server, "jobs", "--failed"); !strings.Contains(got.stdout, id) {
		t.Errorf("--failed does not show the failed job:\n%s", got.stdout)
	}
	if got := gristmill(t, server, "jobs", "--state", "queued"); strings.Contains(got.stdout, id) {
		t.Errorf("--state queued shows a failed job:\n%s", got.stdout)
	}
}

func TestCancel(t *testing.T) {
	t.Parallel()
	server := fakeapi.New(t)
	server.UnendingJobs = map[string]bool{"a.md": true, "c.md": true}
	gristmill(t, server, "upload", writeDocuments(t))
	running, finished := jobsIn(server, document.JobRunning), jobsIn(server, document.JobSucceeded)[0]

	got := gristmill(t, server, "cancel", running[0], finished, running[1])
	want := result{1, running[0] + "  cancelled  cancelled on request\n" + running[1] + "  cancelled  cancelled on request\n", finished + ": job " + finished + " has succeeded (conflict)\n"}
	if got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
	if again := gristmill(t, server, "cancel", "--json", running[0]); again.code != 0 || !strings.Contains(again.stdout, `"state":"cancelled"`) {
		t.Errorf("--json: %+v, want the cancelled job", again)
	}
}

func TestRetry(t *testing.T) {
	t.Parallel()
	server := fakeapi.New(t)
	server.JobErrors = map[string]string{"a.md": "the model is down", "b.md": "the model is down", "c.md": "the model is down"}
	server.JobConflicts = map[string]string{"a.md": "superseded by version 2"}
	server.MaxPageSize = 1 // for three pages
	gristmill(t, server, "upload", "--collection", "x", writeDocuments(t))
	failed := jobsIn(server, document.JobFailed)

	if got := gristmill(t, server, "retry", "--failed", "--collection", "y"); got != (result{}) {
		t.Errorf("another collection: %+v, want no output", got)
	}
	got := gristmill(t, server, "retry", "--failed", "--collection", "x")
	if got.code != 1 || anyID.ReplaceAllString(got.stdout, "ID") != "ID  queued\nID  queued\n" ||
		anyID.ReplaceAllString(got.stderr, "ID") != "ID: superseded by version 2 (conflict)\n" {
		t.Errorf("--failed: %+v, want two retried and one reported", got)
	}
	if left := jobsIn(server, document.JobFailed); len(left) != 1 {
		t.Errorf("%d failed jobs are left, want only the superseded one", len(left))
	}
	server.JobConflicts = nil
	for _, id := range failed {
		if got := gristmill(t, server, "retry", id); got.code != 0 || got.stdout != id+"  queued\n" {
			t.Errorf("one job: %+v, want it queued", got)
		}
	}
}

// jobsIn returns the ids of the jobs in a state.
func jobsIn(server *fakeapi.Server, state document.JobState) (ids []string) {
	for _, job := range server.Jobs() {
		if job.State == state {
			ids = append(ids, job.ID.String())
		}
	}
	return ids
}

func TestWatchAll(t *testing.T) {
	t.Parallel()
	server := fakeapi.New(t)
	server.JobErrors = map[string]string{"b.md": "the model is down"}
	gristmill(t, server, "upload", writeDocuments(t))
	got := gristmill(t, server, "jobs", "--watch", "--state", "failed")
	if got.code != 1 || anyID.ReplaceAllString(got.stdout, "ID") != "ID  failed  the model is down\n" || !strings.Contains(got.stderr, "1 job did not succeed") {
		t.Errorf("exit %d, want 1 and the failed job\n%s%s", got.code, got.stdout, got.stderr)
	}
	if got := gristmill(t, server, "jobs", "--watch"); got.code != 0 || got.stdout != "" {
		t.Errorf("no running jobs: exit %d, want 0 and no output\n%s%s", got.code, got.stdout, got.stderr)
	}
}

func TestSearch(t *testing.T) {
	t.Parallel()
	server := fakeapi.New(t)
	server.SearchResult = document.SearchResult{Hits: []document.Hit{
		{Passage: document.Passage{HeadingPath: []string{"Guide", "Install"}, Content: "# Install\n\nRun it."}, Key: "guide/a.md", Score: 0.91234},
		{Passage: document.Passage{Content: strings.Repeat("語", 150)}, Key: "b.md", Score: 0.5},
	}}
	got := gristmill(t, server, "search", "how", "to", "install", "--collection", "x", "--limit", "2", "--threshold", "0")
	want := "0.912  guide/a.md  Guide › Install\n" +
		"       # Install Run it.\n" +
		"0.500  b.md\n" +
		"       " + strings.Repeat("語", 99) + "…\n"
	if diff := cmp.Diff(want, got.stdout); got.code != 0 || diff != "" {
		t.Errorf("exit %d, output (-want +got):\n%s", got.code, diff)
	}
	sent := string(server.Searches()[0])
	if want := `{"collection":"x","query":"how to install","limit":2,"threshold":0}`; sent != want {
		t.Errorf("sent %s, want %s", sent, want)
	}

	var result document.SearchResult
	if err := json.Unmarshal([]byte(gristmill(t, server, "search", "q", "--json").stdout), &result); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(server.SearchResult, result); diff != "" {
		t.Errorf("--json (-want +got):\n%s", diff)
	}
}

func TestDevOptions(t *testing.T) {
	t.Parallel()
	server := fakeapi.New(t)
	got := gristmill(t, server, "dev", "--addr", "127.0.0.1:9", "--data", "d", "--collection", "c", "--once", "docs", "more")
	var options cli.DevOptions
	if err := json.Unmarshal([]byte(got.stdout), &options); err != nil {
		t.Fatal(err)
	}
	want := cli.DevOptions{Addr: "127.0.0.1:9", Data: "d", Collection: "c", Once: true, Paths: []string{"docs", "more"}}
	if diff := cmp.Diff(want, options); diff != "" {
		t.Errorf("options (-want +got):\n%s", diff)
	}
}

func TestModels(t *testing.T) {
	t.Parallel()
	server := fakeapi.New(t)
	for lift, args := range map[string][]string{"lift: false\n": {"models"}, "lift: true\n": {"models", "--lift"}} {
		if got := gristmill(t, server, args...); got.code != cli.ExitDone || got.stdout != lift {
			t.Errorf("%q: got %+v, want exit 0 and %q", args, got, lift)
		}
	}
	if got := gristmill(t, server, "models", "x"); got.code != cli.ExitUsage {
		t.Errorf("models with an argument: got %+v, want exit %d", got, cli.ExitUsage)
	}
}

func TestDoctorHealth(t *testing.T) {
	t.Parallel()
	server := fakeapi.New(t)
	for target, want := range map[string]int{
		server.URL + "/healthz":  0,
		server.URL + "/nowhere":  1,
		"http://127.0.0.1:1":     1,
		"http://127.0.0.1:1:1/x": 2,
	} {
		if got := gristmill(t, server, "doctor", "--health", target); got.code != want {
			t.Errorf("--health %s: exit %d %s, want %d", target, got.code, got.stderr, want)
		}
	}
}

// A command line with a missing function does not run.
func TestRunChecksDeps(t *testing.T) {
	t.Parallel()
	if got := cli.Run(t.Context(), []string{"--help"}, cli.Deps{Stdout: io.Discard, Stderr: io.Discard}); got != cli.ExitFailed {
		t.Errorf("exit %d, want %d", got, cli.ExitFailed)
	}
}

// A search that the server postpones is sent again after the requested wait, or fails if that is
// too long. The reasons for waits and for the failure are printed on standard error.
func TestSearchWithColdModel(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		waits  []int // that the server requests, in seconds
		code   int
		stderr string
	}{
		"a short wait": {[]int{1}, 0, "^the question cannot be embedded now .unavailable.*\nAsking again in 1s.\nNothing found.\n$"},
		"a long wait": {[]int{1, 3600}, 1,
			"^the question cannot be embedded now .unavailable.*\nAsking again in 1s.\ngristmill search: the question cannot be embedded now .unavailable.*\n$"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := fakeapi.New(t)
			server.SearchRetryAfter = test.waits
			got := gristmill(t, server, "search", "rye?")
			if got.code != test.code || got.stdout != "" || !regexp.MustCompile(test.stderr).MatchString(got.stderr) {
				t.Errorf("exit %d, stdout %q, stderr %q; want exit %d and %s", got.code, got.stdout, got.stderr, test.code, test.stderr)
			}
			if sent, want := len(server.Searches()), len(test.waits)+1-test.code; sent != want {
				t.Errorf("%d searches were sent, want %d", sent, want)
			}
		})
	}
}
