package audit

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/seed-7a112592/gristmill/internal/pipeline/verify"
	"github.com/seed-7a112592/gristmill/pkg/client"
	"github.com/seed-7a112592/gristmill/pkg/document"
	"github.com/seed-7a112592/gristmill/pkg/markdown"
)

// CheckDocument checks that a document is ready, that its content is source, that its passages keep
// promise 5, and that it has a summary of the same version.
func CheckDocument(t testing.TB, c *client.Client, d document.Document, source string) {
	t.Helper()
	if d.State != document.DocumentReady || d.Size != int64(len(source)) {
		t.Errorf("%s is %s with %d bytes, want ready with the %d bytes of its file", d.Key, d.State, d.Size, len(source))
	}
	content, err := c.Content(t.Context(), d.ID)
	if err != nil {
		t.Fatalf("content of %s: %v", d.Key, err)
	}
	defer content.Close()
	if stored, err := io.ReadAll(content); err != nil || string(stored) != source {
		t.Errorf("content of %s differs from its file, error %v", d.Key, err)
	}
	if err := CheckTiling(source, Passages(t, c, d.ID)); err != nil {
		t.Errorf("%s: %v", d.Key, err)
	}
	summary, err := c.Summary(t.Context(), d.ID)
	if err != nil || strings.TrimSpace(summary.Summary) == "" || summary.Version != d.Version {
		t.Errorf("summary of %s version %d is %+v, %v", d.Key, d.Version, summary, err)
	}
}

// maxPassageTokens is the default limit of tokens in a passage.
const maxPassageTokens = 400

// CheckTiling checks promise 5, as gristmill verify does, and what is true with the default
// settings: no passage overlaps the one before, none is too large, and only front matter is not
// covered.
func CheckTiling(source string, passages []document.Passage) error {
	tiling := verify.NewTilingChecker(strings.NewReader(source))
	_, body := markdown.ParseFrontMatter([]byte(source[:min(len(source), markdown.HeadSize)]))
	end := int64(body)
	for i, p := range passages {
		if p.Start < end {
			return fmt.Errorf("passage %d begins at byte %d, before byte %d, where it may begin", i, p.Start, end)
		}
		if i == 0 && strings.TrimSpace(source[body:p.Start]) != "" {
			return fmt.Errorf("no passage covers %.60q", source[body:p.Start])
		}
		if p.Tokens < 1 || p.Tokens > maxPassageTokens {
			return fmt.Errorf("passage %d has %d tokens", i, p.Tokens)
		}
		if wrong, err := tiling.CheckPassage(p.Ordinal, p.Start, p.End, p.Content); wrong != nil || err != nil {
			return errors.Join(wrong, err)
		}
		end = p.End
	}
	wrong, err := tiling.CheckEnd()
	return errors.Join(wrong, err)
}
