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

// verifyCommand is the command gristmill verify. It verifies the folder of gristmill dev if
// options.Data is set, or else the configured servers.
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
		return cli.VerifyResult{}, fmt.Errorf("%w\n(to verify the folder of gristmill dev, use --data DIR)", err)
	}
	var checkpoint string
	report := verify.Observer{OnFinding: found, OnProgress: func(tenant string, last uuid.UUID) error {
		checkpoint = tenant + "/" + last.String()
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
		result.After = checkpoint
	}
	return result, err
}

// scopeOf returns the scope of the options. The form of --after is TENANT/DOCUMENT.
func scopeOf(options cli.VerifyOptions) (verify.Scope, error) {
	scope := verify.Scope{Collection: options.Collection}
	if options.After == "" {
		return scope, nil
	}
	var last string
	scope.Tenant, last, _ = strings.Cut(options.After, "/")
	id, err := uuid.Parse(last)
	if err != nil {
		return scope, fmt.Errorf("--after %q: want the value that the interrupted run has printed: %w", options.After, err)
	}
	scope.After = id
	return scope, nil
}

// verifyDataDir verifies the folder of gristmill dev. It does not create missing files.
func verifyDataDir(ctx context.Context, dir string, log *slog.Logger, scope verify.Scope, report verify.Observer) (_ verify.Tally, err error) {
	database, objectsDir := filepath.Join(dir, databaseFile), filepath.Join(dir, objectsDirName)
	for _, name := range []string{database, objectsDir} {
		if _, err := os.Stat(name); errors.Is(err, fs.ErrNotExist) {
			return verify.Tally{}, fmt.Errorf("%s does not exist: %s is not a complete folder of gristmill dev", name, dir)
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
