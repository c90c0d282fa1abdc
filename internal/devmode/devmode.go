// Package devmode runs all of Gristmill in one process with nothing installed:
// the production run functions on embedded backends. SQLite stands for
// PostgreSQL, a directory for object storage, and an in-process Redis carries
// the unchanged queue.
package devmode

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/alicebob/miniredis/v2"

	"github.com/seed-7a112592/gristmill/internal/app"
	"github.com/seed-7a112592/gristmill/internal/backend/blob"
	"github.com/seed-7a112592/gristmill/internal/backend/sqlite"
	"github.com/seed-7a112592/gristmill/internal/fault"
	"github.com/seed-7a112592/gristmill/internal/goroutine"
	"github.com/seed-7a112592/gristmill/internal/tenant"
	"github.com/seed-7a112592/gristmill/pkg/document"
)

// Options are what the command line asks for.
type Options struct {
	Data       string   // directory that keeps everything; made if absent
	Collection string   // of the ingested paths
	Once       bool     // end when the paths are ingested
	Paths      []string // files and directories to ingest

	Config app.Config // Addr with port 0 listens on any
	Log    *slog.Logger
	Stdout io.Writer // what a person reads
	Stderr io.Writer // the progress bar
}

// ErrDocumentsFailed says that some documents could not be ingested. Which, and why,
// has been printed.
var ErrDocumentsFailed = errors.New("some documents failed")

// Run runs everything until ctx ends or, with Once, until the paths are
// ingested. What was under way when a process before this one was killed is
// finished first.
func Run(ctx context.Context, options Options) (err error) {
	listener, err := net.Listen("tcp", options.Config.Addr)
	if err != nil {
		return fmt.Errorf("listen on %s: %w; is another gristmill running? choose another address with --addr", options.Config.Addr, err)
	}
	defer listener.Close()
	data, err := openDataDir(ctx, options)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, data.close()) }()

	model, problem := data.collectionModel(ctx, options.Collection)
	if problem != nil && options.Once {
		return problem
	}
	options.printBanner(listener, data, model)
	if problem != nil {
		fmt.Fprintf(options.Stdout, "!       %v; until then documents wait\n", problem)
	}
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	group, ctx := goroutine.WithContext(ctx)
	api, err := app.API(ctx, data.config, data.backends)
	if err != nil {
		return err
	}
	group.Go(func() error { return data.advanceRedisClock(ctx) })
	group.Go(func() error { return app.Serve(ctx, listener, api, data.config, options.Log) })
	group.Go(func() error { return app.ProcessKnowledgeTasks(ctx, data.config, data.backends) })
	group.Go(func() error { return app.ProcessSummaryTasks(ctx, data.config, data.backends) })
	group.Go(func() error { return app.ProcessReindexTasks(ctx, data.config, data.backends) })
	group.Go(func() error { return app.Scrub(ctx, data.config, data.backends) })
	group.Go(func() error { app.WarnOfModelMismatches(ctx, data.config, data.backends); return nil })
	group.Go(func() error { return app.Sweep(ctx, data.backends) })
	group.Go(func() error {
		failed, err := options.ingest(ctx, "http://"+listener.Addr().String())
		switch {
		case err != nil:
			return err
		case options.Once && failed:
			return ErrDocumentsFailed
		case options.Once:
			stop()
		}
		return nil
	})
	if err := group.Wait(); err != nil && !errors.Is(err, context.Canceled) && !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// What the data directory holds.
const (
	databaseFile   = "gristmill.db"
	objectsDirName = "objects"
)

// embeddedBackends are the backends of one data directory.
type embeddedBackends struct {
	dir      string
	config   app.Config
	store    *sqlite.Store
	objects  *blob.Dir
	redis    *miniredis.Miniredis
	backends *app.Backends
}

