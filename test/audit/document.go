package audit

import (
	"fmt"
	"io"
	"strings"
	"testing"
	"unicode"

	"github.com/seed-7a112592/gristmill/pkg/client"
	"github.com/seed-7a112592/gristmill/pkg/document"
	"github.com/seed-7a112592/gristmill/pkg/markdown"
)

// Document checks that a document is ready, with the bytes of source as its
// content, passages that keep promise 5, and a summary of the same version.
func Document(t testing.TB, c *client.Client, d document.Document, source string) {
	t.Helper()
	if d.State != document.Ready || d.Size != int64(len(source)) {
		t.Errorf("%s is %s with %d bytes, its file has %d", d.Key, d.State, d.Size, len(source))
	}
	content, err := c.Content(t.Context(), d.ID)
	if err != nil {
		t.Fatalf("content of %s: %v", d.Key, err)
	}
	defer content.Close()
	if stored, err := io.ReadAll(content); err != nil || string(stored) != source {
		t.Errorf("content of %s is not its file: %v", d.Key, err)
	}
	if err := Tile(source, Passages(t, c, d.ID)); err != nil {
		t.Errorf("%s: %v", d.Key, err)
	}
	summary, err := c.Summary(t.Context(), d.ID)
	if err != nil || strings.TrimSpace(summary.Summary) == "" || summary.Version != d.Version {
		t.Errorf("summary of %s version %d is %+v, %v", d.Key, d.Version, summary, err)
	}
}

// mostTokens is how many tokens a passage has at the most, by default.
const mostTokens = 400

// Tile holds passages to promise 5: verbatim, in order, without overlap, and
// together all of the source that is not white space, but for front matter.
func Tile(source string, passages []document.Passage) error {
	head := []byte(source[:min(len(source), markdown.HeadSize)])
	_, body := markdown.FrontMatter(head)
	end := int64(body)
	for i, p := range passages {
		if p.Ordinal != i || p.Start < end || p.End <= p.Start || p.End > int64(len(source)) {
			return fmt.Errorf("passage %d, where %d is expected, is bytes %d to %d after %d", p.Ordinal, i, p.Start, p.End, end)
		}
		if p.Content != source[p.Start:p.End] {
			return fmt.Errorf("passage %d is not what stands in its source", i)
		}
		if p.Tokens < 1 || p.Tokens > mostTokens {
			return fmt.Errorf("passage %d has %d tokens", i, p.Tokens)
		}
		if err := blank(source[end:p.Start]); err != nil {
			return err
		}
		end = p.End
	}
	return blank(source[end:])
}

func blank(gap string) error {
	if strings.ContainsFunc(gap, func(r rune) bool { return !unicode.IsSpace(r) }) {
		return fmt.Errorf("no passage covers %.60q", gap)
	}
	return nil
}
