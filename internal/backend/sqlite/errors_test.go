package sqlite

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/seed-7a112592/gristmill/internal/fault"
	"github.com/seed-7a112592/gristmill/internal/original"
	"github.com/seed-7a112592/gristmill/internal/tenant"
	"github.com/seed-7a112592/gristmill/pkg/document"
)

// wantUnavailable checks that err says to people what is in the way.
func wantUnavailable(t *testing.T, err error, detail string) {
	t.Helper()
	if e := fault.As(err); e == nil || e.Kind != fault.Unavailable || !strings.Contains(e.Detail, detail) {
		t.Errorf("got %v, want a failure of kind unavailable that says %q", err, detail)
	}
}

func TestFullDiskIsUnavailable(t *testing.T) {
	t.Parallel()
	ctx := tenant.With(t.Context(), tenant.Default)
	s, c := openCollection(t, ctx, 3)
	if _, err := s.writer.ExecContext(ctx, `PRAGMA max_page_count = 1`); err != nil { // no more than there are
		t.Fatal(err)
	}
	_, err := acceptUpload(ctx, s, original.Upload{Collection: c, Key: strings.Repeat("k", 1<<20)})
	wantUnavailable(t, err, "is full")

	if _, err := s.writer.ExecContext(ctx, `PRAGMA max_page_count = 1000000`); err != nil {
		t.Fatal(err)
	}
	list, err := s.Documents(ctx, document.DocumentFilter{}, document.Page{Limit: 1})
	if err != nil || len(list.Items) > 0 {
		t.Errorf("after the failure: got %d documents, %v, want none", len(list.Items), err)
	}
	if _, err := acceptUpload(ctx, s, original.Upload{Collection: c, Key: "k"}); err != nil {
		t.Errorf("once there is room: %v", err)
	}
}

func TestLockedDatabaseIsUnavailable(t *testing.T) {
	t.Parallel()
	ctx := tenant.With(t.Context(), tenant.Default)
	path := filepath.Join(t.TempDir(), "test.db")
	s := open(t, path)
	if _, err := s.writer.ExecContext(ctx, `PRAGMA busy_timeout = 1`); err != nil {
		t.Fatal(err)
	}
	other, err := openPool(path, "_txlock=immediate", 1)
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	tx, err := other.BeginTx(ctx, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer tx.Rollback()
	_, err = s.EnsureCollection(ctx, "c", document.Model{}, document.Chunking{})
	wantUnavailable(t, err, "locked by another program")
}

func TestBusyDatabaseIsUnavailable(t *testing.T) {
	t.Parallel()
	s := open(t, filepath.Join(t.TempDir(), "test.db"))
	tx, err := s.writer.BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer tx.Rollback()
	ctx, cancel := context.WithTimeout(tenant.With(t.Context(), tenant.Default), time.Millisecond)
	defer cancel()
	wantUnavailable(t, s.BeginUpload(ctx, "object"), "too busy")
}

func TestMissingDirectoryIsUnavailable(t *testing.T) {
	t.Parallel()
	_, err := Open(t.Context(), Config{Path: filepath.Join(t.TempDir(), "missing", "test.db"), Log: slog.New(slog.DiscardHandler)})
	wantUnavailable(t, err, "check that its directory exists")
}

func TestNoDatabase(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "test.db")
	if err := os.WriteFile(path, []byte(strings.Repeat("not a database\n", 1000)), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := Open(t.Context(), Config{Path: path, Log: slog.New(slog.DiscardHandler)})
	if err == nil || fault.As(err) != nil || !strings.Contains(err.Error(), path) {
		t.Errorf("got %v, want an internal failure that names the file", err)
	}
}

func TestCancelledContext(t *testing.T) {
	t.Parallel()
	s := open(t, filepath.Join(t.TempDir(), "test.db"))
	ctx, cancel := context.WithCancel(tenant.With(t.Context(), tenant.Default))
	err := s.inWriteTransaction(ctx, func(tx transaction) error {
		cancel()
		for { // until the transaction has been rolled back under us
			if _, err := tx.Exec(`UPDATE tenants SET created_at = 1`); err != nil {
				return err
			}
		}
	})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want that the context was cancelled", err)
	}
	ctx = tenant.With(t.Context(), tenant.Default)
	if err := s.Ping(ctx); err != nil {
		t.Errorf("afterwards: %v", err)
	}
	if _, err := s.EnsureCollection(ctx, "c", document.Model{}, document.Chunking{}); err != nil {
		t.Errorf("afterwards: %v", err)
	}
}

func TestPanicsRollBack(t *testing.T) {
	t.Parallel()
	s := open(t, filepath.Join(t.TempDir(), "test.db"))
	ctx := tenant.With(t.Context(), tenant.Default)
	func() {
		defer func() { _ = recover() }()
		_ = s.inWriteTransaction(ctx, func(tx transaction) error {
			if _, err := tx.ExecContext(ctx, `INSERT INTO tenants (id, created_at) VALUES ('half', 0)`); err != nil {
				t.Error(err)
			}
			panic("half-way")
		})
	}()
	ids, err := s.Tenants(ctx)
	if err != nil || len(ids) != 2 {
		t.Errorf("got tenants %q, %v, want the two from before", ids, err)
	}
}
