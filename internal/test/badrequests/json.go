package badrequests

import (
	"bytes"
	"encoding/json"
	"maps"
	"slices"
	"strings"
)

func hasJSON(_ *generator, o operation) bool { return o.jsonBody() != nil }

func hasProperties(_ *generator, o operation) bool {
	return o.jsonBody() != nil && len(o.jsonBody().Properties) > 0
}

// badFields are values that fields with these names must refuse.
var badFields = map[string][]any{
	"url": {
		"", "nonsense", "/hook", "//example.com", "ftp://example.com/", "http://", "http://a b/", "https://user:password@example.com/", "https://example.com/#x",
		"https://example.com:0/", "https://example.com:99999/", "http://169.254.169.254/latest", "http://[::]:80/", "http://%zz/", "https://example.com/" + strings.Repeat("x", 3000),
	},
	"secret": {"x", "whsec_", "whsec_????", "whsec_eA=="},
	"model":  {"", strings.Repeat("m", 201), strings.Repeat("ü", 101), strings.Repeat("🌾", 51)},
	"document_ids": {
		[]any{}, []any{""}, []any{"x"}, []any{7}, []any{nil}, []any{[]any{}}, []any{"ffffffff-0000-7000-8000-00000000000"}, []any{strings.Repeat("f", 32) + "ff"},
	},
}

func hasBadFields(_ *generator, o operation) bool { return len(namesOfBadFields(o)) > 0 }

func namesOfBadFields(o operation) []string {
	var names []string
	for _, name := range slices.Sorted(maps.Keys(badFields)) {
		if o.jsonBody() != nil && o.jsonBody().Properties[name] != nil {
			names = append(names, name)
		}
	}
	return names
}

// flawsOfJSON are flaws in JSON bodies.
var flawsOfJSON = []flaw{
	{"a body that is not JSON", hasJSON, func(g *generator, d *draft) {
		valid := encode(g.validObject(d.jsonBody()))
		d.content = pick(g, [][]byte{
			nil, []byte(" "), []byte("{"), []byte("nonsense"), []byte("{'a':1}"), []byte(`{"a":1,}`), []byte("\x00"), []byte("\xef\xbb\xbf{}"), []byte("<xml/>"),
			valid[:g.rand.IntN(len(valid))], slices.Concat(valid, []byte("}")), slices.Concat(valid, valid), slices.Concat(valid, []byte(" x")),
			[]byte(strings.Repeat("[", 50000)), []byte(strings.Repeat(`{"a":`, 20000)), []byte(`{"a":NaN}`), []byte(`{"a":01}`), []byte(`{"a":"` + "\n" + `"}`), []byte(`"\uD8"`),
		})
	}},
	{"a body that is not an object", hasJSON, func(g *generator, d *draft) {
		d.content = []byte(pick(g, []string{"null", "[]", "7", "true", `"x"`, "[{}]", "-0", "1e400", "[" + strings.Repeat("[],", 1000) + "[]]"}))
	}},
	{"a body that is not text", hasJSON, func(g *generator, d *draft) {
		d.content = pick(g, [][]byte{[]byte("{\"query\":\"\xff\"}"), []byte(`{"query":"a\u0000b"}`), []byte(`{"\u0000":1}`), []byte("{\"\xc3\x28\":1}"), []byte("\xff\xfe{\x00}\x00")})
	}},
	{"an unknown field", hasJSON, func(g *generator, d *draft) {
		d.changeBody(g, func(object map[string]any, s *schema) {
			object[pick(g, []string{"nothing", "", "Query", "__proto__", "🌾", strings.Repeat("n", 3000)})] = 1
		})
	}},
	{"a field of a wrong type", hasProperties, func(g *generator, d *draft) {
		d.changeBody(g, func(object map[string]any, s *schema) {
			name := pick(g, slices.Sorted(maps.Keys(s.Properties)))
			object[name] = g.invalidValue(s.Properties[name])
		})
	}},
	{"a missing field", func(_ *generator, o operation) bool { return o.jsonBody() != nil && len(o.jsonBody().Required) > 0 }, func(g *generator, d *draft) {
		d.changeBody(g, func(object map[string]any, s *schema) { delete(object, pick(g, s.Required)) })
	}},
	{"a field with an invalid value", hasBadFields, func(g *generator, d *draft) {
		d.changeBody(g, func(object map[string]any, s *schema) {
			name := pick(g, namesOfBadFields(d.operation))
			object[name] = pick(g, badFields[name])
		})
	}},
	{"a body of a wrong media type", hasJSON, func(g *generator, d *draft) {
		d.media = pick(g, []string{"text/plain", "application/xml", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "image/png"})
	}},
	{"a body that is too large", hasJSON, func(g *generator, d *draft) {
		if g.rand.IntN(10) > 0 { // rarely, because the body is large
			d.content = nil
			return
		}
		d.content = bytes.Repeat([]byte(" "), 1<<20+1)
	}},
}

