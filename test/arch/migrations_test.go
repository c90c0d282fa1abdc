package arch_test

import (
	"os"
	"path/filepath"
	"testing"
)

// goose refuses to migrate when two migrations have the same number.
func TestMigrationNumbersAreUnique(t *testing.T) {
	for _, database := range []string{"postgres", "sqlite"} {
		entries, err := os.ReadDir(filepath.Join("..", "..", "migrations", database))
		if err != nil || len(entries) == 0 {
			t.Fatalf("%d migrations, %v", len(entries), err)
		}
		names := map[string]string{}
		for _, entry := range entries {
			number := entry.Name()[:5]
			if other := names[number]; other != "" {
				t.Errorf("%s: %s and %s have the same number", database, other, entry.Name())
			}
			names[number] = entry.Name()
		}
	}
}
