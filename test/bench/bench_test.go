package main

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestRunCleansUpAndReturnsErrors(t *testing.T) {
	t.Parallel()
	b := newBench(t.Context(), 1, "")
	var steps []string
	step := func(name string) func() { return func() { steps = append(steps, name) } }
	err := b.run(func(b *bench) {
		b.Cleanup(step("outer, first"))
		b.mustRun(func(b *bench) {
			b.Cleanup(step("inner"))
			b.Fatal("no database")
		})
		step("after a failure")()
	})
	if err == nil || !strings.Contains(err.Error(), "no database") {
		t.Errorf("the error is %v, want no database", err)
	}
	if diff := cmp.Diff([]string{"inner", "outer, first"}, steps); diff != "" {
		t.Error(diff)
	}
}

func TestReportChecksBounds(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		result result
		missed bool
	}{
		{result{"rate", 10, "/s", boundMin, 10}, false},
		{result{"rate", 9.9, "/s", boundMin, 10}, true},
		{result{"memory", 10, "MiB", boundMax, 10}, false},
		{result{"memory", 10.1, "MiB", boundMax, 10}, true},
		{result{"speed", 0, "MB/s", boundNone, 10}, false},
	} {
		b := newBench(t.Context(), 1, "")
		b.report(test.result)
		if *b.boundMissed != test.missed {
			t.Errorf("%+v: missed is %t, want %t", test.result, *b.boundMissed, test.missed)
		}
	}
}
