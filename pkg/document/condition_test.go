package document

import (
	"strings"
	"testing"
)

func TestCondition(t *testing.T) {
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
		if err := (Condition{Match: test.match, NoneMatch: test.noneMatch}).Check(test.there); (err == nil) != test.want {
			t.Errorf("%d: %+v: %v", i, test, err)
		}
	}
	for want, err := range map[string]error{
		"If-Match failed: no document":                                   Condition{Match: a}.Check(""),
		`If-Match failed: the newest version has the ETag "b"`:           Condition{Match: a}.Check("b"),
		`If-None-Match failed: the newest version has the ETag "a"; get`: Condition{NoneMatch: any}.Check("a"),
	} {
		if err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%v, want %s", err, want)
		}
	}
}
