package httpapi_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestOpenAPI(t *testing.T) {
	t.Parallel()
	w := do(newHandler(t, configOf(t, newFake())), "GET", "/openapi.json", "", "")
	description := decode[map[string]any](t, w)
	if got := description["openapi"]; got != "3.1.0" {
		t.Errorf("got version %v, want 3.1.0", got)
	}
	var routes []string
	for path, item := range description["paths"].(map[string]any) {
		for method, operation := range item.(map[string]any) {
			routes = append(routes, strings.ToUpper(method)+" "+path)
			checkOperation(t, method+" "+path, path, operation.(map[string]any))
		}
	}
	slices.Sort(routes)
	want := []string{
		"DELETE /v1/documents/{id}",
		"DELETE /v1/webhooks/{id}",
		"GET /healthz",
		"GET /metrics",
		"GET /openapi.json",
		"GET /readyz",
		"GET /v1/collections", "GET /v1/collections/{name}",
		"GET /v1/documents",
		"GET /v1/documents/{id}",
		"GET /v1/documents/{id}/content",
		"GET /v1/documents/{id}/passages",
		"GET /v1/documents/{id}/summary",
		"GET /v1/jobs",
		"GET /v1/jobs/{id}",
		"GET /v1/jobs/{id}/events",
		"GET /v1/reindexes",
		"GET /v1/reindexes/{id}",
		"GET /v1/reindexes/{id}/events",
		"GET /v1/webhooks",
		"GET /v1/webhooks/{id}/deliveries",
		"PATCH /v1/collections/{name}",
		"POST /v1/documents",
		"POST /v1/documents/{id}/summary",
		"POST /v1/jobs/{id}/cancel",
		"POST /v1/jobs/{id}/retry",
		"POST /v1/reindexes",
		"POST /v1/reindexes/{id}/cancel",
		"POST /v1/reindexes/{id}/pause",
		"POST /v1/reindexes/{id}/resume",
		"POST /v1/reindexes/{id}/revert",
		"POST /v1/search",
		"POST /v1/webhooks",
		"PUT /v1/documents",
	}
	if diff := cmp.Diff(want, routes); diff != "" {
		t.Errorf("routes (-want +got):\n%s", diff)
	}
	checkReferences(t, description, description)
}

// checkOperation checks the fields that OpenAPI requires of an operation, and that error responses are
// described.
func checkOperation(t *testing.T, name, path string, operation map[string]any) {
	t.Helper()
	if operation["operationId"] == nil || operation["summary"] == nil {
		t.Errorf("%s has no operationId or summary", name)
	}
	responses, _ := operation["responses"].(map[string]any)
	if len(responses) == 0 {
		t.Errorf("%s has no responses", name)
	}
	for status, response := range responses {
		if response.(map[string]any)["description"] == nil {
			t.Errorf("%s: response %s has no description", name, status)
		}
	}
	if strings.HasPrefix(path, "/v1/") && !strings.Contains(fmt.Sprint(responses["default"]), "application/problem+json") {
		t.Errorf("%s does not describe its error responses", name)
	}
	for _, p := range asList(operation["parameters"]) {
		parameter := p.(map[string]any)
		if parameter["in"] == "path" && parameter["required"] != true {
			t.Errorf("%s: path parameter %v is not required", name, parameter["name"])
		}
		if parameter["schema"] == nil {
			t.Errorf("%s: parameter %v has no schema", name, parameter["name"])
		}
	}
	for _, segment := range strings.Split(path, "/") {
		if !strings.HasPrefix(segment, "{") {
			continue
		}
		declared := slices.ContainsFunc(asList(operation["parameters"]), func(p any) bool {
			return p.(map[string]any)["name"] == strings.Trim(segment, "{}")
		})
		if !declared {
			t.Errorf("%s does not declare %s", name, segment)
		}
	}
}

// checkReferences checks that the target of every $ref exists.
func checkReferences(t *testing.T, root map[string]any, v any) {
	t.Helper()
	switch v := v.(type) {
	case []any:
		for _, item := range v {
			checkReferences(t, root, item)
		}
	case map[string]any:
		for name, item := range v {
			if ref, ok := item.(string); ok && name == "$ref" {
				var target any = root
				for _, step := range strings.Split(strings.TrimPrefix(ref, "#/"), "/") {
					at, _ := target.(map[string]any)
					target = at[step]
				}
				if target == nil {
					t.Errorf("the target of $ref %q does not exist", ref)
				}
				continue
			}
			checkReferences(t, root, item)
		}
	}
}

func asList(v any) []any {
	list, _ := v.([]any)
	return list
}
