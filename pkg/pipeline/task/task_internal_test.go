package task

import (
	"fmt"
	"testing"
)

func TestFewTenantsAreRemembered(t *testing.T) {
	t.Parallel()
	var m met
	for i := range 10 * maxMet {
		id := fmt.Sprint(i)
		if !m.first(id) || m.first(id) {
			t.Fatalf("tenant %s is not met once", id)
		}
	}
	if len(m.ids) > maxMet {
		t.Errorf("%d tenants are remembered, want at most %d", len(m.ids), maxMet)
	}
}
