package devmode

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"

	"github.com/google/uuid"

	"github.com/seed-7a112592/gristmill/internal/app"
	"github.com/seed-7a112592/gristmill/internal/backend/blob"
	"github.com/seed-7a112592/gristmill/internal/backend/sqlite"
	"github.com/seed-7a112592/gristmill/internal/cli"
	"github.com/seed-7a112592/gristmill/internal/pipeline/verify"
	"github.com/seed-7a112592/gristmill/internal/verification"
)

// verifyCommand is the command gristmill verify: on dev's folder if one is
// named, else on the configured servers.
func verifyCommand(ctx context.Context, environ []string, stderr io.Writer, options cli.VerifyOptions, found func(verification.Finding) error) (cli.VerifyResult, error) {
	scope, err := scopeOf(options)
	if err != nil {
		return cli.VerifyResult{}, err
	}
	environ = append([]string{"GRISTMILL_LOG_FORMAT=text", "GRISTMILL_LOG_LEVEL=warn"}, environ...)
	check := app.RequireStorage
	if options.Data != "" {
		check = func(app.Config) []error { return nil }
	}
	config, log, err := load(environ, stderr, check)
	if err != nil {
		return cli.VerifyResult{}, fmt.Errorf("%w\n(the folder of gristmill dev is verified with --data DIR)", err)
	}
	var reached string
	report := verify.Observer{OnFinding: found, OnProgress: func(tenant string, last uuid.UUID) error {
		reached = tenant + "/" + last.String()
		return nil
	}}
	var tally verify.Tally
	if options.Data != "" {
		tally, err = verifyDataDir(ctx, options.Data, log, scope, report)
	} else {
		tally, err = app.Verify(ctx, config, log, scope, report)
	}
	result := cli.VerifyResult{Documents: tally.Documents, Bytes: tally.Bytes, Objects: tally.Objects, Findings: tally.Findings}
	if err != nil {
		result.After = reached
	}
	return result, err
}

// scopeOf reads --after, which is tenant/document.
func scopeOf(options cli.VerifyOptions) (verify.Scope, error) {
	scope := verify.Scope{Collection: options.Collection}
	if options.After == "" {
		return scope, nil
	}
	var last string
	scope.Tenant, last, _ = strings.Cut(options.After, "/")
	id, err := uuid.Parse(last)
	if err != nil {
		return scope, fmt.Errorf("--after %q: want what an interrupted run has printed: %w", options.After, err)
	}
	scope.After = id
	return scope, nil
}

// verifyDataDir compares what stands in dev's folder. Nothing is made there that
// is not there.
func verifyDataDir(ctx context.Context, dir string, log *slog.Logger, scope verify.Scope, report verify.Observer) (_ verify.Tally, err error) {
	database, objectsDir := filepath.Join(dir, databaseFile), filepath.Join(dir, objectsDirName)
	for _, name := range []string{database, objectsDir} {
		if _, err := os.Stat(name); errors.Is(err, fs.ErrNotExist) {
			return verify.Tally{}, fmt.Errorf("%s is not there: %s is no folder of gristmill dev, or not all of one", name, dir)
		} else if err != nil {
			return verify.Tally{}, err
		}
	}
	store, err := sqlite.Open(ctx, sqlite.Config{Path: database, Log: log})
	if err != nil {
		return verify.Tally{}, err
	}
	defer func() { err = errors.Join(err, store.Close()) }()
	objects, err := blob.NewDir(objectsDir)
	if err != nil {
		return verify.Tally{}, err
	}
	defer func() { err = errors.Join(err, objects.Close()) }()
	verifier, err := verify.NewVerifier(verify.VerifierConfig{Store: store, Objects: objects, Log: log})
	if err != nil {
		return verify.Tally{}, err
	}
	return verifier.Run(ctx, scope, report)
}
