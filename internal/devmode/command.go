package devmode

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"

	"github.com/seed-7a112592/gristmill/internal/app"
	"github.com/seed-7a112592/gristmill/internal/cli"
	"github.com/seed-7a112592/gristmill/internal/telemetry"
	"github.com/seed-7a112592/gristmill/internal/verification"
)

// Command is the program cmd/gristmill: the command line, with the functions of those commands that
// need no running server. It returns the exit status.
func Command(ctx context.Context, args, environ []string, stdout, stderr io.Writer) int {
	return cli.Run(ctx, args, cli.Deps{
		Stdout: stdout,
		Stderr: stderr,
		Getenv: func(name string) string { return lookup(environ, name) },
		Migrate: func(ctx context.Context) error {
			config, log, err := load(environ, stderr, app.RequireOwner)
			if err != nil {
				return err
			}
			return app.Migrate(ctx, config, log)
		},
		Doctor: func(ctx context.Context, w io.Writer) error {
			config, log, err := load(environ, io.Discard, app.RequireServers)
			if err != nil {
				return err
			}
			passed, err := app.Doctor(ctx, config, log, w)
			if err == nil && !passed {
				err = errors.New("some checks failed")
			}
			return err
		},
		Models: func(ctx context.Context, lift bool, w io.Writer) error {
			config, log, err := load(environ, stderr, app.RequireRedis)
			if err != nil {
				return err
			}
			return app.PrintModels(ctx, config, log, lift, w)
		},
		Verify: func(ctx context.Context, options cli.VerifyOptions, found func(verification.Finding) error) (cli.VerifyResult, error) {
			return verifyCommand(ctx, environ, stderr, options, found)
		},
		Dev: func(ctx context.Context, options cli.DevOptions) error {
			// A person reads the terminal: log only problems, as text.
			quiet := []string{"GRISTMILL_LOG_FORMAT=text", "GRISTMILL_LOG_LEVEL=warn"}
			addr := "GRISTMILL_ADDR=" + options.Addr
			config, log, err := load(append(append(quiet, environ...), addr), stderr, app.RequireKeyOrLoopback)
			if err != nil {
				return err
			}
			app.LimitMemory(environ, log)
			return Run(ctx, Options{
				Data:       options.Data,
				Collection: options.Collection,
				Once:       options.Once,
				Paths:      options.Paths,
				Config:     config,
				Log:        log,
				Stdout:     stdout,
				Stderr:     stderr,
			})
		},
	})
}

// load reads the configuration and opens its log.
func load(environ []string, logTo io.Writer, checks ...app.Check) (app.Config, *slog.Logger, error) {
	config, err := app.Load(environ, checks...)
	if err != nil {
		return app.Config{}, nil, err
	}
	log, err := telemetry.NewLogger(logTo, config.LogFormat, config.LogLevel)
	if err != nil {
		return app.Config{}, nil, fmt.Errorf("configuration: %w", err)
	}
	return config, log, nil
}

// lookup returns the value of a name in an environment in the form of os.Environ.
func lookup(environ []string, name string) string {
	for _, entry := range environ {
		if value, ok := strings.CutPrefix(entry, name+"="); ok {
			return value
		}
	}
	return ""
}
