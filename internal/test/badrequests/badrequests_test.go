package badrequests_test

import (
	"bufio"
	"bytes"
	"context"
	"database/sql"
	"io"
	"io/fs"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-7a112592/gristmill/internal/app"
	"github.com/seed-7a112592/gristmill/internal/devmode"
	"github.com/seed-7a112592/gristmill/internal/test/await"
	"github.com/seed-7a112592/gristmill/internal/test/badrequests"
	"github.com/seed-7a112592/gristmill/pkg/client"
	"github.com/seed-7a112592/gristmill/pkg/document"
)

// Bad requests to the real programs leave nothing behind: no row, no object, no goroutine.
func TestBadRequestsLeaveNothing(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	start(t, dir, func(base string) { // stores data that the requests could damage
		c := newClient(t, base)
		accepted, err := c.Upload(t.Context(), document.UploadRequest{Key: "good.md"}, strings.NewReader("# Good\n\nGrain.\n"))
		if err != nil {
			t.Fatal(err)
		}
		if job, err := c.AwaitJob(t.Context(), accepted.Job.ID, time.Second, nil); err != nil || job.State != document.JobSucceeded {
			t.Fatalf("job %+v, %v", job, err)
		}
	})
	before := holdings(t, dir)
	start(t, dir, func(base string) {
		send := func(seed uint64) {
			wrong, err := badrequests.Run(t.Context(), badrequests.Config{BaseURL: base, Key: key, Seed: seed, Requests: 500})
			if err != nil {
				t.Fatal(err)
			}
			for _, err := range wrong {
				t.Error(err)
			}
		}
		send(1) // meanwhile the programs start all goroutines that they keep
		running := goroutines()
		send(2)
		await.Until(t, "no more goroutines are running than before", func() bool { return goroutines() <= running })
	})
	if diff := cmp.Diff(before, holdings(t, dir)); diff != "" {
		t.Errorf("the stored data changed (-before +after):\n%s", diff)
	}
}

const key = "the-key-of-this-test"

// start runs dev mode in this process, calls use with its URL, and stops it.
func start(t *testing.T, dir string, use func(base string)) {
	t.Helper()
	config, err := app.Load([]string{"GRISTMILL_ADDR=127.0.0.1:0", "GRISTMILL_API_KEY=" + key})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	out, stdout := io.Pipe()
	ended := make(chan error, 1)
	go func() {
		ended <- devmode.Run(ctx, devmode.Options{
			Data: dir, Config: config, Log: slog.New(slog.DiscardHandler), Stdout: stdout, Stderr: io.Discard,
		})
		_ = stdout.Close()
	}()
	lines := bufio.NewScanner(out)
	if !lines.Scan() {
		t.Fatalf("dev mode did not start: %v", <-ended)
	}
	base := regexp.MustCompile(`http://\S+`).FindString(lines.Text())
	go func() { _, _ = io.Copy(io.Discard, out) }()
	defer func() {
		stop()
		if err := await.Receive(t, ended); err != nil {
			t.Error(err)
		}
	}()
	use(base)
}

func newClient(t *testing.T, base string) *client.Client {
	t.Helper()
	c, err := client.New(base, key, nil)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// holdings returns the row count of each table and the sizes of the object files.
func holdings(t *testing.T, dir string) map[string]int64 {
	t.Helper()
	found := map[string]int64{}
	db, err := sql.Open("sqlite", filepath.Join(dir, "gristmill.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	rows, err := db.QueryContext(t.Context(), "SELECT name FROM sqlite_master WHERE type = 'table'")
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	var tables []string
	for rows.Next() {
		var name string
		if err := rows.Scan(&name); err != nil {
			t.Fatal(err)
		}
		tables = append(tables, name)
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	for _, table := range tables {
		counted := `SELECT count(*) FROM "` + table + `"`
		if table == "garbage" {
			counted += ` WHERE kind <> 'search'` // added and removed each day without any request
		}
		var count int64
		if err := db.QueryRowContext(t.Context(), counted).Scan(&count); err != nil {
			t.Fatal(err)
		}
		found["table "+table] = count
	}
	maps.Copy(found, files(t, filepath.Join(dir, "objects")))
	return found
}

// files returns the sizes of all files below dir.
func files(t *testing.T, dir string) map[string]int64 {
	t.Helper()
	found := map[string]int64{}
	err := fs.WalkDir(os.DirFS(dir), ".", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		info, err := entry.Info()
		if err == nil {
			found["file "+path] = info.Size()
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// goroutines returns the number of goroutines, except those of miniredis: the embedded Redis has
// one for each pooled connection.
func goroutines() int {
	stacks := make([]byte, 8<<20)
	stacks = stacks[:runtime.Stack(stacks, true)]
	count := 0
	for stack := range bytes.SplitSeq(stacks, []byte("\n\n")) {
		if !bytes.Contains(stack, []byte("miniredis")) {
			count++
		}
	}
	return count
}
