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

// Originals opens originals that are what was uploaded: fault.NotFound for one
// that is gone, fault.Damaged for one that is not. A read to the end compares
// the bytes as well, and fails before the last one.
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
			"206": {Description: "The range asked for", Content: map[string]*huma.MediaType{"text/markdown": {Schema: binary}}},
			"410": {Description: "The original is gone from object storage, or damaged there (code damaged); uploading the document again with the same content restores it", Content: problemContent(s)},
		},
	}, s.getContent)
}

// getContent answers with the original. The ETag is its hash, so a client can
// tell that a range still belongs to the same bytes. An answer that turns out
// not to be these bytes is broken off before its end.
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
	// Somebody else wrote it: a browser must not run it.
	w.Header().Set("Content-Security-Policy", "default-src 'none'; sandbox")
	i := &errorInterceptor{ResponseWriter: w}
	content := &readErrorRecorder{ReadSeeker: source}
	http.ServeContent(i, r, "", time.Time{}, content)
	switch {
	case content.err != nil: // which ServeContent does not tell
		s.Log.ErrorContext(r.Context(), "content broken off", documentAttr(doc.ID), "error", content.err)
		panic(http.ErrAbortHandler)
	case i.status == 0:
	case i.status == http.StatusRequestedRangeNotSatisfiable:
		writeProblem(w, r, newProblem(r.Context(), i.status, fault.BadRequest, "the range does not fit a document of the size in Content-Range"))
	case i.status == http.StatusPreconditionFailed:
		s.writeError(w, r, fault.New(fault.PreconditionFailed, "the condition does not hold of the version that is live, whose ETag is %s", etagOf(doc.SHA256)))
	default:
		s.writeError(w, r, fault.New(fault.Internal, "serve object %q of document %s", doc.Object, doc.ID))
	}
}

// openTries is how often the original of a document is opened that changes at
// the same time.
const openTries = 3

// openOriginal opens the original of a document, or returns fault.Damaged when
// it is lost. It may have been replaced or deleted since its row was read.
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

// readErrorRecorder remembers why a read failed.
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

// contentType adds the encoding, which is the same for every document.
func contentType(mediaType string) string {
	base, _, err := mime.ParseMediaType(mediaType)
	if err != nil || !strings.HasPrefix(base, "text/") {
		return mediaType
	}
	return base + "; charset=utf-8"
}
