package httpapi

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"

	"github.com/danielgtaylor/huma/v2"
	"github.com/google/uuid"

	"github.com/seed-7a112592/gristmill/internal/fault"
	"github.com/seed-7a112592/gristmill/pkg/document"
)

// Uploader accepts documents. Upload checks the request and the complete body. It does not hold the
// body in memory, and stores nothing of a document that it refuses.
type Uploader interface {
	Upload(ctx context.Context, request document.UploadRequest, body io.Reader) (document.Accepted, error)
}

func (s *server) routeUploads() {
	text := &huma.Schema{Type: huma.TypeString}
	collection := &huma.Schema{Type: huma.TypeString, Pattern: document.CollectionPattern, Default: document.DefaultCollection}
	// JSON Schema counts characters, and a text has at least as many bytes.
	name := &huma.Schema{Type: huma.TypeString, MaxLength: new(document.MaxKeyBytes)}
	title := &huma.Schema{Type: huma.TypeString, MaxLength: new(document.MaxTitleBytes)}
	binary := &huma.Schema{Type: huma.TypeString, Format: "binary"}
	key := &huma.Param{Name: idempotencyHeader, In: "header", Schema: idempotencyKeySchema(),
		Description: "If the same upload is sent again with the same key within 24 hours, it gets the first response, and is not repeated, " +
			"even if the document has changed since. A different upload with the key is refused. The key is printable ASCII, usually a UUID. " +
			"In a form, the key applies to each file by its position."}
	replayed := map[string]*huma.Param{replayedHeader: {Schema: &huma.Schema{Type: huma.TypeBoolean},
		Description: "true if this is the response to an earlier upload with the same " + idempotencyHeader}}
	wait := map[string]*huma.Param{"Retry-After": {Description: "Seconds to wait", Schema: &huma.Schema{Type: huma.TypeInteger}}}
	accepted := map[string]*huma.Response{
		"200": {Description: "Unchanged: the newest version already has this content and these settings. With restored, its original was missing or damaged, and is restored from this upload", Headers: replayed, Content: jsonContent[document.Accepted](s)},
		"202": {Description: "Accepted; Location is the path of the job", Headers: replayed, Content: jsonContent[document.Accepted](s)},
		"408": {Description: "The body arrived too slowly; nothing was accepted", Content: problemContent(s)},
		"409": {Description: "The " + idempotencyHeader + " was used for another upload, or the tenant has reached its limit of collections", Content: problemContent(s)},
		"412": {Description: "If-Match or If-None-Match does not hold", Content: problemContent(s)},
		"415": {Description: "The body is not Markdown or plain text, or it is encoded", Content: problemContent(s)},
		"422": {Description: "The text is not UTF-8, or empty", Content: problemContent(s)},
		"429": {Description: "Backlog limit reached; the body was not read", Content: problemContent(s), Headers: wait},
		"503": {Description: "No memory for another upload, or a server is down; nothing was accepted", Content: problemContent(s), Headers: wait},
	}
	conditions := []*huma.Param{
		{Name: "If-Match", In: "header", Schema: text,
			Description: "ETags, such as /content returns, of which the newest version must have one; * for any. Else 412."},
		{Name: "If-None-Match", In: "header", Schema: text,
			Description: "ETags of which the newest version must have none; * if no document may exist. Else 412."},
	}
	s.registerRaw(huma.Operation{
		OperationID: "put-document",
		Method:      http.MethodPut,
		Path:        "/v1/documents",
		Summary:     "Upload a document of any size",
		Parameters: []*huma.Param{
			{Name: "collection", In: "query", Description: "Created on first use.", Schema: collection},
			{Name: "key", In: "query", Description: fmt.Sprintf("The name of the document in its collection; at most %d bytes.", document.MaxKeyBytes), Required: true, Schema: name},
			{Name: "title", In: "query", Description: fmt.Sprintf("At most %d bytes.", document.MaxTitleBytes), Schema: title},
			{Name: "metadata", In: "query", Description: "A JSON object.", Schema: text},
			key, conditions[0], conditions[1],
		},
		RequestBody: &huma.RequestBody{Required: true, Content: map[string]*huma.MediaType{
			"text/markdown": {Schema: binary},
			"text/plain":    {Schema: binary}, // has no headings
		}},
		Responses: accepted,
	}, s.putDocument)
	s.registerRaw(huma.Operation{
		OperationID: "post-documents",
		Method:      http.MethodPost,
		Path:        "/v1/documents",
		Summary:     "Upload documents from a form",
		Description: "Fields apply to the file parts after them: collection and metadata until they change, key and title to the next file. " +
			"Without a field key, a file's key is its name with its folders. The response to one file is that of PUT. The response to several files is " +
			"{\"items\": […]}, in their order, each with a document and a job, or with a problem: 202 if all were accepted, 207 if not. " +
			"Conditions apply to each file.",
		Parameters: []*huma.Param{key, conditions[0], conditions[1]},
		RequestBody: &huma.RequestBody{Required: true, Content: map[string]*huma.MediaType{
			"multipart/form-data": {Schema: &huma.Schema{
				Type: huma.TypeObject,
				Properties: map[string]*huma.Schema{
					"collection": collection, "key": name, "title": title, "metadata": text, "file": binary,
				},
				Required: []string{"file"},
			}},
		}},
		Responses: map[string]*huma.Response{
			"200": accepted["200"],
			"202": {Description: "Accepted", Headers: replayed, Content: map[string]*huma.MediaType{"application/json": {Schema: &huma.Schema{
				OneOf: []*huma.Schema{schemaOf[document.Accepted](s), schemaOf[FormAnswer](s)},
			}}}},
			"207": {Description: "Some of several files were refused, or not read; each item has the result", Headers: replayed, Content: jsonContent[FormAnswer](s)},
			"408": accepted["408"],
			"409": accepted["409"],
			"412": accepted["412"],
			"415": accepted["415"],
			"422": accepted["422"],
			"429": accepted["429"],
			"503": accepted["503"],
		},
	}, s.postDocuments)
}

