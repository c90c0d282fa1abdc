package cli

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/uuid"

	"github.com/seed-7a112592/gristmill/pkg/document"
)

func TestLeftOutText(t *testing.T) {
	t.Parallel()
	var p document.ReindexProgress
	if got := leftOutText(p); got != "" {
		t.Errorf("no documents are left out: got %q, want nothing", got)
	}
	for i := range 120 {
		p.AddLeftOut(1, document.LeftOut{DocumentID: uuid.New(), Key: fmt.Sprintf("docs/%d.md", i), Error: "model m does not take passage 3\nof it"})
	}
	got := leftOutText(p)
	for _, want := range []string{"Left out: 120 documents, ", "docs/9.md (" + p.LeftOut[9].DocumentID.String() + "): model m does not take passage 3 of it", "and 110 more"} {
		if !strings.Contains(got, want) {
			t.Errorf("got\n%s\nwant it to contain %q", got, want)
		}
	}
	if strings.Contains(got, "docs/10.md") || len(p.LeftOut) != document.MaxLeftOut {
		t.Errorf("%d documents are kept, want %d; 10 should be printed, got\n%s", len(p.LeftOut), document.MaxLeftOut, got)
	}
}
