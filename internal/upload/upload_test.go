package upload_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/seed-7a112592/gristmill/internal/test/fakeapi"
	"github.com/seed-7a112592/gristmill/internal/upload"
	"github.com/seed-7a112592/gristmill/pkg/client"
	"github.com/seed-7a112592/gristmill/pkg/document"
)

// writeTree writes files into a new directory and returns it. The map has their contents by slash
// path.
func writeTree(t *testing.T, files map[string]string) string {
	t.Helper()
	root := t.TempDir()
	for name, content := range files {
		path := filepath.Join(root, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

func TestFind(t *testing.T) {
	t.Parallel()
	root := writeTree(t, map[string]string{
		"docs/guide/a.md": "# a", "docs/b.MARKDOWN": "# b", "docs/c.mdown": "c", "docs/d.txt": "d",
		"docs/image.png": "x", "docs/.hidden.md": "x", "docs/.git/e.md": "x", "other/guide/a.md": "# a", "notes": "n",
		"mac/cafe\u0301.md": "# c", "linux/caf\u00e9.md": "# c",
	})
	for link, target := range map[string]string{"link": "docs", "docs/link.md": "guide/a.md", "docs/broken.md": "nowhere.md", "docs/other": "../other"} {
		if err := os.Symlink(filepath.FromSlash(target), filepath.Join(root, filepath.FromSlash(link))); err != nil {
			t.Fatal(err)
		}
	}
	docs := []string{"b.MARKDOWN", "c.mdown", "d.txt", "guide/a.md", "link.md"}
	for name, test := range map[string]struct {
		paths []string
		keys  []string
		err   string
	}{
		"a directory":             {[]string{"docs"}, docs, ""},
		"with a slash":            {[]string{"docs/"}, docs, ""},
		"a link to a directory":   {[]string{"link"}, docs, ""},
		"a file":                  {[]string{"docs/guide/a.md"}, []string{"a.md"}, ""},
		"a file of any name":      {[]string{"notes"}, []string{"notes"}, ""},
		"several":                 {[]string{"docs/guide", "notes"}, []string{"a.md", "notes"}, ""},
		"the same key twice":      {[]string{"docs", "other"}, nil, `have the same key "guide/a.md"`},
		"a name in two spellings": {[]string{"mac", "linux"}, nil, "have the same key \"caf\u00e9.md\""},
		"another spelling":        {[]string{"mac/cafe\u0301.md"}, []string{"caf\u00e9.md"}, ""},
		"a missing path":          {[]string{"docs", "missing"}, nil, "missing"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var paths []string
			for _, path := range test.paths {
				paths = append(paths, root+"/"+path)
			}
			files, err := upload.Find(paths)
			if (err == nil) != (test.err == "") || (err != nil && !strings.Contains(err.Error(), test.err)) {
				t.Fatalf("error %v, want %q", err, test.err)
			}
			var keys []string
			for _, file := range files {
				keys = append(keys, file.Key)
				info, err := os.Stat(file.Path)
				if err != nil || info.Size() != file.Size {
					t.Errorf("file %+v has another size, or stat failed: %v", file, err)
				}
			}
			if diff := cmp.Diff(test.keys, keys); diff != "" {
				t.Errorf("keys (-want +got):\n%s", diff)
			}
		})
	}
}

// prepareFiles returns three files and a configuration that uploads them to server.
func prepareFiles(t *testing.T, server *fakeapi.Server) ([]upload.File, upload.Config) {
	t.Helper()
	files, err := upload.Find([]string{writeTree(t, map[string]string{"a.md": "# a", "b.md": "# bb", "c/d.txt": "ccc"})})
	if err != nil {
		t.Fatal(err)
	}
	c, err := client.New(server.URL, "", nil)
	if err != nil {
		t.Fatal(err)
	}
	return files, upload.Config{Client: c, Collection: "x"}
}

var ignoreTime = cmp.Options{cmpopts.IgnoreFields(upload.Result{}, "Seconds"), cmpopts.EquateEmpty()}

func TestRun(t *testing.T) {
	t.Parallel()
	server := fakeapi.New(t)
	files, config := prepareFiles(t, server)
	result, err := upload.Run(t.Context(), files, config)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(upload.Result{Documents: 3, Bytes: 10, Failures: []upload.Failure{}}, result, ignoreTime); diff != "" {
		t.Errorf("result (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(map[string]string{"x:a.md": "# a", "x:b.md": "# bb", "x:c/d.txt": "ccc"}, server.Contents()); diff != "" {
		t.Errorf("uploaded (-want +got):\n%s", diff)
	}

	config.AwaitJobs = true
	result, err = upload.Run(t.Context(), files, config)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(upload.Result{Documents: 3, Unchanged: 3, Bytes: 10, Passages: 6, Reused: 6, Failures: []upload.Failure{}}, result, ignoreTime); diff != "" {
		t.Errorf("result of the second run (-want +got):\n%s", diff)
	}
}

func TestRunCountsFailures(t *testing.T) {
	t.Parallel()
	server := fakeapi.New(t)
	server.UploadRejections = map[string]string{"a.md": "the document is empty"}
	server.JobErrors = map[string]string{"b.md": "the model is down"}
	files, config := prepareFiles(t, server)
	config.AwaitJobs = true
	stages := map[string][]upload.Stage{}
	config.Report = func(event upload.Event) { stages[event.File.Key] = append(stages[event.File.Key], event.Stage) }
	result, err := upload.Run(t.Context(), files, config)
	if err != nil {
		t.Fatal(err)
	}
	want := upload.Result{Documents: 2, Bytes: 7, Passages: 2, Embedded: 1, Reused: 1, Failures: []upload.Failure{
		{Path: files[0].Path, Key: "a.md", Reason: "the document is empty (empty_document)"},
		{Path: files[1].Path, Key: "b.md", Reason: "the model is down"},
	}}
	byKey := cmpopts.SortSlices(func(a, b upload.Failure) bool { return a.Key < b.Key })
	if diff := cmp.Diff(want, result, ignoreTime, byKey); diff != "" {
		t.Errorf("result (-want +got):\n%s", diff)
	}
	wantStages := map[string][]upload.Stage{
		"a.md":    {upload.StageFailed},
		"b.md":    {upload.StageUploaded, upload.StageFailed},
		"c/d.txt": {upload.StageUploaded, upload.StageSucceeded},
	}
	if diff := cmp.Diff(wantStages, stages); diff != "" {
		t.Errorf("reported (-want +got):\n%s", diff)
	}
}

// Run lists the warnings of all files, with and without waiting for jobs, also if the job failed.
func TestRunListsWarnings(t *testing.T) {
	t.Parallel()
	for _, await := range []bool{false, true} {
		server := fakeapi.New(t)
		warning := document.Warning{Code: "front_matter_unreadable", Detail: "line 2", Start: 3, End: 20}
		server.JobWarnings = map[string]document.Warnings{"a.md": {warning}, "b.md": {warning}}
		server.JobErrors = map[string]string{"b.md": "the model is down"}
		files, config := prepareFiles(t, server)
		config.AwaitJobs = await
		result, err := upload.Run(t.Context(), files, config)
		if err != nil {
			t.Fatal(err)
		}
		want := []upload.Warning{{Path: files[0].Path, Key: "a.md", Warning: warning}, {Path: files[1].Path, Key: "b.md", Warning: warning}}
		byKey := cmpopts.SortSlices(func(a, b upload.Warning) bool { return a.Key < b.Key })
		if diff := cmp.Diff(want, result.Warnings, byKey); diff != "" {
			t.Errorf("awaiting jobs: %v: warnings (-want +got):\n%s", await, diff)
		}
	}
}

// A file whose upload is rate-limited, or whose answer is lost, is uploaded again under the same
// Idempotency-Key.
func TestRunRetries(t *testing.T) {
	t.Parallel()
	server := fakeapi.New(t)
	server.RateLimitOnce = map[string]bool{"a.md": true}
	server.CutOffOnce = map[string]bool{"b.md": true}
	files, config := prepareFiles(t, server)
	if _, err := config.Client.Jobs(t.Context(), document.JobFilter{}, document.Page{}); err != nil { // only a server that has answered is tried again
		t.Fatal(err)
	}
	result, err := upload.Run(t.Context(), files, config)
	if err != nil {
		t.Fatal(err)
	}
	if result.Documents != 3 || len(result.Failures) != 0 {
		t.Errorf("result %+v, want three documents and no failure", result)
	}
	for _, file := range files {
		keys := server.Uploads(file.Key)
		again := file.Key != "c/d.txt"
		if keys[0] == "" || again != (len(keys) == 2) || keys[0] != keys[len(keys)-1] {
			t.Errorf("%s was sent with the idempotency keys %q, want one key; sent again: %v", file.Key, keys, again)
		}
	}
}

func TestRunStopsAtTimeout(t *testing.T) {
	t.Parallel()
	server := fakeapi.New(t)
	server.UnendingJobs = map[string]bool{"b.md": true}
	files, config := prepareFiles(t, server)
	config.AwaitJobs, config.AwaitTimeout = true, 50*time.Millisecond
	result, err := upload.Run(t.Context(), files, config)
	if !errors.Is(err, upload.ErrAwaitTimeout) || result.Documents != 3 || len(result.Failures) != 0 {
		t.Errorf("got %+v, %v; want three documents, no failure and ErrAwaitTimeout", result, err)
	}
}

func TestRunStopsWithItsContext(t *testing.T) {
	t.Parallel()
	server := fakeapi.New(t)
	server.UnendingJobs = map[string]bool{"b.md": true}
	files, config := prepareFiles(t, server)
	config.AwaitJobs = true
	ctx, cancel := context.WithCancel(t.Context())
	config.Report = func(event upload.Event) {
		if event.File.Key == "b.md" {
			cancel()
		}
	}
	result, err := upload.Run(ctx, files, config)
	if !errors.Is(err, context.Canceled) || len(result.Failures) != 0 {
		t.Errorf("got %+v, %v; want no failure and context.Canceled", result, err)
	}
}

func TestPrint(t *testing.T) {
	t.Parallel()
	result := upload.Result{
		Documents: 1213, Unchanged: 3, Bytes: 4_200_000, Passages: 9001, Embedded: 9000, Reused: 1, Seconds: 12.34,
		Warnings: []upload.Warning{{Path: "docs/y.md", Warning: document.Warning{Code: "c", Detail: "two\nlines", Start: 3, End: 20}}},
		Failures: []upload.Failure{{Path: "docs/x.md", Reason: "empty"}},
	}
	var out bytes.Buffer
	if err := result.Print(&out); err != nil {
		t.Fatal(err)
	}
	want := "documents    1,213  (3 unchanged)\n" +
		"passages     9,001  (9,000 embedded, 1 reused)\n" +
		"bytes        4,200,000\n" +
		"seconds      12.3\n" +
		"warnings     1\n" +
		"  docs/y.md  c: bytes 3 to 20: two lines\n" +
		"failures     1\n" +
		"  docs/x.md  empty\n"
	if diff := cmp.Diff(want, out.String()); diff != "" {
		t.Errorf("table (-want +got):\n%s", diff)
	}
}

func TestProgressBarWithoutTerminal(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	report, finish := upload.ProgressBar(&out, 3, true)
	finish()
	if report != nil || out.Len() != 0 {
		t.Errorf("drew %q on a buffer, want nothing", &out)
	}
}
