package main

import (
	"context"
	"flag"
	"io"
	"log/slog"
	"net/url"
	"os"
	"strconv"

	"github.com/seed-7a112592/gristmill/internal/test/fakeprovider"
	"github.com/seed-7a112592/gristmill/internal/test/program"
)

// startProvider starts a fake provider in a separate process of this program. It returns its base
// URL.
func startProvider(b *bench, options fakeprovider.Options) (*program.Program, string) {
	self, err := os.Executable()
	if err != nil {
		b.Fatal(err)
	}
	p := program.Start(b, nil, self, "provider",
		"-latency", options.Latency.String(),
		"-texts-per-second", strconv.FormatFloat(options.TextsPerSecond, 'f', -1, 64),
		"-semantic="+strconv.FormatBool(options.Semantic))
	return p, p.URL() + "/v1"
}

// runProvider runs the provider process until its standard input ends, so it does not outlive the
// program that started it.
func runProvider(ctx context.Context, args []string) int {
	var options fakeprovider.Options
	flags := flag.NewFlagSet("bench provider", flag.ContinueOnError)
	flags.DurationVar(&options.Latency, "latency", 0, "the latency of every answer")
	flags.Float64Var(&options.TextsPerSecond, "texts-per-second", 0, "the number of texts embedded per second; 0 for no limit")
	flags.BoolVar(&options.Semantic, "semantic", false, "give similar texts similar vectors")
	if err := flags.Parse(args); err != nil {
		return 2
	}
	log := slog.New(slog.NewJSONHandler(os.Stderr, nil))
	provider, err := fakeprovider.New(options)
	if err != nil {
		log.ErrorContext(ctx, "stopped", "error", err)
		return 1
	}
	defer provider.Close()
	base, err := url.Parse(provider.URL())
	if err != nil {
		log.ErrorContext(ctx, "stopped", "error", err)
		return 1
	}
	log.InfoContext(ctx, "listening", "addr", base.Host)
	_, _ = io.Copy(io.Discard, os.Stdin) // an error ends it too
	return 0
}
