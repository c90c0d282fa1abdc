package cli

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/rivo/uniseg"
	"github.com/spf13/cobra"

	"github.com/seed-7a112592/gristmill/pkg/document"
)

// excerptWidth is the maximum width of an excerpt, in columns of a terminal.
const excerptWidth = 200

func newSearch(g *globals) *cobra.Command {
	var request document.SearchRequest
	var threshold float64
	cmd := &cobra.Command{
		Use:   "search QUERY",
		Short: "Search a collection",
		Args:  cobra.MinimumNArgs(1),
	}
	cmd.Flags().StringVar(&request.Collection, "collection", "", "collection to search (default: the server's default)")
	cmd.Flags().IntVar(&request.Limit, "limit", document.DefaultHits, "maximum number of hits")
	cmd.Flags().StringVar(&request.KeyPrefix, "key-prefix", "", "only documents whose key has this prefix")
	cmd.Flags().Float64Var(&threshold, "threshold", 0, "minimum score of a hit, -1 to 1")
	cmd.RunE = run(func(ctx context.Context, words []string) error {
		request.Query = strings.Join(words, " ")
		if cmd.Flags().Changed("threshold") {
			request.Threshold = &threshold
		}
		return g.search(ctx, request)
	})
	return cmd
}

func (g *globals) search(ctx context.Context, request document.SearchRequest) error {
	c, err := g.client()
	if err != nil {
		return err
	}
	c.OnWait = func(why error, wait time.Duration) {
		fmt.Fprintf(g.Stderr, "%v\nAsking again in %s.\n", why, wait.Round(time.Second))
	}
	result, err := c.Search(ctx, request)
	if err != nil {
		return err
	}
	if g.json {
		return g.printJSON(result)
	}
	if result.Degraded {
		fmt.Fprintln(g.Stderr, "The model is down; these hits were found by keyword.")
	}
	if len(result.Hits) == 0 {
		fmt.Fprintln(g.Stderr, "Nothing found.")
	}
	for _, hit := range result.Hits {
		location := hit.Key
		if len(hit.HeadingPath) > 0 {
			location += "  " + strings.Join(hit.HeadingPath, " › ")
		}
		if _, err := fmt.Fprintf(g.Stdout, "%.3f  %s\n       %s\n", hit.Score, location, excerpt(hit.Content)); err != nil {
			return err
		}
	}
	return nil
}

// excerpt returns the beginning of a passage on one line, with at most excerptWidth columns. It
// does not split grapheme clusters.
func excerpt(content string) string {
	line := oneLine(content)
	if uniseg.StringWidth(line) <= excerptWidth {
		return line
	}
	width, end := 0, 0
	for graphemes := uniseg.NewGraphemes(line); graphemes.Next() && width+graphemes.Width() < excerptWidth; {
		width += graphemes.Width()
		_, end = graphemes.Positions()
	}
	return line[:end] + "…"
}
