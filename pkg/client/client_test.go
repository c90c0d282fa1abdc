package client_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"github.com/seed-7a112592/gristmill/pkg/client"
	"github.com/seed-7a112592/gristmill/pkg/document"
)

// transportFunc is a transport without a network.
type transportFunc func(*http.Request) *http.Response

func (a transportFunc) RoundTrip(r *http.Request) (*http.Response, error) {
	response := a(r)
	response.Request = r
	if r.Body != nil {
		_ = r.Body.Close()
	}
	return response, nil
}

// newResponse returns a response with the given status, media type and body.
func newResponse(status int, contentType, body string) *http.Response {
	return &http.Response{
		Status:     fmt.Sprintf("%d %s", status, http.StatusText(status)),
		StatusCode: status,
		Header:     http.Header{"Content-Type": {contentType}},
		Body:       io.NopCloser(strings.NewReader(body)),
	}
}

func newClient(t *testing.T, transport http.RoundTripper) *client.Client {
	t.Helper()
	c, err := client.New("http://gristmill.test/", "secret", &http.Client{Transport: transport})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

var (
	docID = uuid.MustParse("0199c7a4-0000-7000-8000-000000000001")
	jobID = uuid.MustParse("0199c7a4-0000-7000-8000-000000000002")
)

// exchange is a call with the request that it must send, the server's answer, and the result that
// the call must return.
type exchange struct {
	call        func(ctx context.Context, c *client.Client) (any, error)
	request     string // method, path and query
	body        string
	contentType string
	answer      string
	want        any
}

func (e exchange) run(t *testing.T) {
	t.Helper()
	c := newClient(t, transportFunc(func(r *http.Request) *http.Response {
		var body []byte
		if r.Body != nil {
			var err error
			if body, err = io.ReadAll(r.Body); err != nil {
				t.Error(err)
			}
		}
		if got := r.Method + " " + r.URL.RequestURI(); got != e.request {
			t.Errorf("sent %s, want %s", got, e.request)
		}
		if string(body) != e.body || r.Header.Get("Content-Type") != e.contentType {
			t.Errorf("sent %q %s, want %q %s", r.Header.Get("Content-Type"), body, e.contentType, e.body)
		}
		if got := r.Header.Get("Authorization"); got != "Bearer secret" {
			t.Errorf("sent Authorization %q, want Bearer secret", got)
		}
		return newResponse(200, "application/json", e.answer)
	}))
	got, err := e.call(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(e.want, got); diff != "" {
		t.Errorf("answer (-want +got):\n%s", diff)
	}
}

func TestCalls(t *testing.T) {
	t.Parallel()
	threshold := 0.5
	for name, test := range map[string]exchange{
		"upload": {
			call: func(ctx context.Context, c *client.Client) (any, error) {
				return c.Upload(ctx, document.UploadRequest{Collection: "c", Key: "a&b", Title: "T", MediaType: "text/plain", Metadata: json.RawMessage(`{}`)}, strings.NewReader("# a"))
			},
			request: "PUT /v1/documents?collection=c&key=a%26b&metadata=%7B%7D&title=T", body: "# a", contentType: "text/plain",
			answer: `{"document":{"key":"a&b"},"job":{"state":"queued"},"unchanged":true}`,
			want:   document.Accepted{Document: document.Document{Key: "a&b"}, Job: document.Job{State: document.JobQueued}, Unchanged: true},
		},
		"documents": {
			call: func(ctx context.Context, c *client.Client) (any, error) {
				return c.Documents(ctx, document.DocumentFilter{Collection: "c", KeyPrefix: "a/", State: document.DocumentReady}, document.Page{Limit: 3, Cursor: "x"})
			},
			request: "GET /v1/documents?collection=c&cursor=x&key_prefix=a%2F&limit=3&state=ready",
			answer:  `{"items":[{"key":"a/1"}],"next_cursor":"y"}`,
			want:    document.List[document.Document]{Items: []document.Document{{Key: "a/1"}}, NextCursor: "y"},
		},
		"document": {
			call:    func(ctx context.Context, c *client.Client) (any, error) { return c.Document(ctx, docID) },
			request: "GET /v1/documents/" + docID.String(), answer: `{"key":"k"}`, want: document.Document{Key: "k"},
		},
		"content": {
			call: func(ctx context.Context, c *client.Client) (any, error) {
				body, err := c.Content(ctx, docID)
				if err != nil {
					return nil, err
				}
				defer body.Close()
				text, err := io.ReadAll(body)
				return string(text), err
			},
			request: "GET /v1/documents/" + docID.String() + "/content", answer: "# a", want: "# a",
		},
		"passages": {
			call: func(ctx context.Context, c *client.Client) (any, error) {
				return c.Passages(ctx, docID, document.Page{})
			},
			request: "GET /v1/documents/" + docID.String() + "/passages",
			answer:  `{"items":[{"content":"x"}]}`,
			want:    document.List[document.Passage]{Items: []document.Passage{{Content: "x"}}},
		},
		"summary": {
			call:    func(ctx context.Context, c *client.Client) (any, error) { return c.Summary(ctx, docID) },
			request: "GET /v1/documents/" + docID.String() + "/summary", answer: `{"summary":"s"}`, want: document.Summary{Summary: "s"},
		},
		"delete": {
			call:    func(ctx context.Context, c *client.Client) (any, error) { return nil, c.DeleteDocument(ctx, docID) },
			request: "DELETE /v1/documents/" + docID.String(),
		},
		"jobs": {
			call: func(ctx context.Context, c *client.Client) (any, error) {
				return c.Jobs(ctx, document.JobFilter{State: document.JobRunning, Collection: "c", DocumentID: docID}, document.Page{Limit: 1})
			},
			request: "GET /v1/jobs?collection=c&document_id=" + docID.String() + "&limit=1&state=running",
			answer:  `{"items":[{"version":2}]}`,
			want:    document.List[document.Job]{Items: []document.Job{{Version: 2}}},
		},
		"job": {
			call:    func(ctx context.Context, c *client.Client) (any, error) { return c.Job(ctx, jobID, 90*time.Second) },
			request: "GET /v1/jobs/" + jobID.String() + "?wait=1m30s", answer: `{"version":2}`, want: document.Job{Version: 2},
		},
		"cancel": {
			call:    func(ctx context.Context, c *client.Client) (any, error) { return c.CancelJob(ctx, jobID) },
			request: "POST /v1/jobs/" + jobID.String() + "/cancel", answer: `{"state":"cancelled"}`, want: document.Job{State: document.JobCancelled},
		},
		"retry": {
			call:    func(ctx context.Context, c *client.Client) (any, error) { return c.RetryJob(ctx, jobID) },
			request: "POST /v1/jobs/" + jobID.String() + "/retry", answer: `{"state":"queued"}`, want: document.Job{State: document.JobQueued},
		},
		"search": {
			call: func(ctx context.Context, c *client.Client) (any, error) {
				return c.Search(ctx, document.SearchRequest{Collection: "c", Query: "q", Mode: "vector", Limit: 3, Threshold: &threshold, KeyPrefix: "a/", Metadata: json.RawMessage(`{"x":1}`)})
			},
			request: "POST /v1/search", contentType: "application/json",
			body:   `{"collection":"c","query":"q","mode":"vector","limit":3,"threshold":0.5,"filter":{"key_prefix":"a/","metadata":{"x":1}}}`,
			answer: `{"hits":[{"key":"k","score":0.9}],"degraded":true}`,
			want:   document.SearchResult{Hits: []document.Hit{{Key: "k", Score: 0.9}}, Degraded: true},
		},
		"a small search": {
			call: func(ctx context.Context, c *client.Client) (any, error) {
				return c.Search(ctx, document.SearchRequest{Query: "q"})
			},
			request: "POST /v1/search", contentType: "application/json", body: `{"query":"q"}`, answer: `{}`, want: document.SearchResult{},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test.run(t)
		})
	}
}

func TestProblems(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		status            int
		contentType, body string
		want              string
	}{
		"a problem":          {422, "application/problem+json", `{"detail":"not UTF-8 at byte 3","code":"invalid_encoding","offset":3,"request_id":"r"}`, "not UTF-8 at byte 3 (invalid_encoding)"},
		"a server error":     {500, "application/problem+json", `{"detail":"something went wrong","code":"internal","request_id":"r"}`, "something went wrong (internal); request r"},
		"a proxy's answer":   {502, "text/html", "<html>\n<body>", "gristmill.test answered 502 Bad Gateway: <html>"},
		"invalid JSON":       {400, "application/problem+json", "{", "gristmill.test answered 400 Bad Request: {"},
		"a very long answer": {404, "text/plain", strings.Repeat("é", 300), "gristmill.test answered 404 Not Found: " + strings.Repeat("é", 100) + "…"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newClient(t, transportFunc(func(*http.Request) *http.Response { return newResponse(test.status, test.contentType, test.body) }))
			_, err := c.Document(t.Context(), docID)
			p, ok := errors.AsType[*client.Problem](err)
			if !ok || p.Status != test.status || p.Error() != test.want {
				t.Errorf("got %v, want a problem with status %d and text %q", err, test.status, test.want)
			}
		})
	}
}