// openDataDir opens the data directory, which only one process can have open.
func openDataDir(ctx context.Context, options Options) (*embeddedBackends, error) {
	dir, err := filepath.Abs(options.Data)
	if err != nil {
		return nil, fmt.Errorf("data directory %s: %w", options.Data, err)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("data directory: %w", err)
	}
	store, err := sqlite.Open(ctx, sqlite.Config{
		Path: filepath.Join(dir, databaseFile), MaxCollections: options.Config.MaxCollections, Log: options.Log,
	})
	if err != nil {
		return nil, err
	}
	e := &embeddedBackends{dir: dir, config: options.Config, store: store}
	if err := e.openBackends(ctx, options.Log); err != nil {
		return nil, errors.Join(err, e.close())
	}
	return e, nil
}

// openBackends starts what holds nothing that matters and joins it to the store.
func (e *embeddedBackends) openBackends(ctx context.Context, log *slog.Logger) error {
	// Leases belong to a process that had this directory, and so has ended.
	if err := e.store.ExpireLeases(ctx); err != nil {
		return err
	}
	var err error
	if e.objects, err = blob.NewDir(filepath.Join(e.dir, objectsDirName)); err != nil {
		return err
	}
	e.redis = miniredis.NewMiniRedis()
	if err := e.redis.StartAddr("127.0.0.1:0"); err != nil {
		return fmt.Errorf("start the embedded redis: %w", err)
	}
	e.config.RedisURL = "redis://" + e.redis.Addr()
	e.backends, err = app.NewBackends(e.config, e.store, e.objects, log)
	return err
}

// close closes what was opened, last first.
func (e *embeddedBackends) close() error {
	if e.backends != nil {
		e.backends.Close()
	}
	if e.redis != nil {
		e.redis.Close()
	}
	var err error
	if e.objects != nil {
		err = e.objects.Close()
	}
	return errors.Join(err, e.store.Close())
}

// advanceRedisClock lets time pass in the embedded Redis, where nothing expires by
// itself.
func (e *embeddedBackends) advanceRedisClock(ctx context.Context) error {
	const step = time.Second
	ticker := time.NewTicker(step)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
			e.redis.FastForward(step)
		}
	}
}

// modelProbeTimeout is how long the start waits for the provider to say how long the
// model's vectors are.
const modelProbeTimeout = 2 * time.Second

// collectionModel returns the model that the collection is served with, or takes if
// it holds nothing yet: then a problem says that it cannot be used as it is
// configured. A provider that does not answer now is none.
func (e *embeddedBackends) collectionModel(ctx context.Context, collection string) (model document.Model, problem error) {
	model = document.Model{Name: e.config.EmbeddingModel, Dimensions: e.config.EmbeddingDimensions}
	c, err := e.store.Collection(tenant.With(ctx, tenant.Default), cmp.Or(collection, document.DefaultCollection))
	if err == nil && !c.SpaceReplaceable {
		return c.ActiveSpace.Model, nil
	}
	ctx, cancel := context.WithTimeout(ctx, modelProbeTimeout)
	defer cancel()
	learnt, err := e.backends.ConfiguredModel.Model(ctx)
	switch {
	case err == nil:
		return learnt, nil
	case fault.Is(err, fault.Misconfigured):
		return model, fault.As(err)
	default:
		return model, nil
	}
}

// printBanner says, in four lines, what is where.
func (o Options) printBanner(listener net.Listener, e *embeddedBackends, model document.Model) {
	embeddings := "embeddings " + model.Name
	if model.Dimensions > 0 {
		embeddings += fmt.Sprintf(" (%d dimensions)", model.Dimensions)
	}
	summaries := "extractive summaries"
	if e.config.SummaryModel != "" {
		summaries = "summaries by " + e.config.SummaryModel
	}
	fmt.Fprintf(o.Stdout, "API     http://%s (contract at /openapi.json, metrics at /metrics)\n", listener.Addr())
	fmt.Fprintf(o.Stdout, "data    %s (SQLite and originals; survives a restart)\n", e.dir)
	fmt.Fprintf(o.Stdout, "queue   redis://%s (in this process)\n", e.redis.Addr())
	fmt.Fprintf(o.Stdout, "models  %s, %s\n", embeddings, summaries)
}
