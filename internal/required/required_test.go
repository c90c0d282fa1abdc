package required_test

import (
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/seed-7a112592/gristmill/internal/required"
)

type config struct {
	Reader io.Reader
	Inner  *strings.Reader
	Call   func()
	Size   int
	Name   string

	Writer io.Writer `zero:"ok"`
	Limit  int       `zero:"ok"`
}

func TestFields(t *testing.T) {
	t.Parallel()
	complete := config{Reader: strings.NewReader(""), Inner: strings.NewReader(""), Call: func() {}, Size: 1, Name: "a"}
	for _, test := range []struct {
		change func(*config)
		want   string // after the type's name; empty for no error
	}{
		{func(*config) {}, ""},
		{func(c *config) { c.Reader = nil }, "missing Reader"},
		{func(c *config) { c.Reader = (*strings.Reader)(nil) }, "missing Reader"},
		{func(c *config) { c.Inner = nil }, "missing Inner"},
		{func(c *config) { c.Call = nil }, "missing Call"},
		{func(c *config) { c.Size = 0 }, "missing Size"},
		{func(c *config) { c.Name = "" }, "missing Name"},
		{func(c *config) { c.Writer = (*strings.Builder)(nil) }, "missing Writer"},
		{func(c *config) { c.Writer, c.Limit = io.Discard, 1 }, ""},
		{func(c *config) { *c = config{} }, "missing Reader, Inner, Call, Size, Name"},
	} {
		given := complete
		test.change(&given)
		got, want := "", test.want
		if err := required.Fields(given); err != nil {
			got = err.Error()
		}
		if want != "" {
			want = fmt.Sprintf("%T: %s", given, want)
		}
		if got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}
