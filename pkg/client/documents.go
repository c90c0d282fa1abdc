package client

import (
	"context"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/seed-7a112592/gristmill/pkg/document"
)

// Upload uploads the text that body reads, of any length. It is sent once, because body cannot be
// read twice. Condition, IdempotencyKey and MaxSize of the request are not sent.
func (c *Client) Upload(ctx context.Context, request document.UploadRequest, body io.Reader) (document.Accepted, error) {
	call := uploadCall(request)
	call.noRetry = true
	call.body = func() (io.ReadCloser, int64, error) { return io.NopCloser(body), -1, nil }
	var accepted document.Accepted
	return accepted, c.sendJSON(ctx, call, &accepted)
}

// uploadMaxRetryTime is how long the upload of a file is retried while the server is busy. Other
// uploads may have to finish first, and no person waits for the answer.
const uploadMaxRetryTime = 15 * time.Minute

// UploadFile uploads the file at path. If the request has no media type, the extension of the file
// decides. All attempts have the same Idempotency-Key, so the file is accepted once. Condition,
// IdempotencyKey and MaxSize of the request are not sent.
func (c *Client) UploadFile(ctx context.Context, request document.UploadRequest, path string) (document.Accepted, error) {
	if request.MediaType == "" {
		request.MediaType = mediaType(path)
	}
	call := uploadCall(request)
	call.maxRetryTime = uploadMaxRetryTime
	call.header = http.Header{"Idempotency-Key": {uuid.NewString()}}
	call.body = func() (io.ReadCloser, int64, error) {
		file, err := os.Open(path)
		if err != nil {
			return nil, 0, err
		}
		info, err := file.Stat()
		if err != nil {
			_ = file.Close() // only read, so nothing is lost
			return nil, 0, err
		}
		return sizedBody(file, info.Size())
	}
	var accepted document.Accepted
	return accepted, c.sendJSON(ctx, call, &accepted)
}

// sizedBody returns the file as a body. An empty file must be http.NoBody: net/http takes a length
// of 0 for an unknown one.
func sizedBody(file *os.File, size int64) (io.ReadCloser, int64, error) {
	if size == 0 {
		return http.NoBody, 0, file.Close()
	}
	return file, size, nil
}

func uploadCall(request document.UploadRequest) call {
	query := url.Values{}
	setNonEmpty(query, "collection", request.Collection)
	setNonEmpty(query, "key", request.Key)
	setNonEmpty(query, "title", request.Title)
	setNonEmpty(query, "metadata", string(request.Metadata))
	return call{method: http.MethodPut, path: "/v1/documents", query: query, contentType: request.MediaType}
}

// mediaType returns the media type for the extension of a file, or "" if the extension is not
// known.
func mediaType(path string) string {
	switch strings.ToLower(filepath.Ext(path)) {
	case ".md", ".markdown", ".mdown":
		return "text/markdown"
	case ".txt":
		return "text/plain"
	default:
		return ""
	}
}

// Documents returns a page of the documents that match, newest first.
func (c *Client) Documents(ctx context.Context, filter document.DocumentFilter, page document.Page) (document.List[document.Document], error) {
	query := pageQuery(page)
	setNonEmpty(query, "collection", filter.Collection)
	setNonEmpty(query, "key_prefix", filter.KeyPrefix)
	setNonEmpty(query, "state", string(filter.State))
	var list document.List[document.Document]
	return list, c.getJSON(ctx, "/v1/documents", query, &list)
}

// Document returns a document.
func (c *Client) Document(ctx context.Context, id uuid.UUID) (document.Document, error) {
	var doc document.Document
	return doc, c.getJSON(ctx, "/v1/documents/"+id.String(), nil, &doc)
}

// Content returns the original of a document. The caller must close it.
func (c *Client) Content(ctx context.Context, id uuid.UUID) (io.ReadCloser, error) {
	var content io.ReadCloser
	err := c.send(ctx, call{method: http.MethodGet, path: "/v1/documents/" + id.String() + "/content"}, func(response *http.Response) error {
		content = response.Body
		return nil
	})
	return content, err
}

// Passages returns a page of the passages of the published version, in order.
func (c *Client) Passages(ctx context.Context, id uuid.UUID, page document.Page) (document.List[document.Passage], error) {
	var list document.List[document.Passage]
	return list, c.getJSON(ctx, "/v1/documents/"+id.String()+"/passages", pageQuery(page), &list)
}

// Summary returns a document's summary.
func (c *Client) Summary(ctx context.Context, id uuid.UUID) (document.Summary, error) {
	var summary document.Summary
	return summary, c.getJSON(ctx, "/v1/documents/"+id.String()+"/summary", nil, &summary)
}

// DeleteDocument deletes a document. A Problem of status 404 may also mean that an earlier attempt,
// whose answer was lost, has deleted it.
func (c *Client) DeleteDocument(ctx context.Context, id uuid.UUID) error {
	return c.sendJSON(ctx, call{method: http.MethodDelete, path: "/v1/documents/" + id.String()}, nil)
}

func pageQuery(page document.Page) url.Values {
	query := url.Values{}
	if page.Limit > 0 {
		query.Set("limit", strconv.Itoa(page.Limit))
	}
	setNonEmpty(query, "cursor", page.Cursor)
	return query
}

// setNonEmpty sets a parameter unless its value is empty. The contract omits empty parameters.
func setNonEmpty(query url.Values, name, value string) {
	if value != "" {
		query.Set(name, value)
	}
}
