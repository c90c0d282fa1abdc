package worker

import (
	"fmt"
	"testing"
)

func TestFewTenantsAreRemembered(t *testing.T) {
	t.Parallel()
	var m seenTenants
	for i := range 10 * maxSeenTenants {
		id := fmt.Sprint(i)
		if !m.add(id) || m.add(id) {
			t.Fatalf("tenant %s is not met once", id)
		}
	}
	if len(m.ids) > maxSeenTenants {
		t.Errorf("%d tenants are remembered, want at most %d", len(m.ids), maxSeenTenants)
	}
}