func TestServerURL(t *testing.T) {
	t.Parallel()
	for _, url := range []string{"", "127.0.0.1:8080", "ftp://x", "http://", "http://%zz"} {
		if _, err := client.New(url, "", nil); err == nil || !strings.Contains(err.Error(), "http://127.0.0.1:8080") {
			t.Errorf("New(%q): %v, want an error with an example", url, err)
		}
	}
}

func TestUploadFile(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for name, test := range map[string]struct {
		content, mediaType, expect string
	}{
		"a.md":           {"# a", "text/markdown", ""},
		"a.TXT":          {"a", "text/plain", ""},
		"Makefile":       {"all:", "", ""},
		"empty.markdown": {"", "text/markdown", ""},
		"large.md":       {strings.Repeat("large\n", 200_000), "text/markdown", "100-continue"}, // may be refused before it is sent
	} {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(test.content), 0o600); err != nil {
			t.Fatal(err)
		}
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			body, err := io.ReadAll(r.Body)
			if err != nil || string(body) != test.content || r.ContentLength != int64(len(test.content)) || r.Header.Get("Content-Type") != test.mediaType {
				t.Errorf("%s: got %.100q of length %d as %q, %v", name, body, r.ContentLength, r.Header.Get("Content-Type"), err)
			}
			if got := r.Header.Get("Expect"); got != test.expect {
				t.Errorf("%s: Expect %q, want %q", name, got, test.expect)
			}
			_, _ = io.WriteString(w, "{}")
		}))
		t.Cleanup(server.Close)
		c, err := client.New(server.URL, "", nil)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.UploadFile(t.Context(), document.UploadRequest{Key: name}, path); err != nil {
			t.Error(err)
		}
	}
	c := newClient(t, transportFunc(func(*http.Request) *http.Response { panic("sent") }))
	if _, err := c.UploadFile(t.Context(), document.UploadRequest{}, filepath.Join(dir, "none.md")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a file that does not exist: got %v, want os.ErrNotExist", err)
	}
}

