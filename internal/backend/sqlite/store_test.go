package sqlite

import (
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/google/uuid"

	"github.com/seed-7a112592/gristmill/internal/backend/storetest"
	"github.com/seed-7a112592/gristmill/internal/lifecycle"
	"github.com/seed-7a112592/gristmill/internal/original"
	"github.com/seed-7a112592/gristmill/internal/tenant"
	"github.com/seed-7a112592/gristmill/internal/vector"
	"github.com/seed-7a112592/gristmill/pkg/document"
)

func TestStore(t *testing.T) {
	t.Parallel()
	var sent statements
	t.Run("suite", func(t *testing.T) {
		storetest.Run(t, func(t *testing.T) storetest.Store {
			s := open(t, filepath.Join(t.TempDir(), "test.db"))
			sent.record(t, s)
			return s
		})
	})
	t.Run("plans", sent.checkPlans)
	t.Run("filters", sent.checkFilters)
}

// With synchronous = FULL, SQLite syncs the write-ahead log at each commit, so that what is committed
// survives a power failure. With less, it survives only the end of the process.
func TestCommitsAreSynced(t *testing.T) {
	t.Parallel()
	s := open(t, filepath.Join(t.TempDir(), "test.db"))
	for pragma, want := range map[string]string{"synchronous": "2", "journal_mode": "wal"} {
		var got string
		if err := s.writer.QueryRowContext(t.Context(), "PRAGMA "+pragma).Scan(&got); err != nil || got != want {
			t.Errorf("%s of the writer is %q (%v), want %q", pragma, got, err, want)
		}
	}
}

// prepared returns an empty database with all tables: making them takes longer
// than most tests.
var prepared = sync.OnceValues(func() ([]byte, error) {
	dir, err := os.MkdirTemp("", "gristmill-sqlite-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "prepared.db")
	s, err := Open(context.Background(), Config{Path: path, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		return nil, err
	}
	if err := s.Close(); err != nil {
		return nil, err
	}
	return os.ReadFile(path)
})

// openCollection returns a new store with a collection, whose vectors have a
// length.
func openCollection(t testing.TB, ctx context.Context, dimensions int) (*Store, vector.Collection) {
	t.Helper()
	s := open(t, filepath.Join(t.TempDir(), "test.db"))
	c, err := s.EnsureCollection(ctx, "c", document.Model{Name: "m", Dimensions: dimensions}, document.Chunking{Tokens: 400})
	if err != nil {
		t.Fatal(err)
	}
	return s, c
}

// open opens the database at path, a prepared one if there is none, with the
// second tenant of the suite.
func open(t testing.TB, path string) *Store {
	t.Helper()
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		empty, err := prepared()
		if err == nil {
			err = os.WriteFile(path, empty, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	s, err := Open(t.Context(), Config{Path: path, Log: slog.New(slog.NewTextHandler(t.Output(), nil))})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	if _, err := s.writer.ExecContext(t.Context(),
		`INSERT INTO tenants (id, created_at) VALUES (?1, 0) ON CONFLICT DO NOTHING`, storetest.OtherTenant); err != nil {
		t.Fatal(err)
	}
	return s
}

// acceptUpload has the store accept an upload under an object name of its own.
func acceptUpload(ctx context.Context, s *Store, u original.Upload) (document.Accepted, error) {
	u.Object = uuid.NewString()
	if err := s.BeginUpload(ctx, u.Object); err != nil {
		return document.Accepted{}, err
	}
	return s.AcceptUpload(ctx, u)
}

func TestStatesAreSavedAndLoaded(t *testing.T) {
	t.Parallel()
	s, ctx := open(t, filepath.Join(t.TempDir(), "test.db")), tenant.With(t.Context(), tenant.Default)
	storetest.CheckJobStates(t, ctx, s, s.updateJob)
	storetest.CheckReindexStates(t, ctx, s, s.updateReindex, func(r *lifecycle.Reindex) { r.FailedJobs = 0 }) // jobs are counted
}
