package httpapi

import (
	"context"
	"encoding/json"
	"net/http"
	"reflect"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"
)

// newAPI returns the description of the contract. It registers typed handlers on mux.
func newAPI(mux *http.ServeMux) huma.API {
	config := huma.Config{
		OpenAPI: &huma.OpenAPI{
			OpenAPI: "3.1.0",
			Info: &huma.Info{
				Title:       "Gristmill",
				Version:     "1",
				Description: "Upload documents, and search their passages. Errors are problems (RFC 9457) with a stable code.",
			},
			Components: &huma.Components{
				Schemas:         huma.NewMapRegistry("#/components/schemas/", huma.DefaultSchemaNamer),
				SecuritySchemes: map[string]*huma.SecurityScheme{"key": {Type: "http", Scheme: "bearer"}},
			},
			Security: []map[string][]string{{"key": {}}},
		},
		Formats:                      map[string]huma.Format{"application/json": jsonFormat, "json": jsonFormat},
		DefaultFormat:                "application/json",
		RejectUnknownQueryParameters: true,
		Transformers:                 []huma.Transformer{convertHumaError},
	}
	api := humago.New(mux, config)
	api.UseMiddleware(func(ctx huma.Context, next func(huma.Context)) {
		op := &statusOverrider{humaContext: ctx}
		if lacksContentType(op) {
			_ = huma.WriteErr(api, op, http.StatusUnsupportedMediaType, "no Content-Type") // see convertHumaError
			return
		}
		next(op)
	})
	return api
}

// register adds a typed handler. Its errors become problems.
func register[I, O any](s *server, op huma.Operation, handle func(context.Context, *I) (*O, error)) {
	op.MaxBodyBytes = maxJSONBytes
	s.addProblems(&op)
	huma.Register(s.api, op, func(ctx context.Context, input *I) (*O, error) {
		output, err := handle(ctx, input)
		if err != nil {
			return nil, s.problem(ctx, err)
		}
		return output, nil
	})
}

// addProblems describes the error responses of an operation.
func (s *server) addProblems(op *huma.Operation) {
	if op.Responses == nil {
		op.Responses = map[string]*huma.Response{}
	}
	op.Responses["default"] = &huma.Response{
		Description: "An error",
		Content:     problemContent(s),
	}
}

// problemContent describes the body of an error response.
func problemContent(s *server) map[string]*huma.MediaType {
	return map[string]*huma.MediaType{problemMediaType: {Schema: schemaOf[Problem](s)}}
}

// schemaOf returns a reference to the schema of T.
func schemaOf[T any](s *server) *huma.Schema {
	return s.api.OpenAPI().Components.Schemas.Schema(reflect.TypeFor[T](), true, "")
}

// jsonContent describes a body of type T.
func jsonContent[T any](s *server) map[string]*huma.MediaType {
	return map[string]*huma.MediaType{"application/json": {Schema: schemaOf[T](s)}}
}

const openAPIPattern = "GET /openapi.json"

// routeOpenAPI serves the description of all routes that are registered before.
func (s *server) routeOpenAPI() {
	open := []map[string][]string{{}} // without a key
	for path, summary := range map[string]string{
		"/healthz":      "The process is alive",
		"/readyz":       "The state of each dependency",
		"/metrics":      "Metrics for Prometheus",
		"/openapi.json": "This description",
	} {
		s.api.OpenAPI().AddOperation(&huma.Operation{
			OperationID: "get-" + path[1:],
			Method:      http.MethodGet,
			Path:        path,
			Summary:     summary,
			Security:    open,
			Responses:   map[string]*huma.Response{"200": {Description: summary}},
		})
	}
	s.api.OpenAPI().Paths["/readyz"].Get.Description = "The process is ready when all required checks pass. degraded lists the optional checks that fail. " +
		"Only requests with the key see why a check fails."
	s.api.OpenAPI().Paths["/readyz"].Get.Responses["503"] = &huma.Response{Description: "Not ready"}
	description, err := json.Marshal(s.api.OpenAPI())
	if err != nil {
		panic(err) // a defect, which New must not hide
	}
	s.mux.HandleFunc(openAPIPattern, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write(description) // an error means that the client has disconnected
	})
}

// healthPatterns are the patterns of the routes that Config.Health answers.
var healthPatterns = map[string]bool{"GET /healthz": true, "GET /readyz": true, "GET /metrics": true}

func (s *server) routeHealth() {
	for pattern := range healthPatterns {
		s.mux.Handle(pattern, s.Health)
	}
}

// isPublic reports whether a route needs no key.
func isPublic(pattern string) bool {
	return healthPatterns[pattern] || pattern == openAPIPattern
}
