package document

import "testing"

func TestConditionHolds(t *testing.T) {
	t.Parallel()
	none, empty, any, a, ab := []string(nil), []string{}, []string{AnyVersion}, []string{"a"}, []string{"a", "b"}
	for i, test := range []struct {
		match, noneMatch []string
		there            string // the newest version's hash
		want             bool
	}{
		{none, none, "", true}, {none, none, "a", true},
		{any, none, "", false}, {any, none, "a", true},
		{a, none, "", false}, {a, none, "a", true}, {a, none, "b", false}, {ab, none, "b", true}, {empty, none, "a", false},
		{none, any, "", true}, {none, any, "a", false},
		{none, a, "", true}, {none, a, "a", false}, {none, a, "b", true}, {none, ab, "b", false},
		{any, a, "b", true}, {any, a, "a", false}, {a, any, "a", false},
	} {
		if got := (Condition{Match: test.match, NoneMatch: test.noneMatch}).Holds(test.there); got != test.want {
			t.Errorf("%d: %+v holds: %v", i, test, got)
		}
	}
}
