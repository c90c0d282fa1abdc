package httpapi_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/seed-7a112592/gristmill/internal/fault"
	"github.com/seed-7a112592/gristmill/internal/server/httpapi"
	"github.com/seed-7a112592/gristmill/pkg/document"
)

// start serves the API on real connections, so that bodies can break.
func start(t *testing.T, config httpapi.Config) *httptest.Server {
	t.Helper()
	server := httptest.NewServer(newHandler(t, config))
	t.Cleanup(server.Close)
	return server
}

// sendRaw writes a raw request and reads the response. It keeps the connection open until the test
// ends.
func sendRaw(t *testing.T, server *httptest.Server, request string) *http.Response {
	t.Helper()
	conn, err := net.Dial("tcp", server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	if _, err := io.WriteString(conn, request); err != nil {
		t.Fatal(err)
	}
	if err := conn.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	response, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatalf("read the response: %v", err)
	}
	return response
}

// record returns a response in the form that wantProblem needs.
func record(t *testing.T, response *http.Response) *httptest.ResponseRecorder {
	t.Helper()
	defer response.Body.Close()
	w := httptest.NewRecorder()
	for name, values := range response.Header {
		w.Header()[name] = values
	}
	w.Code = response.StatusCode
	if _, err := io.Copy(w.Body, response.Body); err != nil {
		t.Fatal(err)
	}
	return w
}

// A client that is refused while it sends must get the response, and not a connection reset.
func TestRefusalWhileSending(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		key    string
		length int64
		status int
		code   string
	}{
		"over the limit, length declared":     {"", 64 << 20, 413, "too_large"},
		"over the limit, length not declared": {"", -1, 413, "too_large"},
		"no key":                              {"right", -1, 401, "unauthenticated"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			config := configOf(t, newFake())
			config.APIKey = test.key
			server := start(t, config)
			endless := io.LimitReader(repeat("a document without end\n"), 64<<20)
			request, err := http.NewRequestWithContext(t.Context(), "PUT", server.URL+"/v1/documents?key=k", endless)
			if err != nil {
				t.Fatal(err)
			}
			request.ContentLength = test.length
			response, err := server.Client().Do(request)
			if err != nil {
				t.Fatalf("the client got %v instead of the response", err)
			}
			wantProblem(t, record(t, response), test.status, test.code, "")
		})
	}
}

// A client that sends the complete body before it reads must get the response too.
func TestRefusalBeforeReading(t *testing.T) {
	t.Parallel()
	server := start(t, configOf(t, newFake()))
	body := strings.Repeat("over the limit\n\n", 1<<20)
	header := fmt.Sprintf("PUT /v1/documents?key=k HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n", len(body))
	wantProblem(t, record(t, sendRaw(t, server, header+body)), 413, "too_large", "")
}

// repeat is a reader of an endless repetition of a text.
type repeat string

func (r repeat) Read(p []byte) (int, error) { return copy(p, r), nil }

func TestRefusalBeforeContinue(t *testing.T) {
	t.Parallel()
	server := start(t, configOf(t, newFake()))
	response := sendRaw(t, server, "PUT /v1/documents?key=k HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99999999\r\nExpect: 100-continue\r\n\r\n")
	wantProblem(t, record(t, response), 413, "too_large", "99999999")
}

func TestBrokenBodies(t *testing.T) {
	t.Parallel()
	const chunked = " HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n"
	for name, test := range map[string]struct {
		request string
		status  int
		detail  string
	}{
		"an upload in broken chunks": {"PUT /v1/documents?key=k" + chunked + "\r\n3\r\nabc\r\nnonsense\r\n", 400, "cannot be read after 3 bytes"},
		"a form in broken chunks": {
			"POST /v1/documents" + chunked + "Content-Type: multipart/form-data; boundary=b\r\n\r\n3\r\n--b\r\nnonsense\r\n", 400, "cannot be read",
		},
		"JSON in broken chunks":                       {"POST /v1/search" + chunked + "Content-Type: application/json\r\n\r\n3\r\n{\"q\r\nnonsense\r\n", 400, "cannot be read after 3 bytes"},
		"an upload that stalls":                       {"PUT /v1/documents?key=k HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\n\r\nabc", 408, "too slow: after 0 bytes, 3 more arrived in 200ms"},
		"an upload refused for its query that stalls": {"PUT /v1/documents?stray=1 HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\n\r\nabc", 400, "query.stray"},
		"JSON that stalls":                            {"POST /v1/search HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 10\r\n\r\n{", 408, "too slow"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFake()
			config := configOf(t, f)
			config.BodyTimeout = 200 * time.Millisecond
			response := sendRaw(t, start(t, config), test.request)
			code := map[int]string{400: "bad_request", 408: "request_timeout"}[test.status]
			wantProblem(t, record(t, response), test.status, code, test.detail)
			f.mu.Lock()
			defer f.mu.Unlock()
			if len(f.documents) != 0 {
				t.Errorf("stored %v, want no documents", f.documents)
			}
		})
	}
}

