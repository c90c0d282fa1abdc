package badrequests

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// operation is a method of a path in the contract.
type operation struct {
	method  string
	path    string   // with {parameters}
	methods []string // all methods of the path
	public  bool     // needs no key
	params  []parameter
	body    map[string]*schema // by media type; nil if the operation has no body
}

type parameter struct {
	Name   string  `json:"name"`
	In     string  `json:"in"`
	Schema *schema `json:"schema"`
}

// schema is the part of JSON Schema that the contract uses.
type schema struct {
	Ref                  string             `json:"$ref"`
	Type                 any                `json:"type"` // a name, or a list of names
	Format               string             `json:"format"`
	Enum                 []any              `json:"enum"`
	Minimum              *float64           `json:"minimum"`
	Maximum              *float64           `json:"maximum"`
	MinLength            *int               `json:"minLength"`
	MaxLength            *int               `json:"maxLength"`
	Items                *schema            `json:"items"`
	MinItems             *int               `json:"minItems"`
	MaxItems             *int               `json:"maxItems"`
	Properties           map[string]*schema `json:"properties"`
	Required             []string           `json:"required"`
	AdditionalProperties any                `json:"additionalProperties"` // false if the properties above are the only ones
}

// hasType reports whether values may have the named type.
func (s *schema) hasType(name string) bool {
	switch t := s.Type.(type) {
	case string:
		return t == name
	case []any:
		return slices.Contains(t, any(name))
	default:
		return false
	}
}

// readContract returns the operations in an OpenAPI description, in a stable order.
func readContract(description []byte) ([]operation, error) {
	var document struct {
		Paths map[string]map[string]struct {
			Parameters  []parameter            `json:"parameters"`
			Security    *[]map[string][]string `json:"security"`
			RequestBody *struct {
				Content map[string]struct {
					Schema *schema `json:"schema"`
				} `json:"content"`
			} `json:"requestBody"`
		} `json:"paths"`
		Components struct {
			Schemas map[string]*schema `json:"schemas"`
		} `json:"components"`
	}
	if err := json.Unmarshal(description, &document); err != nil {
		return nil, fmt.Errorf("decode the OpenAPI description: %w", err)
	}
	for _, s := range document.Components.Schemas {
		s.resolve(document.Components.Schemas)
	}
	var operations []operation
	for _, path := range slices.Sorted(maps.Keys(document.Paths)) {
		var methods []string
		for _, method := range slices.Sorted(maps.Keys(document.Paths[path])) {
			methods = append(methods, strings.ToUpper(method))
		}
		for _, method := range methods {
			described := document.Paths[path][strings.ToLower(method)]
			op := operation{method: method, path: path, methods: methods, params: described.Parameters, public: described.Security != nil}
			if described.RequestBody != nil {
				op.body = map[string]*schema{}
				for mediaType, content := range described.RequestBody.Content {
					op.body[mediaType] = content.Schema.resolve(document.Components.Schemas)
				}
			}
			operations = append(operations, op)
		}
	}
	if len(operations) == 0 {
		return nil, fmt.Errorf("the OpenAPI description has no operations")
	}
	return operations, nil
}

// resolve returns the schema that s refers to, with the references in its properties and items
// resolved too.
func (s *schema) resolve(all map[string]*schema) *schema {
	if s == nil {
		return &schema{}
	}
	if s.Ref != "" {
		return all[s.Ref[strings.LastIndex(s.Ref, "/")+1:]].resolve(all)
	}
	for name, property := range s.Properties {
		s.Properties[name] = property.resolve(all)
	}
	if s.Items != nil {
		s.Items = s.Items.resolve(all)
	}
	return s
}

// jsonBody returns the schema of the operation's JSON body, or nil.
func (o operation) jsonBody() *schema { return o.body["application/json"] }

// takesDocument reports whether the body is the document itself.
func (o operation) takesDocument() bool { return o.body["text/markdown"] != nil }

// takesForm reports whether the body is a multipart form.
func (o operation) takesForm() bool { return o.body["multipart/form-data"] != nil }

// paramsIn returns the parameters in one location: path, query or header.
func (o operation) paramsIn(place string) []parameter {
	return slices.DeleteFunc(slices.Clone(o.params), func(p parameter) bool { return p.In != place })
}
