package audit

import (
	"context"
	"testing"

	"github.com/jackc/pgx/v5"
)

// checkObjects holds the bucket against the versions: one original for each,
// and none for nobody.
func (a Audit) checkObjects(t testing.TB) {
	t.Helper()
	ctx := context.WithoutCancel(t.Context())
	conn := a.Site.Connect()
	defer conn.Close(ctx)
	rows, err := conn.Query(ctx, `SELECT DISTINCT object, size FROM versions`)
	if err != nil {
		t.Fatal(err)
	}
	stored := objects(t, a.Site.S3)
	found := len(stored)
	var name string
	var size int64
	if _, err := pgx.ForEachRow(rows, []any{&name, &size}, func() error {
		if got, there := stored[name]; !there || got != size {
			t.Errorf("object %s should have %d bytes; there: %t, with %d", name, size, there, got)
		}
		delete(stored, name)
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	for name, size := range stored {
		t.Errorf("object %s of %d bytes is in the bucket and belongs to no version", name, size)
	}
	t.Logf("audit: %d objects", found)
}
