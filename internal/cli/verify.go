package cli

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/seed-7a112592/gristmill/internal/verification"
)

// VerifyOptions are the flags of gristmill verify.
type VerifyOptions struct {
	Data       string // folder of gristmill dev; empty for the configured servers
	Collection string // empty for all
	After      string // checkpoint of an interrupted run; empty to begin at the start
}

// VerifyResult is the result of a verification.
type VerifyResult struct {
	Documents int64  `json:"documents"`
	Bytes     int64  `json:"bytes"`
	Objects   int64  `json:"objects"`
	Findings  int64  `json:"findings"`
	After     string `json:"after,omitempty"` // checkpoint for the next run if this one was interrupted
}

func newVerify(g *globals) *cobra.Command {
	var options VerifyOptions
	cmd := &cobra.Command{
		Use:   "verify",
		Short: "Compare every document with its stored data, and say how to repair damage",
		Long: "Read every original and compare its size and SHA-256 with those of the upload. Compare the passages and vectors of every\n" +
			"searchable version with its original. Find objects that belong to no document. Each finding is printed immediately, with\n" +
			"--json as one object on a line, and is also shown with the document. The exit status is 1 if there are findings.\n\n" +
			"verify uses the configured servers (see docs/configuration.md), which may be in use. With --data, it uses the folder of\n" +
			"gristmill dev, which must be stopped.",
		Args: cobra.NoArgs,
		RunE: run(func(ctx context.Context, _ []string) error {
			result, err := g.Verify(ctx, options, func(f verification.Finding) error { return g.printFinding(f) })
			if result.After != "" && !g.json {
				fmt.Fprintf(g.Stderr, "interrupted after %s; to continue, add --after %s\n", plural(int(result.Documents), "document"), result.After)
			}
			if err != nil {
				return err
			}
			if err := g.printVerifyResult(result); err != nil {
				return err
			}
			if result.Findings > 0 {
				return silentFailure()
			}
			return nil
		}),
	}
	cmd.Flags().StringVar(&options.Data, "data", "", "folder of gristmill dev, which must be stopped, instead of the configured servers")
	cmd.Flags().StringVar(&options.Collection, "collection", "", "only documents of this collection")
	cmd.Flags().StringVar(&options.After, "after", "", "continue an interrupted run, with the value that it printed")
	return cmd
}

func (g *globals) printFinding(f verification.Finding) error {
	if g.json {
		return json.NewEncoder(g.Stdout).Encode(f)
	}
	what := "tenant " + f.Tenant
	switch {
	case f.Key == "" && f.Object != "":
		what = "object " + f.Object
	case f.Key != "":
		what = fmt.Sprintf("%s/%s version %d (document %s, object %s)", f.Collection, f.Key, f.Version, f.DocumentID, f.Object)
	}
	_, err := fmt.Fprintf(g.Stdout, "✗ %s: %s\n  %s\n  what to do: %s\n", f.Kind, what, f.Detail, f.Remedy)
	return err
}

func (g *globals) printVerifyResult(v VerifyResult) error {
	if g.json {
		return json.NewEncoder(g.Stdout).Encode(v)
	}
	mark := "✓"
	if v.Findings > 0 {
		mark = "✗"
	}
	_, err := fmt.Fprintf(g.Stdout, "%s compared %s of %s, and %s: %s\n", mark,
		plural(int(v.Documents), "document"), plural(int(v.Bytes), "byte"), plural(int(v.Objects), "object"), plural(int(v.Findings), "finding"))
	return err
}
