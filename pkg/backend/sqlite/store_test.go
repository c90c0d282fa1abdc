package sqlite

import (
	"context"
	"log/slog"
	"path/filepath"
	"testing"

	"github.com/google/uuid"

	"github.com/seed-7a112592/gristmill/pkg/backend/storetest"
	"github.com/seed-7a112592/gristmill/pkg/document"
)

func TestStore(t *testing.T) {
	t.Parallel()
	storetest.Run(t, func(t *testing.T) storetest.Store { return open(t, filepath.Join(t.TempDir(), "test.db")) })
}

// open opens the database at path, with the second tenant of the suite.
func open(t testing.TB, path string) *Store {
	t.Helper()
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
		`INSERT INTO tenants (id, created_at) VALUES (?1, 0) ON CONFLICT DO NOTHING`, storetest.Other); err != nil {
		t.Fatal(err)
	}
	return s
}

// acceptUpload has the store accept an upload under an object name of its own.
func acceptUpload(ctx context.Context, s *Store, u document.Upload) (document.Accepted, error) {
	u.Object = uuid.NewString()
	if err := s.BeginUpload(ctx, u.Object); err != nil {
		return document.Accepted{}, err
	}
	return s.Accept(ctx, u)
}