// putDocument accepts the body as a document.
func (s *server) putDocument(w http.ResponseWriter, r *http.Request) {
	request, err := s.putRequest(r)
	if err != nil {
		s.writeError(w, r, err)
		return
	}
	accepted, err := s.upload(r, request, r.Body)
	if err != nil {
		s.writeError(w, r, err)
		return
	}
	writeAccepted(w, accepted)
}

// putRequest reads the query and headers of a PUT.
func (s *server) putRequest(r *http.Request) (document.UploadRequest, error) {
	request := document.UploadRequest{Collection: document.DefaultCollection, MediaType: r.Header.Get("Content-Type"), MaxSize: max(0, r.ContentLength)}
	var err error
	if request.IdempotencyKey, err = idempotencyKey(r.Header); err != nil {
		return request, err
	}
	for name, values := range r.URL.Query() {
		if !setField(&request, name, values[0]) {
			return request, fault.New(fault.BadRequest, "query.%s: unknown query parameter; want collection, key, title, metadata", name)
		}
	}
	if request.Condition, err = parseCondition(r.Header.Values("If-Match"), r.Header.Values("If-None-Match")); err != nil {
		return request, err
	}
	if err := checkPlainBody(r.Header); err != nil {
		return request, err
	}
	if r.Header.Get("Content-Range") != "" {
		return request, fault.New(fault.BadRequest, "Content-Range: a document cannot be uploaded in parts; send all of it")
	}
	if r.ContentLength > s.MaxUploadBytes {
		return request, fault.New(fault.TooLarge, "the document has %d bytes; at most %d are accepted", r.ContentLength, s.MaxUploadBytes)
	}
	return request, nil
}

// checkPlainBody refuses the body of a request or of a part of a form if it is encoded.
func checkPlainBody(header interface{ Get(string) string }) error {
	if encoding := header.Get("Content-Encoding"); encoding != "" && !strings.EqualFold(encoding, "identity") {
		return fault.New(fault.UnsupportedMediaType, "Content-Encoding %q is not accepted: send the document uncompressed", encoding)
	}
	switch encoding := header.Get("Content-Transfer-Encoding"); strings.ToLower(encoding) {
	case "", "binary", "8bit", "7bit":
		return nil
	default:
		return fault.New(fault.UnsupportedMediaType, "Content-Transfer-Encoding %q is not accepted: send the bytes of the document", encoding)
	}
}

// setField sets a field by its name in the contract. It reports whether there is such a field.
func setField(request *document.UploadRequest, name, value string) bool {
	switch name {
	case "collection":
		request.Collection = value
	case "key":
		request.Key = value
	case "title":
		request.Title = value
	case "metadata":
		request.Metadata = json.RawMessage(value)
	default:
		return false
	}
	return true
}

// upload uploads a document. If its body cannot be read, upload returns that error instead of the
// uploader's.
func (s *server) upload(r *http.Request, request document.UploadRequest, content io.Reader) (document.Accepted, error) {
	accepted, err := s.Uploader.Upload(r.Context(), request, content)
	if err == nil {
		s.Log.InfoContext(r.Context(), "document accepted", documentAttr(accepted.Document.ID), jobAttr(accepted.Job.ID),
			"bytes", accepted.Document.Size, "unchanged", accepted.Unchanged, "restored", accepted.Restored, "replayed", accepted.Replayed)
		return accepted, nil
	}
	if body, ok := r.Body.(*requestBody); ok && body.err != nil {
		return document.Accepted{}, body.err
	}
	return document.Accepted{}, err
}

func writeAccepted(w http.ResponseWriter, accepted document.Accepted) {
	status := http.StatusAccepted
	if accepted.Unchanged {
		status = http.StatusOK
	}
	if accepted.Replayed {
		w.Header().Set(replayedHeader, "true")
	}
	w.Header().Set("Location", "/v1/jobs/"+accepted.Job.ID.String())
	w.Header().Set("ETag", etagOf(accepted.Document.SHA256))
	writeJSON(w, status, accepted)
}

func documentAttr(id uuid.UUID) slog.Attr { return slog.String("document", id.String()) }

func jobAttr(id uuid.UUID) slog.Attr { return slog.String("job", id.String()) }
