package app

import (
	"reflect"
)

// Field documents one name of the configuration.
type Field struct {
	Name    string // of the environment variable
	Default string
	Doc     string
}

// Fields lists the configuration, in the order in which it is documented.
func Fields() []Field {
	config := reflect.TypeFor[Config]()
	fields := make([]Field, config.NumField())
	for i := range fields {
		tag := config.Field(i).Tag
		fields[i] = Field{prefix + tag.Get("env"), tag.Get("envDefault"), tag.Get("doc")}
	}
	return fields
}

// documentation returns what the name without prefix is for.
func documentation(name string) string {
	for _, field := range Fields() {
		if field.Name == prefix+name {
			return field.Doc
		}
	}
	return "no such name"
}
