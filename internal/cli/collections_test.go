package cli_test

import (
	"strings"
	"testing"

	"github.com/seed-7a112592/gristmill/internal/cli"
	"github.com/seed-7a112592/gristmill/internal/test/fakeapi"
)

func TestCollections(t *testing.T) {
	t.Parallel()
	server := fakeapi.New(t)
	for _, test := range []struct {
		args []string
		want string
	}{
		{[]string{"get", "docs"}, "docs: embedded by local (64 dimensions), passages of at most 400 tokens, overlap 0; summaries model\n"},
		{[]string{"set", "docs", "--summaries", "on_demand"}, "summaries on_demand\n"},
		{[]string{"set", "docs/of us", "--summaries", "off"}, "docs/of us: embedded by local"},
		{[]string{"get", "docs"}, "summaries on_demand\n"},
		{[]string{"get", "docs/of us", "--json"}, `"summaries":"off"`},
		{[]string{"list"}, "docs        local  64          400     0        on_demand\n"},
		{[]string{"list", "--limit", "2", "--json"}, `"name":"docs/of us"`},
	} {
		if got := gristmill(t, server, append([]string{"collections"}, test.args...)...); got.code != 0 || !strings.Contains(got.stdout, test.want) {
			t.Errorf("%q: exit %d, %q, %q; want %q", test.args, got.code, got.stdout, got.stderr, test.want)
		}
	}
	for _, args := range [][]string{{"set", "docs"}, {"set", "docs", "--summaries", "never"}, {"set", "--summaries", "off"}} {
		if got := gristmill(t, server, append([]string{"collections"}, args...)...); got.code != cli.ExitUsage {
			t.Errorf("%q: exit %d, %q; want exit %d", args, got.code, got.stderr, cli.ExitUsage)
		}
	}
}
