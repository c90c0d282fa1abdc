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
	After      string // where an earlier run was interrupted; empty for the beginning
}

// VerifyResult is what a verification has come to. After is where another one may go
// on, when it was interrupted.
type VerifyResult struct {
	Documents int64  `json:"documents"`
	Bytes     int64  `json:"bytes"`
	Objects   int64  `json:"objects"`
	Findings  int64  `json:"findings"`
	After     string `json:"after,omitempty"`
}

func newVerify(g *globals) *cobra.Command {
	var options VerifyOptions
	cmd := &cobra.Command{
		Use:   "verify",
		Short: "Compare every document with what is stored of it, and say what to do about what is damaged",
		Long: "Reads every original and compares its size and SHA-256 with what was uploaded; compares the passages and vectors of every\n" +
			"version that can be searched with its original; and looks for objects that no document names. What it finds it prints as it\n" +
			"goes, with --json one object a line, and also shows in the documents. Exit status 1 when it finds anything.\n\n" +
			"It works on the servers of the configuration (see docs/configuration.md) while they are used, or with --data on the folder of\n" +
			"gristmill dev while that is stopped.",
		Args: cobra.NoArgs,
		RunE: run(func(ctx context.Context, _ []string) error {
			result, err := g.Verify(ctx, options, func(f verification.Finding) error { return g.printFinding(f) })
			if result.After != "" && !g.json {
				fmt.Fprintf(g.Stderr, "interrupted after %s; go on with --after %s\n", plural(int(result.Documents), "document"), result.After)
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
	cmd.Flags().StringVar(&options.Data, "data", "", "folder of gristmill dev, which must be stopped; instead of the configured servers")
	cmd.Flags().StringVar(&options.Collection, "collection", "", "only documents of this collection")
	cmd.Flags().StringVar(&options.After, "after", "", "go on where an earlier run was interrupted")
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
