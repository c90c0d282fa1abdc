package httpapi

import (
	"net/http"
	"slices"
	"strings"

	"github.com/danielgtaylor/huma/v2"
	"github.com/google/uuid"

	"github.com/seed-7a112592/gristmill/internal/fault"
)

// registerRaw adds a handler with a streaming body, and describes it. Like a typed handler, it refuses
// unknown query parameters.
func (s *server) registerRaw(op huma.Operation, handle http.HandlerFunc) {
	s.addProblems(&op)
	s.api.OpenAPI().AddOperation(&op)
	var known []string
	for _, parameter := range op.Parameters {
		if parameter.In == "query" {
			known = append(known, parameter.Name)
		}
	}
	s.mux.HandleFunc(op.Method+" "+op.Path, func(w http.ResponseWriter, r *http.Request) {
		if err := checkKnownParameters(r, known); err != nil {
			s.writeError(w, r, err)
			return
		}
		handle(w, r)
	})
}

// checkKnownParameters refuses query parameters that the route does not have.
func checkKnownParameters(r *http.Request, known []string) error {
	for name := range r.URL.Query() {
		switch {
		case slices.Contains(known, name):
		case len(known) == 0:
			return fault.New(fault.BadRequest, "query.%s: unknown query parameter; this path has none", name)
		default:
			return fault.New(fault.BadRequest, "query.%s: unknown query parameter; want %s", name, strings.Join(known, ", "))
		}
	}
	return nil
}

// pathID returns the id in the path.
func pathID(r *http.Request) (uuid.UUID, error) {
	id, err := uuid.Parse(r.PathValue("id"))
	if err != nil {
		return uuid.Nil, fault.Wrap(fault.BadRequest, err, "path.id: %q is not a UUID", r.PathValue("id"))
	}
	return id, nil
}
