package app

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
)

// Field describes one setting.
type Field struct {
	Name    string // of the environment variable
	Default string
	Doc     string
}

// Fields returns the settings in the order of the documentation.
func Fields() []Field {
	config := reflect.TypeFor[Config]()
	fields := make([]Field, config.NumField())
	for i := range fields {
		tag := config.Field(i).Tag
		fields[i] = Field{envPrefix + tag.Get("env"), tag.Get("envDefault"), tag.Get("doc")}
	}
	return fields
}

// envName returns the name of the environment variable of a field of Config.
func envName(field string) string {
	f, ok := reflect.TypeFor[Config]().FieldByName(field)
	if !ok {
		return field
	}
	return envPrefix + f.Tag.Get("env")
}

// checkSet returns an error for each of the names (without prefix) that is not set.
func checkSet(c Config, names ...string) []error {
	value := reflect.ValueOf(c)
	var problems []error
	for i, field := range Fields() {
		if slices.Contains(names, strings.TrimPrefix(field.Name, envPrefix)) && value.Field(i).IsZero() {
			problems = append(problems, fmt.Errorf("%s is not set: %s", field.Name, field.Doc))
		}
	}
	return problems
}
