package e2e_test

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/seed-7a112592/gristmill/internal/test/program"
	"github.com/seed-7a112592/gristmill/pkg/client"
	"github.com/seed-7a112592/gristmill/pkg/document"
)

// The reindex in the README and its revert work in one process on SQLite.
func TestDevModeReindexes(t *testing.T) {
	t.Parallel()
	documents, err := filepath.Abs("../../testdata/corpus")
	if err != nil {
		t.Fatal(err)
	}
	dev := program.Start(t, nil, "gristmill", "dev", "--addr", "127.0.0.1:0", "--data", t.TempDir(), documents)
	c := dev.Client("")
	awaitJobs(t, c, func(jobs []document.Job) bool {
		for _, job := range jobs {
			if !job.State.Ended() {
				return false
			}
		}
		return len(jobs) == 4
	})
	reindex := func(want string, args ...string) {
		t.Helper()
		p := program.Start(t, []string{"GRISTMILL_SERVER=" + dev.URL()}, "gristmill", append([]string{"reindex", "--collection", "default"}, args...)...)
		if status := p.Wait(); status != 0 || !strings.Contains(p.Output(), want) {
			t.Errorf("reindex %q exited with %d, want 0 and output with %q:\n%s", args, status, want, p.Output())
		}
	}
	before := bestHit(t, c)
	reindex("Dry run: no reindex was begun.", "--dimensions", "256", "--dry-run")
	reindex("Searches now use local (256 dimensions).", "--dimensions", "256", "--watch")
	if bestHit(t, c).Score == before.Score {
		t.Errorf("the best hit still has score %v, want the score of other vectors", before.Score)
	}
	reindex("the previous space answers searches again", "--revert")
	if back := bestHit(t, c); back.Content != before.Content || back.Score != before.Score {
		t.Errorf("after the revert found %q at %v, want %q at %v", back.Content, back.Score, before.Content, before.Score)
	}
}

// bestHit returns the best hit for the README's question.
func bestHit(t *testing.T, c *client.Client) document.Hit {
	t.Helper()
	result, err := c.Search(timeoutContext(t), document.SearchRequest{Query: "How is the speed of the stones set?", Limit: 1})
	if err != nil || len(result.Hits) != 1 {
		t.Fatalf("search: %+v, %v", result.Hits, err)
	}
	return result.Hits[0]
}
