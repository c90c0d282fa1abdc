package cli_test

import (
	"strings"
	"testing"

	"github.com/google/uuid"

	"github.com/seed-7a112592/gristmill/internal/cli"
	"github.com/seed-7a112592/gristmill/internal/test/fakeapi"
	"github.com/seed-7a112592/gristmill/pkg/client"
	"github.com/seed-7a112592/gristmill/pkg/document"
)

func TestSummaryOnDemand(t *testing.T) {
	t.Parallel()
	server := fakeapi.New(t)
	c, err := client.New(server.URL, "", nil)
	if err != nil {
		t.Fatal(err)
	}
	accepted, err := c.Upload(t.Context(), document.UploadRequest{Collection: "docs", Key: "a.md"}, strings.NewReader("A text.\n"))
	if err != nil {
		t.Fatal(err)
	}
	id := accepted.Document.ID.String()
	for _, test := range []struct {
		args []string
		code int
		want string
	}{
		{[]string{id}, cli.ExitFailed, "there is no summary yet"},
		{[]string{id, "--make"}, cli.ExitDone, "A text.\n"},
		{[]string{id}, cli.ExitDone, "A text.\n"},
		{[]string{id, "--json"}, cli.ExitDone, `"summary":"A text."`},
		{[]string{uuid.NewString(), "--make"}, cli.ExitFailed, "no document"},
		{[]string{"a.md"}, cli.ExitUsage, "not a document id"},
		{nil, cli.ExitUsage, ""},
	} {
		got := gristmill(t, server, append([]string{"documents", "summary"}, test.args...)...)
		if got.code != test.code || !strings.Contains(got.stdout+got.stderr, test.want) {
			t.Errorf("%q: exit %d, %q, %q; want %d, %q", test.args, got.code, got.stdout, got.stderr, test.code, test.want)
		}
	}
}
