package cli

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/seed-7a112592/gristmill/internal/upload"
)

func newUpload(g *globals) *cobra.Command {
	var collection string
	var wait waitFlag
	cmd := &cobra.Command{
		Use:   "upload PATH…",
		Short: "Upload files, and the markdown and text files of directories",
		Long: "Upload files, and the markdown and text files (.md .markdown .mdown .txt) of directories.\n" +
			"The key of a document is its path below the named directory, or the name of the file.",
		Args: cobra.MinimumNArgs(1),
		RunE: run(func(ctx context.Context, paths []string) error {
			return g.upload(ctx, paths, collection, wait)
		}),
	}
	cmd.Flags().StringVar(&collection, "collection", "", "collection to upload into (default: the server's default)")
	cmd.Flags().Var(&wait, "wait", "wait until the jobs have ended, or for this duration")
	cmd.Flags().Lookup("wait").NoOptDefVal = "0s"
	return cmd
}

// waitFlag is --wait[=DURATION].
type waitFlag struct {
	set   bool
	limit time.Duration // 0 for none
}

// Set implements pflag.Value.
func (f *waitFlag) Set(s string) error {
	d, err := time.ParseDuration(s)
	if err != nil || d < 0 {
		return fmt.Errorf("%q is not a duration; write --wait=30s or --wait=5m", s)
	}
	*f = waitFlag{set: true, limit: d}
	return nil
}

// String implements pflag.Value.
func (f *waitFlag) String() string {
	if !f.set {
		return ""
	}
	return f.limit.String()
}

// Type implements pflag.Value.
func (f *waitFlag) Type() string { return "duration" }

func (g *globals) upload(ctx context.Context, paths []string, collection string, wait waitFlag) error {
	c, err := g.client()
	if err != nil {
		return err
	}
	files, err := upload.Find(paths)
	if err != nil {
		return err
	}
	if len(files) == 0 {
		return fmt.Errorf("no markdown or text files in %q", paths)
	}
	report, finish := upload.ProgressBar(g.Stderr, len(files), wait.set)
	result, err := upload.Run(ctx, files, upload.Config{
		Client:       c,
		Collection:   collection,
		AwaitJobs:    wait.set,
		AwaitTimeout: wait.limit,
		Report:       report,
	})
	finish()
	if err := g.printUploadResult(result); err != nil {
		return err
	}
	switch {
	case errors.Is(err, upload.ErrAwaitTimeout):
		return &exitError{code: ExitWaitTimeout, err: err}
	case err != nil:
		return err
	case len(result.Failures) > 0:
		return silentFailure() // the table lists them
	default:
		return nil
	}
}

func (g *globals) printUploadResult(result upload.Result) error {
	if g.json {
		return g.printJSON(result)
	}
	return result.Print(g.Stdout)
}
