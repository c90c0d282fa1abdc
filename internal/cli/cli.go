// Package cli is the command line. Most commands call the HTTP API. The commands that need no
// server (migrate, doctor, models, verify, dev) call the functions in Deps.
package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/seed-7a112592/gristmill/internal/required"
	"github.com/seed-7a112592/gristmill/internal/verification"
)

// Deps are the dependencies of the commands. All are required.
type Deps struct {
	Stdout, Stderr io.Writer
	Getenv         func(name string) string

	Migrate func(ctx context.Context) error              // migrates the database's schema to the newest version
	Doctor  func(ctx context.Context, w io.Writer) error // checks every dependency and reports to w

	// Verify compares documents with their stored data and calls found for each finding.
	Verify func(ctx context.Context, options VerifyOptions, found func(verification.Finding) error) (VerifyResult, error)

	// Models reports to w which models are held. With lift, it ends the holds.
	Models func(ctx context.Context, lift bool, w io.Writer) error
	Dev    func(ctx context.Context, options DevOptions) error // runs everything in this process
}

// DevOptions are the flags and arguments of gristmill dev.
type DevOptions struct {
	Addr       string // host:port to listen on
	Data       string // directory for all data
	Collection string // empty for the default collection
	Once       bool   // ingest Paths, then stop
	Paths      []string
}

// Exit statuses of the contract.
const (
	ExitDone        = 0
	ExitFailed      = 1
	ExitUsage       = 2
	ExitWaitTimeout = 124
)

// exitError is the error of a command that ran, with its exit status. Other errors come from cobra
// before the command ran, and mean wrong usage.
type exitError struct {
	code int
	err  error // nil if there is nothing more to print
}

func (e *exitError) Error() string {
	if e.err == nil {
		return ""
	}
	return e.err.Error()
}

func (e *exitError) Unwrap() error { return e.err }

// usageError returns an error for wrong arguments.
func usageError(format string, args ...any) error {
	return &exitError{code: ExitUsage, err: fmt.Errorf(format, args...)}
}

// silentFailure returns an error without a message, for a failure that has been printed.
func silentFailure() error { return &exitError{code: ExitFailed} }

// Run runs the command line and returns its exit status. Errors are written to
// deps.Stderr.
func Run(ctx context.Context, args []string, deps Deps) int {
	if err := required.Fields(deps); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return ExitFailed
	}
	root := newRoot(deps)
	root.SetArgs(args)
	command, err := root.ExecuteContextC(ctx)
	if err == nil {
		return ExitDone
	}
	e, ran := errors.AsType[*exitError](err)
	if !ran {
		e = &exitError{code: ExitUsage, err: err}
	}
	if e.err != nil && ctx.Err() == nil {
		fmt.Fprintf(deps.Stderr, "%s: %v\n", command.CommandPath(), addHint(e.err))
	}
	if e.code == ExitUsage {
		fmt.Fprintf(deps.Stderr, "Run '%s --help' for usage.\n", command.CommandPath())
	}
	return e.code
}

// addHint adds what to do to an error that does not say it.
func addHint(err error) error {
	if errors.Is(err, syscall.ECONNREFUSED) {
		return fmt.Errorf("%w\nno server is listening there; start one with 'gristmill dev', or name another one with --server", err)
	}
	return err
}

// newRoot returns the command line as a cobra command.
func newRoot(deps Deps) *cobra.Command {
	root := &cobra.Command{
		Use:           "gristmill",
		Short:         "Make documents searchable",
		SilenceErrors: true,
		SilenceUsage:  true,
	}
	root.CompletionOptions.HiddenDefaultCmd = true
	root.SetOut(deps.Stdout)
	root.SetErr(deps.Stderr)
	flags := &globals{Deps: deps}
	root.PersistentFlags().StringVar(&flags.server, "server", "", "URL of the server (environment GRISTMILL_SERVER; default "+defaultServer+")")
	root.PersistentFlags().StringVar(&flags.key, "key", "", "API key (environment GRISTMILL_KEY)")
	root.PersistentFlags().BoolVar(&flags.json, "json", false, "print the JSON of the API")
	root.AddCommand(
		newDev(flags),
		newMigrate(flags),
		newDoctor(flags),
		newModels(flags),
		newVerify(flags),
		newUpload(flags),
		newJobs(flags),
		newCancel(flags),
		newRetry(flags),
		newSearch(flags),
		newReindex(flags),
		newCollections(flags),
		newDocuments(flags),
	)
	return root
}

// run adapts a command to cobra. It wraps errors of the command, so that they differ from cobra's.
func run(command func(ctx context.Context, args []string) error) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, args []string) error {
		err := command(cmd.Context(), args)
		if _, ok := errors.AsType[*exitError](err); ok || err == nil {
			return err
		}
		return &exitError{code: ExitFailed, err: err}
	}
}
