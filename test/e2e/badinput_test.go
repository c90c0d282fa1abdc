package e2e_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"mime/multipart"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-7a112592/gristmill/internal/test/audit"
	"github.com/seed-7a112592/gristmill/internal/test/program"
	"github.com/seed-7a112592/gristmill/pkg/document"
)

// problem is an error response of the contract.
type problem struct {
	Type, Title, Detail, Code string
	Status                    int
	RequestID                 string `json:"request_id"`
	Offset                    *int64
}

// withHeader returns the request with an additional header.
func withHeader(request *http.Request, header, value string) *http.Request {
	request.Header.Set(header, value)
	return request
}

func TestBadInputChangesNothing(t *testing.T) {
	t.Parallel()
	s := program.NewInstallation(t, "GRISTMILL_MAX_UPLOAD_BYTES=20000000")
	api := s.Start("api") // no worker, so that queued tasks stay
	base := api.URL()
	send := func(request *http.Request) (*http.Response, []byte) {
		t.Helper()
		if request.Header.Get("Authorization") == "" {
			request.Header.Set("Authorization", "Bearer "+program.APIKey)
		}
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			t.Fatalf("%s %s: %v", request.Method, request.URL, err)
		}
		defer response.Body.Close()
		body, err := io.ReadAll(response.Body)
		if err != nil {
			t.Fatal(err)
		}
		return response, body
	}
	put := func(query string, body io.Reader) *http.Request {
		t.Helper()
		request, err := http.NewRequestWithContext(t.Context(), "PUT", base+"/v1/documents?"+query, body)
		if err != nil {
			t.Fatal(err)
		}
		return request
	}
	post := func(path, contentType, body string) *http.Request {
		t.Helper()
		request, err := http.NewRequestWithContext(t.Context(), "POST", base+path, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set("Content-Type", contentType)
		return request
	}

	// Stores one good document, so that the requests could damage something.
	response, answer := send(put("key=good.md", strings.NewReader("# Good\n\nGrain.\n")))
	if response.StatusCode != http.StatusAccepted {
		t.Fatalf("a good document: %s %s", response.Status, answer)
	}
	var accepted document.Accepted
	if err := json.Unmarshal(answer, &accepted); err != nil {
		t.Fatal(err)
	}
	if location := response.Header.Get("Location"); location != "/v1/jobs/"+accepted.Job.ID.String() {
		t.Errorf("Location is %q", location)
	}
	before := audit.Snapshot(t, s)

	multi := func(fields map[string]string, file string, closed bool) (string, string) {
		var body bytes.Buffer
		w := multipart.NewWriter(&body)
		for name, value := range fields {
			_ = w.WriteField(name, value)
		}
		part, _ := w.CreateFormFile("file", "file.md")
		_, _ = io.WriteString(part, file)
		if closed {
			_ = w.Close()
		}
		return w.FormDataContentType(), body.String()
	}
	badMeta, badMetaBody := multi(map[string]string{"metadata": `{"a": }`}, "text", true)
	unclosed, unclosedBody := multi(nil, strings.Repeat("text ", 100), false)
	wrongKey := put("key=k.md", strings.NewReader("text"))
	wrongKey.Header.Set("Authorization", "Bearer wrong")
	large := strings.Repeat("0123456789abcde\n", 1_300_000)

	for _, test := range []struct {
		name    string
		request *http.Request
		status  int
		code    string
		detail  string
	}{
		{"not UTF-8", put("key=k.md", strings.NewReader("grain \xff")), 422, "invalid_encoding", "offset 6"},
		{"not UTF-8 after the first part", put("key=k.md", strings.NewReader(large[:12_000_000]+"\xff")), 422, "invalid_encoding", "offset 12000000"},
		{"NUL", put("key=k.md", strings.NewReader("gra\x00in")), 422, "invalid_encoding", "offset 3"},
		{"empty", put("key=k.md", http.NoBody), 422, "empty_document", ""},
		{"white space", put("key=k.md", strings.NewReader(" \n\t\n")), 422, "empty_document", ""},
		{"too large, with Content-Length", put("key=k.md", strings.NewReader(large)), 413, "too_large", "20000000"},
		{"too large, without Content-Length", put("key=k.md", io.MultiReader(strings.NewReader(large))), 413, "too_large", "20000000"},
		{"PNG", put("key=k.md", strings.NewReader("\x89PNG\x0d\x0a\x1a\x0a\x00\x00\x00\x0dIHDR")), 415, "unsupported_media_type", "image/png"},
		{"PDF", put("key=k.md", strings.NewReader("%PDF-1.7\n1 0 obj\n")), 415, "unsupported_media_type", "a PDF"},
		{"HTML, declared", withHeader(put("key=k.md", strings.NewReader("text")), "Content-Type", "text/html"), 415, "unsupported_media_type", "text/html"},
		{"a form by PUT", withHeader(put("key=k.md", strings.NewReader(unclosedBody)), "Content-Type", unclosed), 415, "unsupported_media_type", "POST"},
		{"a Git LFS pointer", put("key=k.md", strings.NewReader("version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 1\n")), 415, "unsupported_media_type", "git lfs pull"},
		{"RTF", put("key=k.md", strings.NewReader(`{\rtf1 Dear miller}`)), 415, "unsupported_media_type", "RTF"},
		{"UTF-16", put("key=k.md", strings.NewReader("\xff\xfeg\x00r\x00")), 422, "invalid_encoding", "iconv -f UTF-16LE"},
		{"ISO-2022-JP", put("key=k.md", strings.NewReader("# \x1b$B@P1\x1b(B\n")), 422, "invalid_encoding", "ISO-2022-JP"},
		{"invisible characters", put("key=k.md", strings.NewReader("\ufeff\u200b\n")), 422, "empty_document", "invisible"},
		{"key with an invisible character", put("key="+url.QueryEscape("a\u200bb"), strings.NewReader("text")), 400, "bad_request", "U+200B"},
		{"If-None-Match of an existing document", withHeader(put("key=good.md", strings.NewReader("text")), "If-None-Match", "*"), 412, "precondition_failed", accepted.Document.SHA256},
		{"If-Match with an unknown version", withHeader(put("key=good.md", strings.NewReader("text")), "If-Match", `"x"`), 412, "precondition_failed", ""},
		{"If-Match without a document", withHeader(put("key=k.md&collection=absent", strings.NewReader("text")), "If-Match", "*"), 412, "precondition_failed", ""},
		{"JSON without its type", post("/v1/search", "", `{"query":"q"}`), 415, "unsupported_media_type", "application/json"},
		{"bad metadata", put("key=k.md&metadata="+url.QueryEscape(`{"a": }`), strings.NewReader("text")), 422, "invalid_metadata", "offset 6"},
		{"bad metadata in a form", post("/v1/documents", badMeta, badMetaBody), 422, "invalid_metadata", "offset 6"},
		{"truncated form", post("/v1/documents", unclosed, unclosedBody), 400, "bad_request", ""},
		{"form without a boundary", post("/v1/documents", "multipart/form-data", "x"), 400, "bad_request", "boundary"},
		{"invalid form", post("/v1/documents", "multipart/form-data; boundary=b", "not a form"), 400, "bad_request", ""},
		{"no key", put("", strings.NewReader("text")), 400, "bad_request", "key"},
		{"key with ..", put("key="+url.QueryEscape("../k.md"), strings.NewReader("text")), 400, "bad_request", ".."},
		{"key with a control character", put("key="+url.QueryEscape("a\nb"), strings.NewReader("text")), 400, "bad_request", "U+000A"},
		{"key that is not UTF-8", put("key=%ff", strings.NewReader("text")), 400, "bad_request", "UTF-8"},
		{"key over 1,024 bytes", put("key="+strings.Repeat("k", 1025), strings.NewReader("text")), 400, "bad_request", "1024"},
		{"invalid collection", put("key=k&collection=a/b", strings.NewReader("text")), 400, "bad_request", "collection"},
		{"unknown field", post("/v1/search", "application/json", `{"query":"q","colour":"red"}`), 400, "bad_request", "colour"},
		{"unknown nested field", post("/v1/search", "application/json", `{"query":"q","filter":{"colour":"red"}}`), 400, "bad_request", "colour"},
		{"truncated JSON", post("/v1/search", "application/json", `{"query":`), 400, "bad_request", ""},
		{"unsupported mode", post("/v1/search", "application/json", `{"query":"q","mode":"hybrid"}`), 400, "bad_request", "vector"},
		{"unknown collection", post("/v1/search", "application/json", `{"query":"q","collection":"absent"}`), 404, "not_found", "absent"},
		{"wrong key", wrongKey, 401, "unauthenticated", ""},
	} {
		response, body := send(test.request)
		var p problem
		if err := json.Unmarshal(body, &p); err != nil || response.Header.Get("Content-Type") != "application/problem+json" {
			t.Errorf("%s: the answer is not problem+json: %s %s", test.name, response.Header.Get("Content-Type"), body)
			continue
		}
		if response.StatusCode != test.status || p.Status != test.status || p.Code != test.code || p.RequestID == "" || p.Detail == "" || p.Title == "" {
			t.Errorf("%s: %s %s, want %d %s", test.name, response.Status, body, test.status, test.code)
		}
		if !strings.Contains(string(body), test.detail) {
			t.Errorf("%s: %s does not contain %q", test.name, body, test.detail)
		}
		if diff := cmp.Diff(before, audit.Snapshot(t, s)); diff != "" {
			t.Errorf("%s changed stored data:\n%s", test.name, diff)
			before = audit.Snapshot(t, s)
		}
	}
	checkAbortedUpload(t, s, base, before)
}