func TestAwaitJob(t *testing.T) {
	t.Parallel()
	states := []document.JobState{document.JobQueued, document.JobRunning, document.JobFailed}
	next := 0
	c := newClient(t, transportFunc(func(*http.Request) *http.Response {
		next++
		return newResponse(200, "application/json", fmt.Sprintf(`{"state":%q}`, states[next-1]))
	}))
	var seen []document.JobState
	job, err := c.AwaitJob(t.Context(), jobID, time.Second, func(job document.Job) { seen = append(seen, job.State) })
	if err != nil || job.State != document.JobFailed {
		t.Errorf("got %s, %v; want failed", job.State, err)
	}
	if diff := cmp.Diff(states[:2], seen); diff != "" {
		t.Errorf("reported (-want +got):\n%s", diff)
	}
}

func TestAllJobs(t *testing.T) {
	t.Parallel()
	c := newClient(t, transportFunc(func(r *http.Request) *http.Response {
		if r.URL.Query().Get("cursor") == "" {
			return newResponse(200, "application/json", `{"items":[{"version":1},{"version":2}],"next_cursor":"x"}`)
		}
		return newResponse(200, "application/json", `{"items":[{"version":3}]}`)
	}))
	var got []int
	for job, err := range c.AllJobs(t.Context(), document.JobFilter{}) {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, job.Version)
	}
	if diff := cmp.Diff([]int{1, 2, 3}, got); diff != "" {
		t.Errorf("jobs (-want +got):\n%s", diff)
	}
}
