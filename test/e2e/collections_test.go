package e2e_test

import (
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/seed-7a112592/gristmill/internal/test/program"
	"github.com/seed-7a112592/gristmill/pkg/client"
	"github.com/seed-7a112592/gristmill/pkg/document"
)

const oneCollection = "GRISTMILL_MAX_COLLECTIONS=1"

func TestServersLimitCollections(t *testing.T) {
	t.Parallel()
	s := program.NewInstallation(t, oneCollection)
	checkOneCollection(t, s.Start("api").Client(program.APIKey))
}

func TestDevModeLimitsCollections(t *testing.T) {
	t.Parallel()
	p := program.Start(t, []string{oneCollection}, "gristmill", "dev", "--addr", "127.0.0.1:0", "--data", t.TempDir())
	checkOneCollection(t, p.Client(""))
}

// checkOneCollection checks that no second collection is created, and that uploads to the first
// still work.
func checkOneCollection(t *testing.T, c *client.Client) {
	t.Helper()
	put := func(collection, key string) error {
		_, err := c.Upload(t.Context(), document.UploadRequest{Collection: collection, Key: key}, strings.NewReader("text "+key))
		return err
	}
	if err := put("one", "a.md"); err != nil {
		t.Fatal(err)
	}
	problem, ok := errors.AsType[*client.Problem](put("two", "a.md"))
	if !ok || problem.Status != http.StatusConflict || problem.Code != "conflict" || !strings.Contains(problem.Detail, "GRISTMILL_MAX_COLLECTIONS") {
		t.Errorf("a second collection: got %+v, want 409 with the name of the setting", problem)
	}
	if err := put("one", "b.md"); err != nil {
		t.Error(err)
	}
}
