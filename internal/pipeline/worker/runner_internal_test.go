package worker

import (
	"fmt"
	"testing"
)

func TestSeenTenantsAreBounded(t *testing.T) {
	t.Parallel()
	var seen seenTenants
	for i := range 10 * maxSeenTenants {
		id := fmt.Sprint(i)
		if !seen.add(id) || seen.add(id) {
			t.Fatalf("tenant %s: want it new once", id)
		}
	}
	if len(seen.ids) > maxSeenTenants {
		t.Errorf("%d tenants in the set, want at most %d", len(seen.ids), maxSeenTenants)
	}
}
