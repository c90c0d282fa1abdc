package sqlite

import (
	"bufio"
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-7a112592/gristmill/internal/fault"
	"github.com/seed-7a112592/gristmill/internal/original"
	"github.com/seed-7a112592/gristmill/internal/task"
	"github.com/seed-7a112592/gristmill/internal/tenant"
	"github.com/seed-7a112592/gristmill/internal/vector"
	"github.com/seed-7a112592/gristmill/pkg/document"
)

// TestMain runs the tests, or, where a test has started this program as a
// child, what that test wants of it.
func TestMain(m *testing.M) {
	if path := os.Getenv("GRISTMILL_TEST_UPLOAD_INTO"); path != "" {
		if err := uploadUntilKilled(path); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// uploadUntilKilled accepts one document after another, and says so of each once
// it is accepted. Beside that it writes passages without an end.
func uploadUntilKilled(path string) error {
	ctx := tenant.With(context.Background(), tenant.Default)
	s, err := Open(ctx, Config{Path: path, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		return err
	}
	c, err := s.EnsureCollection(ctx, "c", document.Model{Name: "m", Dimensions: 512}, document.Chunking{Tokens: 400})
	if err != nil {
		return err
	}
	busy, err := acceptUpload(ctx, s, original.Upload{Collection: c, Key: "busy"})
	if err != nil {
		return err
	}
	work, err := s.Claim(ctx, task.Ref{Tenant: tenant.Default, DocumentID: busy.Document.ID, Version: 1, Kind: task.KindKnowledge}, time.Hour)
	if err != nil {
		return err
	}
	failed := make(chan error, 2)
	go func() {
		for i := 0; ; i++ {
			text := fmt.Sprint("passage ", i)
			batch := vector.Batch{
				New:     []vector.EmbeddedPassage{{Hash: document.HashText(text), PassageText: document.PassageText{Content: text}, Vector: make([]float32, 512)}},
				Entries: []vector.ManifestEntry{{Hash: document.HashText(text), Ordinal: i}},
			}
			if err := s.WriteBatch(ctx, work, batch, document.KnowledgeProgress{Passages: int64(i + 1)}); err != nil {
				failed <- err
				return
			}
		}
	}()
	go func() {
		for i := 0; ; i++ {
			accepted, err := acceptUpload(ctx, s, original.Upload{Collection: c, Key: fmt.Sprint("key ", i)})
			if err != nil {
				failed <- err
				return
			}
			fmt.Println(accepted.Document.ID)
		}
	}()
	return <-failed
}

// upload starts a process that uploads into the database and returns the ids
// of the first documents that it says were accepted.
func upload(t *testing.T, path string, count int) (child *exec.Cmd, accepted []string) {
	t.Helper()
	child = exec.CommandContext(t.Context(), os.Args[0])
	child.Env = append(os.Environ(), "GRISTMILL_TEST_UPLOAD_INTO="+path)
	var stderr strings.Builder
	child.Stderr = &stderr
	stdout, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		child.Process.Kill()
		child.Wait()
	})
	for lines := bufio.NewScanner(stdout); len(accepted) < count; {
		if !lines.Scan() {
			t.Fatalf("the child ended early: %s", stderr.String())
		}
		accepted = append(accepted, lines.Text())
	}
	return child, accepted
}

func TestAcceptedUploadsSurviveSIGKILL(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "test.db")
	child, accepted := upload(t, path, 20)
	if err := child.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	child.Wait()

	s := open(t, path)
	ctx := tenant.With(t.Context(), tenant.Default)
	list, err := s.Documents(ctx, document.DocumentFilter{}, document.Page{Limit: 10_000})
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]bool{}
	var busy document.Document
	for _, d := range list.Items {
		found[d.ID.String()] = true
		if d.Key == "busy" {
			busy = d
		}
	}
	for _, id := range accepted {
		if !found[id] {
			t.Errorf("document %s was accepted and is lost", id)
		}
	}

	// What was written together is there together or not at all.
	ref := task.Ref{Tenant: tenant.Default, DocumentID: busy.ID, Version: 1, Kind: task.KindKnowledge}
	var places, passages, progress int64
	if err := s.writer.QueryRowContext(ctx, `
		SELECT (SELECT count(*) FROM manifest), (SELECT count(*) FROM passages),
		       coalesce(progress ->> 'passages', 0) FROM tasks WHERE document = ?1 AND kind = 'knowledge'`, busy.ID).
		Scan(&places, &passages, &progress); err != nil {
		t.Fatal(err)
	}
	if places != passages || places != progress {
		t.Errorf("half a write is there: %d places, %d passages, progress of %d", places, passages, progress)
	}

	// Its task is under a lease of the dead, which nobody has to wait for.
	if _, err := s.Claim(ctx, ref, time.Hour); !fault.Is(err, fault.Conflict) {
		t.Errorf("claim under the dead one's lease: got %v, want a failure of kind conflict", err)
	}
	if err := s.ExpireLeases(ctx); err != nil {
		t.Fatal(err)
	}
	due, err := s.RedispatchOverdue(ctx, time.Hour, 10)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]task.Dispatch{{Ref: ref, Round: 1}}, due); diff != "" {
		t.Errorf("due once leases are released (-want +got):\n%s", diff)
	}
	if work, err := s.Claim(ctx, ref, time.Hour); err != nil || work.Attempt != 2 || work.Crashes != 1 {
		t.Errorf("claim once leases are released: got attempt %d, %d crashes, %v; want the kill counted as a crash", work.Attempt, work.Crashes, err)
	}
}

func TestSecondProcessIsRefused(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "test.db")
	child, _ := upload(t, path, 1)
	_, err := Open(t.Context(), Config{Path: path, Log: slog.New(slog.DiscardHandler)})
	if !fault.Is(err, fault.Conflict) || !strings.Contains(err.Error(), "another process is using "+path) {
		t.Errorf("while another process has it open: got %v", err)
	}
	if err := child.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	child.Wait()
	open(t, path)
	_, err = Open(t.Context(), Config{Path: path, Log: slog.New(slog.DiscardHandler)})
	if !fault.Is(err, fault.Conflict) {
		t.Errorf("while this process has it open: got %v", err)
	}
}

func TestReopen(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "a b%20?#é", "test.db")
	if err := os.Mkdir(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	ctx := tenant.With(t.Context(), tenant.Default)
	s := open(t, path)
	c, err := s.EnsureCollection(ctx, "c", document.Model{Name: "m", Dimensions: 2}, document.Chunking{Tokens: 400})
	if err != nil {
		t.Fatal(err)
	}
	want, err := acceptUpload(ctx, s, original.Upload{Collection: c, Key: "a", Title: "A"})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob(path + "-*")
	if err != nil || len(files) > 0 {
		t.Errorf("after Close: got %q beside the database, %v", files, err)
	}

	s = open(t, path)
	if got, err := s.Document(ctx, want.Document.ID); err != nil || !cmp.Equal(want.Document, got) {
		t.Errorf("document: got %+v, %v, want %+v", got, err, want.Document)
	}
	if got, err := s.Job(ctx, want.Job.ID); err != nil || !cmp.Equal(want.Job, got) {
		t.Errorf("job: got %+v, %v, want %+v", got, err, want.Job)
	}
}
