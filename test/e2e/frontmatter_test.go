package e2e_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/seed-7a112592/gristmill/internal/test/fakeprovider"
	"github.com/seed-7a112592/gristmill/internal/test/program"
	"github.com/seed-7a112592/gristmill/pkg/document"
)

// Front matter becomes metadata as it was written, or text with a warning. It is never lost, and
// searches find it.
func TestFrontMatterIsMetadataOrText(t *testing.T) {
	t.Parallel()
	provider := fakeprovider.Start(t, fakeprovider.Options{Dimensions: 64, RecordTexts: true})
	dev := program.Start(t, providerEnv(provider), "gristmill", "dev", "--addr", "127.0.0.1:0", "--data", t.TempDir())
	c, ctx := dev.Client(""), timeoutContext(t)
	for _, test := range []struct {
		key, text       string
		title, metadata string
		warning         string // part of the warning's detail
		embedded        string // beginning of one embedded text
		summary         string // text that the summary must not contain
	}{
		{key: "types.md", text: "---\ntitle: 1.10\nzip: 01234\ndate: 2031-02-03\nsize: 42\n---\nBody of types.\n",
			title: "1.10", metadata: `{"date":"2031-02-03","size":42,"title":"1.10","zip":"01234"}`, embedded: "1.10\n\nBody of types."},
		{key: "toml.md", text: "+++\ntitle = \"Stones\"\ndate = 2031-02-03\n+++\n# Care\n\nBody of toml.\n",
			title: "Stones", metadata: `{"date":"2031-02-03","title":"Stones"}`, embedded: "Stones > Care\n\n", summary: "+++"},
		{key: "colon.md", text: "---\ntitle: Milling: a guide\ncode: QX-1\n---\nBody of colon.\n",
			title: "colon", metadata: `{}`, warning: "line 2: mapping values", embedded: "---\ntitle: Milling: a guide\ncode: QX-1\n---\nBody of colon."},
		{key: "twice.md", text: "---\ntags: a\ntags: b\n---\nBody of twice.\n",
			title: "twice", metadata: `{}`, warning: `line 3: mapping key "tags" already defined`, embedded: "---\ntags: a\n"},
		{key: "only.md", text: "---\ntitle: Placeholder\nowner: docs\n---\n",
			title: "Placeholder", metadata: `{"owner":"docs","title":"Placeholder"}`, embedded: "Placeholder\n\n---\n"},
		{key: "plain.txt", text: "---\ntitle: not: read\n---\nBody of plain.\n",
			title: "plain", metadata: `{}`, embedded: "---\ntitle: not: read\n"},
		{key: "page.mdx", text: "import A from 'a'\n\n# Crank\n\nBody of crank.\n",
			title: "Crank", metadata: `{}`, embedded: "Crank\n\n", summary: "import"},
	} {
		accepted, err := c.Upload(ctx, document.UploadRequest{Key: test.key}, strings.NewReader(test.text))
		if err != nil {
			t.Fatal(err)
		}
		job, err := c.AwaitJob(ctx, accepted.Job.ID, time.Second, nil)
		if err != nil || job.State != document.JobSucceeded {
			t.Fatalf("%s: job %+v, %v", test.key, job, err)
		}
		for of, warnings := range map[string]document.Warnings{"answer": accepted.Job.Warnings, "job": job.Warnings} {
			if warned := len(warnings) == 1 && strings.Contains(warnings[0].Detail, test.warning) && warnings[0].End > 0; (test.warning != "") != warned || len(warnings) > 1 {
				t.Errorf("%s: warnings of the %s are %+v, want %q", test.key, of, warnings, test.warning)
			}
		}
		d, err := c.Document(ctx, accepted.Document.ID)
		if err != nil || d.Title != test.title || string(compact(t, d.Metadata)) != test.metadata {
			t.Errorf("%s: title %q, metadata %s, %v; want %q, %s", test.key, d.Title, d.Metadata, err, test.title, test.metadata)
		}
		found := false
		for text := range provider.EmbeddedTexts() {
			found = found || strings.HasPrefix(text, test.embedded)
		}
		if !found {
			t.Errorf("%s: no embedded text begins with %q", test.key, test.embedded)
		}
		if summary, err := c.Summary(ctx, d.ID); err != nil || test.summary != "" && strings.Contains(summary.Summary, test.summary) {
			t.Errorf("%s: summary %q, %v, want one without %q", test.key, summary.Summary, err, test.summary)
		}
	}
	if status := dev.Stop(); status != 0 {
		t.Errorf("dev exited with %d:\n%s", status, dev.Output())
	}
}

// compact returns JSON without whitespace.
func compact(t *testing.T, raw json.RawMessage) []byte {
	t.Helper()
	text, err := json.Marshal(raw)
	if err != nil {
		t.Fatal(err)
	}
	return text
}
