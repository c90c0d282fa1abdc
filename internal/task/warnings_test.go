package task_test

import (
	"encoding/json"
	"fmt"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-7a112592/gristmill/internal/task"
	"github.com/seed-7a112592/gristmill/pkg/document"
)

func TestWarningsAreJSONArray(t *testing.T) {
	t.Parallel()
	for want, warnings := range map[string]document.Warnings{
		`[]`: nil,
		`[{"code":"c","detail":"d","start":1,"end":2}]`: {{Code: "c", Detail: "d", Start: 1, End: 2}},
	} {
		got, err := json.Marshal(struct{ W document.Warnings }{warnings})
		if err != nil || string(got) != `{"W":`+want+`}` {
			t.Errorf("got %s, %v, want %s", got, err, want)
		}
		var back document.Warnings
		if err := json.Unmarshal([]byte(want), &back); err != nil || !cmp.Equal(back, warnings) {
			t.Errorf("%s: got %#v, %v back, want %#v", want, back, err, warnings)
		}
	}
}

func TestWarningCollectorSortsAndRemovesDuplicates(t *testing.T) {
	t.Parallel()
	var list task.WarningCollector
	var group sync.WaitGroup
	for range 3 {
		for i := range 50 {
			group.Go(func() { list.Add(document.Warning{Code: "c", Detail: fmt.Sprint(i), Start: int64(i)}) })
		}
	}
	group.Wait()
	all := list.All()
	if len(all) != 50 {
		t.Fatalf("got %d warnings, want 50", len(all))
	}
	for i, w := range all {
		if w.Start != int64(i) {
			t.Errorf("warning %d is about byte %d", i, w.Start)
		}
	}
}

func TestWarningCollectorIsBounded(t *testing.T) {
	t.Parallel()
	var list task.WarningCollector
	for i := range 250 {
		list.Add(document.Warning{Code: "c", Start: int64(i)})
	}
	all := list.All()
	if len(all) != task.MaxWarnings || all[98].Start != 98 {
		t.Fatalf("got %d warnings, the last but one at byte %d", len(all), all[len(all)-2].Start)
	}
	want := document.Warning{Code: "more_warnings", Detail: "151 more warnings are not listed"}
	if diff := cmp.Diff(want, all[99]); diff != "" {
		t.Errorf("the last one (-want +got):\n%s", diff)
	}
}