// changeBody sets the content to a valid object changed by do.
func (d *draft) changeBody(g *generator, do func(object map[string]any, s *schema)) {
	object := g.validObject(d.jsonBody())
	do(object, d.jsonBody())
	d.content = encode(object)
}

// validObject returns an object that matches the schema, as far as the schema describes it.
func (g *generator) validObject(s *schema) map[string]any {
	object := map[string]any{}
	for _, name := range slices.Sorted(maps.Keys(s.Properties)) {
		if slices.Contains(s.Required, name) || g.rand.IntN(2) == 0 {
			object[name] = g.validValue(s.Properties[name])
		}
	}
	return object
}

// validValue returns a value that matches the schema.
func (g *generator) validValue(s *schema) any {
	switch {
	case len(s.Enum) > 0:
		return s.Enum[0]
	case s.Format == "uuid":
		return g.unusedID()
	case s.hasType("string"):
		return "x"
	case s.hasType("integer") && s.Minimum != nil:
		return *s.Minimum
	case s.hasType("integer"), s.hasType("number"):
		return 0
	case s.hasType("boolean"):
		return false
	case s.hasType("array") && s.MinItems != nil:
		items := make([]any, *s.MinItems)
		for i := range items {
			items[i] = g.validValue(s.Items)
		}
		return items
	case s.hasType("array"):
		return []any{}
	default:
		return g.validObject(s)
	}
}

// invalidValue returns a value that does not match the schema.
func (g *generator) invalidValue(s *schema) any {
	values := []any{json.Number("1e400")}
	switch {
	case s.hasType("string"):
		values = append(values, 7, true, []any{}, map[string]any{})
		if len(s.Enum) > 0 {
			values = append(values, "nonsense", "")
		}
		if s.Format == "uuid" {
			values = append(values, "x", g.unusedID()+"0")
		}
		if s.MinLength != nil {
			values = append(values, strings.Repeat("x", *s.MinLength-1))
		}
		if s.MaxLength != nil {
			values = append(values, strings.Repeat("x", *s.MaxLength+1))
		}
	case s.hasType("integer"):
		values = append(values, "x", "1", 1.5, json.Number("1e300"), true, []any{}, map[string]any{})
		if s.Maximum != nil {
			values = append(values, *s.Maximum+1)
		}
		if s.Minimum != nil {
			values = append(values, *s.Minimum-1)
		}
	case s.hasType("number"), s.hasType("boolean"):
		values = append(values, "x", []any{}, map[string]any{})
	case s.hasType("array"):
		values = append(values, "x", 7, map[string]any{}, []any{g.invalidValue(s.Items)})
		if s.MinItems != nil {
			values = append(values, make([]any, *s.MinItems-1))
		}
		if s.MaxItems != nil {
			values = append(values, make([]any, *s.MaxItems+1))
		}
	default:
		values = append(values, "x", 7, []any{}, true)
		if s.AdditionalProperties == false {
			values = append(values, map[string]any{"nothing": 1})
		}
	}
	return pick(g, values)
}

// encode returns v as JSON.
func encode(v any) []byte {
	text, err := json.Marshal(v)
	if err != nil {
		panic(err) // cannot fail: v consists of maps, lists, strings and numbers
	}
	return text
}
