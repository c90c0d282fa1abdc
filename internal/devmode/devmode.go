// Package devmode runs all of Gristmill in one process, without any server: the run functions of
// production on embedded backends. SQLite replaces PostgreSQL, a directory replaces the object
// storage, and the queue runs unchanged on a Redis in the process.
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
	"github.com/seed-7a112592/gristmill/internal/required"
	"github.com/seed-7a112592/gristmill/internal/tenant"
	"github.com/seed-7a112592/gristmill/pkg/document"
)

// Options are the options of the command.
type Options struct {
	Data       string   // directory of all data; created if it is missing
	Collection string   `zero:"ok"` // of the ingested paths; empty for the default collection
	Once       bool     `zero:"ok"` // stop when the paths are ingested
	Paths      []string `zero:"ok"` // files and directories to ingest

	Config app.Config // with port 0, Addr is any free port
	Log    *slog.Logger
	Stdout io.Writer // for people
	Stderr io.Writer // for the progress bar
}

// ErrDocumentsFailed means that some documents could not be ingested. Run has printed which, and why.
var ErrDocumentsFailed = errors.New("some documents failed")

// Run runs all programs until ctx ends or, with Once, until the paths are ingested. It first finishes
// the work of an earlier process that was killed.
func Run(ctx context.Context, options Options) (err error) {
	if err := required.Fields(options); err != nil {
		return err
	}
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

// Contents of the data directory.
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

// openDataDir opens the data directory. Only one process can have it open.
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

// openBackends opens the objects, starts Redis, which keeps nothing after the process, and makes the
// backends of them and the store.
func (e *embeddedBackends) openBackends(ctx context.Context, log *slog.Logger) error {
	// All leases belong to earlier processes, which have ended: this process has the directory now.
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

// close closes what has been opened, in reverse order.
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

// advanceRedisClock advances the clock of the embedded Redis, which does not run by itself, so that
// keys expire.
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

// modelProbeTimeout bounds the time that the start waits for the dimensions of the model's vectors.
const modelProbeTimeout = 2 * time.Second

// collectionModel returns the model of the collection, or the configured model if the collection has
// no passages. In that case, problem says why the model cannot be used as configured. A provider that
// does not answer now is not a problem.
func (e *embeddedBackends) collectionModel(ctx context.Context, collection string) (model document.Model, problem error) {
	model = document.Model{Name: e.config.EmbeddingModel, Dimensions: e.config.EmbeddingDimensions}
	c, err := e.store.Collection(tenant.With(ctx, tenant.Default), cmp.Or(collection, document.DefaultCollection))
	if err == nil && !c.SpaceReplaceable {
		return c.ActiveSpace.Model, nil
	}
	ctx, cancel := context.WithTimeout(ctx, modelProbeTimeout)
	defer cancel()
	probed, err := e.backends.ConfiguredModel.Model(ctx)
	switch {
	case err == nil:
		return probed, nil
	case fault.Is(err, fault.Misconfigured):
		return model, fault.As(err)
	default:
		return model, nil
	}
}

// printBanner prints the addresses of the API, the data, the queue and the models in four lines.
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
