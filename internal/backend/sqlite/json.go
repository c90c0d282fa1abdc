package sqlite

import (
	"database/sql/driver"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"modernc.org/sqlite"
)

// jsonContains is the SQL function json_contains(whole, part): whether a JSON
// object contains another as PostgreSQL's jsonb @> has it.
func jsonContains(_ *sqlite.FunctionContext, args []driver.Value) (driver.Value, error) {
	var values [2]any
	for i, arg := range args {
		text, ok := arg.(string)
		if !ok {
			return nil, fmt.Errorf("json_contains: argument %d: want text, got %T", i+1, arg)
		}
		value, err := decodeJSON([]byte(text))
		if err != nil {
			return nil, fmt.Errorf("json_contains: argument %d: %w", i+1, err)
		}
		values[i] = value
	}
	return containsJSON(values[0], values[1]), nil
}

// containsJSON reports whether every member of part, at any depth, is in whole:
// those of an object under the same key, those of an array anywhere in it.
func containsJSON(whole, part any) bool {
	switch part := part.(type) {
	case map[string]any:
		object, ok := whole.(map[string]any)
		if !ok {
			return false
		}
		for key, value := range part {
			if found, ok := object[key]; !ok || !containsJSON(found, value) {
				return false
			}
		}
		return true
	case []any:
		array, ok := whole.([]any)
		if !ok {
			return false
		}
		for _, value := range part {
			if !slices.ContainsFunc(array, func(found any) bool { return containsJSON(found, value) }) {
				return false
			}
		}
		return true
	case json.Number:
		number, ok := whole.(json.Number)
		return ok && decimalOf(number) == decimalOf(part)
	default: // string, bool or null
		return whole == part
	}
}

// decimal is a number written in one way only, so that 1, 1.0 and 10e-1 are
// equal and 9007199254740993 is not 9007199254740992.
type decimal struct {
	negative bool
	digits   string // neither beginning nor ending with 0; empty for zero
	exponent int    // of the last digit
}

func decimalOf(number json.Number) decimal {
	text, negative := strings.CutPrefix(string(number), "-")
	mantissa, power := text, 0
	if i := strings.IndexAny(text, "eE"); i >= 0 {
		mantissa = text[:i]
		power, _ = strconv.Atoi(text[i+1:]) // clamped when out of range
	}
	whole, fraction, _ := strings.Cut(mantissa, ".")
	digits := strings.TrimLeft(whole+fraction, "0")
	significant := strings.TrimRight(digits, "0")
	if significant == "" {
		return decimal{}
	}
	return decimal{
		negative: negative,
		digits:   significant,
		exponent: power - len(fraction) + len(digits) - len(significant),
	}
}

// sameJSON reports whether two JSON values are equal as PostgreSQL's jsonb has it: the order of keys
// and the form of numbers do not count.
func sameJSON(a, b []byte) (bool, error) {
	first, err := decodeJSON(a)
	if err != nil {
		return false, err
	}
	second, err := decodeJSON(b)
	return equalJSON(first, second), err
}

func equalJSON(a, b any) bool {
	switch a := a.(type) {
	case map[string]any:
		object, ok := b.(map[string]any)
		return ok && maps.EqualFunc(a, object, equalJSON)
	case []any:
		array, ok := b.([]any)
		return ok && slices.EqualFunc(a, array, equalJSON)
	case json.Number:
		number, ok := b.(json.Number)
		return ok && decimalOf(a) == decimalOf(number)
	default: // string, bool or null
		return a == b
	}
}

// decodeJSON decodes a value with its numbers as they are written.
func decodeJSON(text []byte) (value any, err error) {
	decoder := json.NewDecoder(strings.NewReader(string(text)))
	decoder.UseNumber()
	err = decoder.Decode(&value)
	return value, err
}
