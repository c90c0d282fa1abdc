package cli

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/spf13/cobra"
)

// The commands in this file need no server. Their functions are in Deps.

func newDev(g *globals) *cobra.Command {
	var options DevOptions
	cmd := &cobra.Command{
		Use:   "dev [PATH…]",
		Short: "Run everything in one process, without other servers, and ingest PATHs",
		RunE: run(func(ctx context.Context, paths []string) error {
			options.Paths = paths
			return g.Dev(ctx, options)
		}),
	}
	cmd.Flags().StringVar(&options.Addr, "addr", "127.0.0.1:8080", "address to listen on")
	cmd.Flags().StringVar(&options.Data, "data", "gristmill-data", "directory for all data")
	cmd.Flags().StringVar(&options.Collection, "collection", "", "collection to ingest into (default: the default collection)")
	cmd.Flags().BoolVar(&options.Once, "once", false, "stop when PATHs are ingested; exit status 1 if anything failed")
	return cmd
}

func newMigrate(g *globals) *cobra.Command {
	return &cobra.Command{
		Use:   "migrate",
		Short: "Migrate the database's schema to the newest version",
		Args:  cobra.NoArgs,
		RunE:  run(func(ctx context.Context, _ []string) error { return g.Migrate(ctx) }),
	}
}

func newDoctor(g *globals) *cobra.Command {
	var health string
	cmd := &cobra.Command{
		Use:   "doctor",
		Short: "Check the configuration and every dependency",
		Args:  cobra.NoArgs,
		RunE: run(func(ctx context.Context, _ []string) error {
			if health != "" {
				return checkHealth(ctx, health)
			}
			return g.Doctor(ctx, g.Stdout)
		}),
	}
	cmd.Flags().StringVar(&health, "health", "", "only check that this URL answers 200, for the health check of a container")
	return cmd
}

func newModels(g *globals) *cobra.Command {
	var lift bool
	cmd := &cobra.Command{
		Use:   "models",
		Short: "Show which models are held, and why, or end the holds",
		Long: "Show which models are held. A held model receives no requests, because its provider asked for a wait, is down, or has a\n" +
			"wrong configuration. All processes that share a Redis server share the holds; GRISTMILL_REDIS_URL names the server.",
		Args: cobra.NoArgs,
		RunE: run(func(ctx context.Context, _ []string) error { return g.Models(ctx, lift, g.Stdout) }),
	}
	cmd.Flags().BoolVar(&lift, "lift", false, "end all holds: the next request to each model is sent")
	return cmd
}

// healthTimeout is shorter than the timeouts of containers' health checks.
const healthTimeout = 5 * time.Second

func checkHealth(ctx context.Context, url string) error {
	ctx, cancel := context.WithTimeout(ctx, healthTimeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return usageError("--health: %w", err)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("%s answered %s", url, response.Status)
	}
	return nil
}