// A client that sends single bytes is refused. A client that is slow but makes progress may take any
// time.
func TestSlowBodies(t *testing.T) {
	t.Parallel()
	const timeout, pause, pieces = 500 * time.Millisecond, 50 * time.Millisecond, 30
	for name, test := range map[string]struct {
		form   bool
		piece  int
		status int
	}{
		"a byte at a time":           {false, 1, 408},
		"a byte at a time of a form": {true, 1, 408},
		"slow but steady":            {false, 8 << 10, 202},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFake()
			config := configOf(t, f)
			config.BodyTimeout = timeout
			server := start(t, config)
			conn, err := net.Dial("tcp", server.Listener.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = conn.Close() })
			method, kind, head := "PUT /v1/documents?key=k", "text/plain", ""
			if test.form {
				method, kind, head = "POST /v1/documents", "multipart/form-data; boundary=b", "--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"k\"\r\n\r\n"
			}
			fmt.Fprintf(conn, "%s HTTP/1.1\r\nHost: localhost\r\nContent-Type: %s\r\nContent-Length: %d\r\n\r\n%s", method, kind, len(head)+pieces*test.piece, head)
			go func() {
				for range pieces { // takes three times the time-out
					<-time.After(pause)
					if _, err := io.WriteString(conn, strings.Repeat("g", test.piece)); err != nil {
						return // refused
					}
				}
			}()
			response, err := http.ReadResponse(bufio.NewReader(conn), nil)
			if err != nil {
				t.Fatal(err)
			}
			if test.status == http.StatusAccepted {
				if response.StatusCode != test.status {
					t.Errorf("got %s, want 202", response.Status)
				}
				return
			}
			wantProblem(t, record(t, response), test.status, "request_timeout", "too slow: after 0 bytes")
			f.mu.Lock()
			defer f.mu.Unlock()
			if len(f.documents) != 0 {
				t.Errorf("stored %v, want no documents", f.documents)
			}
		})
	}
}

// If the client disconnects during an upload, the uploader gets an error of the client, so that it
// stores nothing.
func TestAbortedUpload(t *testing.T) {
	t.Parallel()
	failed := make(chan error, 1)
	config := configOf(t, newFake())
	config.Uploader = uploaderFunc(func(_ context.Context, _ document.UploadRequest, body io.Reader) (document.Accepted, error) {
		_, err := io.Copy(io.Discard, body)
		failed <- err
		return document.Accepted{}, err
	})
	server := start(t, config)
	conn, err := net.Dial("tcp", server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	fmt.Fprint(conn, "PUT /v1/documents?key=k HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\nabc")
	if err := conn.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-failed; !fault.Is(err, fault.BadRequest) {
		t.Errorf("the uploader got %v, want fault.BadRequest", err)
	}
}

// The time limit of the body must not end a request that takes long after its body.
func TestBodyTimeoutEndsWithBody(t *testing.T) {
	t.Parallel()
	config := configOf(t, newFake())
	config.BodyTimeout = 50 * time.Millisecond
	config.Uploader = uploaderFunc(func(ctx context.Context, _ document.UploadRequest, body io.Reader) (document.Accepted, error) {
		if _, err := io.Copy(io.Discard, body); err != nil {
			return document.Accepted{}, err
		}
		select {
		case <-ctx.Done():
			return document.Accepted{}, context.Cause(ctx)
		case <-time.After(4 * config.BodyTimeout):
			return document.Accepted{}, nil
		}
	})
	response := sendRaw(t, start(t, config), "PUT /v1/documents?key=k HTTP/1.1\r\nHost: localhost\r\nContent-Length: 3\r\n\r\nabc")
	if response.StatusCode != http.StatusAccepted {
		t.Errorf("got %s, want 202", response.Status)
	}
}

func TestConnectionIsKeptAfterSmallBody(t *testing.T) {
	t.Parallel()
	server := start(t, configOf(t, newFake()))
	response := sendRaw(t, server, "PUT /v1/documents?stray=1 HTTP/1.1\r\nHost: localhost\r\nContent-Length: 3\r\n\r\nabc")
	if response.StatusCode != http.StatusBadRequest || response.Close {
		t.Errorf("got %s, close %v; want 400 and the connection kept", response.Status, response.Close)
	}
	if !strings.HasPrefix(response.Header.Get("Content-Type"), "application/problem+json") {
		t.Errorf("Content-Type %q", response.Header.Get("Content-Type"))
	}
}
