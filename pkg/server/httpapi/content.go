package httpapi

import (
	"context"
	"io"
	"mime"
	"net/http"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/seed-7a112592/gristmill/pkg/fault"
)

// Objects opens originals by their name in object storage; fault.NotFound
// when there is none.
type Objects interface {
	Open(ctx context.Context, name string) (io.ReadSeekCloser, error)
}

func (s *server) routeContent() {
	binary := &huma.Schema{Type: huma.TypeString, Format: "binary"}
	s.registerRaw(huma.Operation{
		OperationID: "get-content",
		Method:      http.MethodGet,
		Path:        "/v1/documents/{id}/content",
		Summary:     "Get the original, or ranges of it",
		Parameters: []*huma.Param{
			{Name: "id", In: "path", Required: true, Schema: &huma.Schema{Type: huma.TypeString, Format: "uuid"}},
			{Name: "Range", In: "header", Schema: &huma.Schema{Type: huma.TypeString}, Example: "bytes=0-99"},
		},
		Responses: map[string]*huma.Response{
			"200": {Description: "The original", Content: map[string]*huma.MediaType{"text/markdown": {Schema: binary}}},
			"206": {Description: "The range asked for", Content: map[string]*huma.MediaType{"text/markdown": {Schema: binary}}},
		},
	}, s.content)
}

// content answers with the original. The ETag is its hash, so a client can
// tell that a range still belongs to the same bytes.
func (s *server) content(w http.ResponseWriter, r *http.Request) {
	id, err := pathID(r)
	if err != nil {
		s.writeError(w, r, err)
		return
	}
	doc, err := s.Documents.Document(r.Context(), id)
	if err != nil {
		s.writeError(w, r, err)
		return
	}
	object, err := s.Objects.Open(r.Context(), doc.Object)
	if err != nil {
		s.writeError(w, r, err)
		return
	}
	defer object.Close()

	w.Header().Set("Content-Type", contentType(doc.MediaType))
	w.Header().Set("ETag", etagOf(doc.SHA256))
	// Somebody else wrote it: a browser must not run it.
	w.Header().Set("Content-Security-Policy", "default-src 'none'; sandbox")
	i := &interceptor{ResponseWriter: w}
	http.ServeContent(i, r, "", time.Time{}, object)
	switch i.status {
	case 0:
	case http.StatusRequestedRangeNotSatisfiable:
		writeProblem(w, r, newProblem(r.Context(), i.status, fault.BadRequest, "the range does not fit a document of the size in Content-Range"))
	case http.StatusPreconditionFailed:
		s.writeError(w, r, fault.New(fault.PreconditionFailed, "the condition does not hold of the version that is live, whose ETag is %s", etagOf(doc.SHA256)))
	default:
		s.writeError(w, r, fault.New(fault.Internal, "serve object %q of document %s", doc.Object, doc.ID))
	}
}

// contentType adds the encoding, which is the same for every document.
func contentType(mediaType string) string {
	base, _, err := mime.ParseMediaType(mediaType)
	if err != nil || !strings.HasPrefix(base, "text/") {
		return mediaType
	}
	return base + "; charset=utf-8"
}
