package cli_test

import (
	"strings"
	"testing"

	"github.com/seed-7a112592/gristmill/internal/test/fakeapi"
)

func TestVerify(t *testing.T) {
	t.Parallel()
	server := fakeapi.New(t)
	for name, test := range map[string]struct {
		args           []string
		code           int
		stdout, stderr []string
	}{
		"no damage":          {nil, 0, []string{"✓ compared 3 documents of 10 bytes, and 4 objects: 0 findings"}, nil},
		"no damage, as JSON": {[]string{"--json"}, 0, []string{`{"documents":3,"bytes":10,"objects":4,"findings":0}`}, nil},
		"damaged":            {[]string{"--collection", "damaged"}, 1, []string{"✗ original_gone: damaged/a.md version 2", "it is lost", "what to do: upload it again", ": 1 finding\n"}, nil},
		"damaged, as JSON":   {[]string{"--collection", "damaged", "--json"}, 1, []string{`{"kind":"original_gone"`, `"key":"a.md"`, `"findings":1`}, nil},
		"interrupted":        {[]string{"--collection", "interrupted"}, 1, nil, []string{"to continue, add --after default/7", "no database"}},
		"with arguments":     {[]string{"x"}, 2, nil, []string{"unknown command"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := gristmill(t, server, append([]string{"verify"}, test.args...)...)
			if got.code != test.code {
				t.Errorf("status %d, want %d", got.code, test.code)
			}
			for _, want := range test.stdout {
				if !strings.Contains(got.stdout, want) {
					t.Errorf("stdout %q, want %q in it", got.stdout, want)
				}
			}
			for _, want := range test.stderr {
				if !strings.Contains(got.stderr, want) {
					t.Errorf("stderr %q, want %q in it", got.stderr, want)
				}
			}
		})
	}
}
