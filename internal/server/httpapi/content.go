package httpapi

import (
	"context"
	"io"
	"mime"
	"net/http"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/google/uuid"

	"github.com/seed-7a112592/gristmill/internal/fault"
	"github.com/seed-7a112592/gristmill/internal/original"
	"github.com/seed-7a112592/gristmill/pkg/document"
)

// Originals opens originals. Open returns fault.NotFound for a missing original, and fault.Damaged for
// one that is not what was uploaded. The Reader compares the bytes again while it is read to the end:
// if they differ, it fails before it returns the last byte.
type Originals interface {
	Open(ctx context.Context, of original.Ref) (*original.Reader, error)
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
			"206": {Description: "The requested range", Content: map[string]*huma.MediaType{"text/markdown": {Schema: binary}}},
			"410": {Description: "The original is missing from object storage, or damaged (code damaged). To restore it, upload the document again with the same content.", Content: problemContent(s)},
		},
	}, s.getContent)
}

// getContent sends the original. The ETag is its hash, so that a client can tell whether a range
// belongs to the same bytes. If the bytes turn out to be different ones, the response is cut off
// before its end.
func (s *server) getContent(w http.ResponseWriter, r *http.Request) {
	id, err := pathID(r)
	if err != nil {
		s.writeError(w, r, err)
		return
	}
	doc, source, err := s.openOriginal(r.Context(), id)
	if err != nil {
		s.writeError(w, r, err)
		return
	}
	defer source.Close()

	w.Header().Set("Content-Type", contentType(doc.MediaType))
	w.Header().Set("ETag", etagOf(doc.SHA256))
	// The content comes from a third party: a browser must not run it.
	w.Header().Set("Content-Security-Policy", "default-src 'none'; sandbox")
	i := &errorInterceptor{ResponseWriter: w}
	content := &readErrorRecorder{ReadSeeker: source}
	http.ServeContent(i, r, "", time.Time{}, content)
	switch {
	case content.err != nil: // ServeContent does not return it
		s.Log.ErrorContext(r.Context(), "response with content cut off", documentAttr(doc.ID), "error", content.err)
		panic(http.ErrAbortHandler)
	case i.status == 0:
	case i.status == http.StatusRequestedRangeNotSatisfiable:
		writeProblem(w, r, newProblem(r.Context(), i.status, fault.BadRequest, "the range is outside the document; Content-Range has its size"))
	case i.status == http.StatusPreconditionFailed:
		s.writeError(w, r, fault.New(fault.PreconditionFailed, "the condition does not hold: the published version has the ETag %s", etagOf(doc.SHA256)))
	default:
		s.writeError(w, r, fault.New(fault.Internal, "serve object %q of document %s", doc.Object, doc.ID))
	}
}

// openTries is the maximum number of tries to open the original of a document that changes at the
// same time.
const openTries = 3

// openOriginal opens the original of a document. If the original is missing, openOriginal reads the
// document again, which may have been replaced or deleted in the meantime; if the document still has
// that original, it returns fault.Damaged.
func (s *server) openOriginal(ctx context.Context, id uuid.UUID) (document.Document, *original.Reader, error) {
	doc, err := s.Documents.Document(ctx, id)
	for try := 1; err == nil; try++ {
		source, lost := s.Originals.Open(ctx, original.RefOf(doc))
		if !original.IsLost(lost) {
			return doc, source, lost
		}
		object := doc.Object
		doc, err = s.Documents.Document(ctx, id)
		if err == nil && (doc.Object == object || try == openTries) {
			err = fault.Wrap(fault.Damaged, lost, "document %s: %s", id, fault.As(lost).Detail)
		}
	}
	return doc, nil, err
}

// readErrorRecorder keeps the error of a failed read.
type readErrorRecorder struct {
	io.ReadSeeker
	err error
}

// Read implements io.Reader.
func (w *readErrorRecorder) Read(p []byte) (int, error) {
	n, err := w.ReadSeeker.Read(p)
	if err != nil && err != io.EOF {
		w.err = err
	}
	return n, err
}

// contentType adds the charset to a text media type. All documents are UTF-8.
func contentType(mediaType string) string {
	base, _, err := mime.ParseMediaType(mediaType)
	if err != nil || !strings.HasPrefix(base, "text/") {
		return mediaType
	}
	return base + "; charset=utf-8"
}
