package e2e_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/seed-7a112592/gristmill/internal/test/audit"
	"github.com/seed-7a112592/gristmill/internal/test/fakeprovider"
	"github.com/seed-7a112592/gristmill/internal/test/program"
	"github.com/seed-7a112592/gristmill/pkg/document"
)

// Plain text has no headings, whatever its lines look like, and is split between lines, which are
// its records. The same bytes as markdown are another version.
func TestPlainTextHasRecordsAndNoHeadings(t *testing.T) {
	t.Parallel()
	provider := fakeprovider.Start(t, fakeprovider.Options{Dimensions: 64, RecordTexts: true})
	s := program.NewInstallation(t, providerEnv(provider)...)
	api := s.Start("api")
	s.Start("worker-knowledge")
	s.Start("worker-summary")
	c, ctx := api.Client(program.APIKey), timeoutContext(t)

	var text strings.Builder
	text.WriteString("# Log of the mill\n")
	for n := range 150 {
		fmt.Fprintf(&text, "# 2031-04-01 10:%02d:00 WARN mill[%d] the gap is 0.%d mm. Dress the stones\n", n%60, 1000+n, n%10)
	}
	source := text.String()
	put := func(mediaType string) (document.Document, []document.Passage) {
		t.Helper()
		accepted, err := c.Upload(ctx, document.UploadRequest{Key: "mill.md", MediaType: mediaType}, strings.NewReader(source))
		if err != nil {
			t.Fatal(err)
		}
		if job, err := c.AwaitJob(ctx, accepted.Job.ID, time.Second, nil); err != nil || job.State != document.JobSucceeded {
			t.Fatalf("%s: job %+v, %v", mediaType, job, err)
		}
		d, err := c.Document(ctx, accepted.Document.ID)
		if err != nil {
			t.Fatal(err)
		}
		passages := audit.Passages(t, c, d.ID)
		if err := audit.CheckTiling(source, passages); err != nil {
			t.Errorf("%s: %v", mediaType, err)
		}
		return d, passages
	}

	d, passages := put("text/plain; charset=utf-8")
	if d.Title != "mill" || d.MediaType != "text/plain" || len(passages) < 5 {
		t.Errorf("document %+v has %d passages", d, len(passages))
	}
	for _, p := range passages {
		before, after := source[:p.Start], source[p.End:]
		if len(p.HeadingPath) > 0 || before != "" && !strings.HasSuffix(before, "\n") || after != "" && !strings.HasPrefix(after, "\n") {
			t.Errorf("passage %d has heading path %q, or does not consist of complete lines: %q", p.Ordinal, p.HeadingPath, p.Content)
		}
		if provider.EmbeddedTexts()[p.Content] == 0 {
			t.Errorf("passage %d was not embedded unchanged: %q", p.Ordinal, p.Content)
		}
	}
	if d, _ = put("text/markdown"); d.Title != "Log of the mill" || d.Version != 2 {
		t.Errorf("as markdown: document %+v", d)
	}
}
