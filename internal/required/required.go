// Package required checks that the configuration of a type is complete when the type is made, so
// that a missing dependency stops the start of a process and not the first request that needs it.
package required

import (
	"fmt"
	"reflect"
	"strings"
)

// Fields returns an error that names every field of config, a struct with exported fields, that is
// not set: one with its zero value, or an interface that holds a nil pointer. A field with the tag
// `zero:"ok"` may have its zero value; its comment says what that means.
func Fields(config any) error {
	var missing []string
	for field, value := range reflect.ValueOf(config).Fields() {
		unset := value.IsZero()
		if value.Kind() == reflect.Interface && !unset {
			held := value.Elem()
			unset = held.Kind() == reflect.Pointer && held.IsNil()
		}
		if unset && (field.Tag.Get("zero") != "ok" || !value.IsZero()) {
			missing = append(missing, field.Name)
		}
	}
	if len(missing) > 0 {
		return fmt.Errorf("%T: missing %s", config, strings.Join(missing, ", "))
	}
	return nil
}