// checkAbortedUpload aborts an upload in the middle, after more than the first part of its object,
// and waits until nothing of it is left.
func checkAbortedUpload(t *testing.T, s *program.Installation, base string, before map[string]string) {
	t.Helper()
	ctx, abort := context.WithCancel(t.Context())
	body, feed := io.Pipe()
	request, err := http.NewRequestWithContext(ctx, "PUT", base+"/v1/documents?key=aborted.md", body)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Authorization", "Bearer "+program.APIKey)
	ended := make(chan error, 1)
	go func() {
		response, err := http.DefaultClient.Do(request)
		if err == nil {
			response.Body.Close()
		}
		ended <- err
	}()
	if _, err := io.WriteString(feed, strings.Repeat("half of it\n", 1_500_000)); err != nil {
		t.Fatal(err)
	}
	abort()
	feed.CloseWithError(errors.New("the client has disconnected"))
	if err := <-ended; err == nil {
		t.Error("an aborted upload was answered")
	}
	// Polls, because the server notices the disconnect late.
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for deadline := timeoutContext(t); ; {
		diff := cmp.Diff(before, audit.Snapshot(t, s))
		if diff == "" {
			return
		}
		select {
		case <-deadline.Done():
			t.Fatalf("an aborted upload left data behind:\n%s", diff)
		case <-tick.C:
		}
	}
}
