package app_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/seed-7a112592/gristmill/internal/server/httpapi"
	"github.com/seed-7a112592/gristmill/internal/tenant"
	"github.com/seed-7a112592/gristmill/pkg/document"
)

// uploadResponse is the response to an upload.
type uploadResponse struct {
	status     int
	replayed   string
	retryAfter string
	body       string
	accepted   document.Accepted // if the upload was accepted
	problem    httpapi.Problem   // if it was refused
}

// put uploads a document. If idempotencyKey is empty, the request has none.
func (s *testAPI) put(t *testing.T, key, idempotencyKey string, body io.Reader) uploadResponse {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPut, s.URL+"/v1/documents?key="+key, body)
	if err != nil {
		t.Error(err)
		return uploadResponse{}
	}
	request.Header.Set("Expect", "100-continue") // waits for permission to send the body
	if idempotencyKey != "" {
		request.Header.Set("Idempotency-Key", idempotencyKey)
	}
	response, err := s.Client().Do(request)
	if err != nil {
		t.Error(err)
		return uploadResponse{}
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	a := uploadResponse{status: response.StatusCode, body: string(text),
		replayed: response.Header.Get("Idempotency-Replayed"), retryAfter: response.Header.Get("Retry-After")}
	var into any = &a.accepted
	if a.status >= http.StatusBadRequest {
		into = &a.problem
	}
	if err == nil {
		err = json.Unmarshal(text, into)
	}
	if err != nil {
		t.Errorf("response %d %q: %v", a.status, text, err)
	}
	return a
}

// wantStored checks the numbers of documents, jobs and objects, and that no unfinished upload is
// left.
func (s *testAPI) wantStored(t *testing.T, documents, jobs, objects int) {
	t.Helper()
	ctx := tenant.With(t.Context(), tenant.Default)
	page := document.Page{Limit: 100}
	d, err := s.store.Documents(ctx, document.DocumentFilter{}, page)
	if err != nil {
		t.Fatal(err)
	}
	j, err := s.store.Jobs(ctx, document.JobFilter{}, page)
	if err != nil {
		t.Fatal(err)
	}
	stored := 0
	for _, err := range s.objects.List(ctx, "") {
		if err != nil {
			t.Fatal(err)
		}
		stored++
	}
	unfinished, err := s.store.ExpireUploads(ctx, 0, 100)
	if err != nil {
		t.Fatal(err)
	}
	if len(d.Items) != documents || len(j.Items) != jobs || stored != objects || unfinished != 0 {
		t.Errorf("got %d documents, %d jobs, %d objects and %d unfinished uploads; want %d, %d, %d and 0",
			len(d.Items), len(j.Items), stored, unfinished, documents, jobs, objects)
	}
}

// concurrently calls fn n times at the same time.
func concurrently(n int, fn func(i int)) {
	var group sync.WaitGroup
	for i := range n {
		group.Go(func() { fn(i) })
	}
	group.Wait()
}

const parallel = 50

func TestConcurrentEqualUploads(t *testing.T) {
	t.Parallel()
	s := newTestAPI(t)
	text := "# Mill\n\n" + strings.Repeat("It grinds. ", 5000)
	var all [parallel]uploadResponse
	concurrently(parallel, func(i int) { all[i] = s.put(t, "mill.md", "", strings.NewReader(text)) })
	accepted := 0
	for _, a := range all {
		if a.status == http.StatusAccepted && !a.accepted.Unchanged {
			accepted++
		} else if a.status != http.StatusOK || !a.accepted.Unchanged {
			t.Errorf("got %d %s", a.status, a.body)
		}
		if a.accepted.Job.ID != all[0].accepted.Job.ID {
			t.Errorf("got jobs %s and %s, want one job", a.accepted.Job.ID, all[0].accepted.Job.ID)
		}
	}
	if accepted != 1 {
		t.Errorf("accepted %d times, want once", accepted)
	}
	s.wantStored(t, 1, 1, 1)
	wantContent(t, s, text)
}

func TestConcurrentUploadsWithOneIdempotencyKey(t *testing.T) {
	t.Parallel()
	s := newTestAPI(t)
	const text = "# Mill\n\nIt grinds.\n"
	var all [parallel]uploadResponse
	concurrently(parallel, func(i int) { all[i] = s.put(t, "mill.md", "once", strings.NewReader(text)) })
	replayed := 0
	for _, a := range all {
		if a.replayed == "true" {
			replayed++
		}
		if a.status != http.StatusAccepted || a.body != all[0].body {
			t.Errorf("got %d %s and %s, want equal responses", a.status, a.body, all[0].body)
		}
	}
	if replayed != parallel-1 {
		t.Errorf("%d of %d responses are replays, want all but one", replayed, parallel)
	}
	s.wantStored(t, 1, 1, 1)
	wantContent(t, s, text)

	if a := s.put(t, "mill.md", "", strings.NewReader("# Another\n")); a.status != http.StatusAccepted {
		t.Fatalf("another version: %d %s", a.status, a.body)
	}
	if a := s.put(t, "mill.md", "once", strings.NewReader(text)); a.replayed != "true" || a.body != all[0].body {
		t.Errorf("after a change of the document: got %d %s, want the first response", a.status, a.body)
	}
	for key, text := range map[string]string{"mill.md": "# Another\n", "other.md": text} {
		if a := s.put(t, key, "once", strings.NewReader(text)); a.status != http.StatusConflict || a.problem.Code != "conflict" {
			t.Errorf("%s with %q: got %d %s, want a conflict", key, text, a.status, a.body)
		}
	}
	s.wantStored(t, 1, 2, 2)
}

// wantContent checks that every stored object is the text.
func wantContent(t *testing.T, s *testAPI, text string) {
	t.Helper()
	for info, err := range s.objects.List(t.Context(), "") {
		if err != nil {
			t.Fatal(err)
		}
		r, err := s.objects.Open(t.Context(), info.Name)
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(r)
		_ = r.Close() // all of it has been read
		if err != nil || string(got) != text {
			t.Errorf("%s has %d bytes, %v; want the %d bytes that were sent", info.Name, len(got), err, len(text))
		}
	}
}

// wantRefused checks that an upload is refused soon, with a Retry-After, before its body is sent.
func wantRefused(t *testing.T, s *testAPI, status int, detail string) {
	t.Helper()
	s.Client().Transport.(*http.Transport).ExpectContinueTimeout = time.Minute
	began := time.Now()
	a := s.put(t, "late.md", "", unreadBody{t})
	if a.status != status || a.retryAfter == "" || !strings.Contains(a.problem.Detail, detail) {
		t.Errorf("got %d, Retry-After %q, %s; want %d about %q", a.status, a.retryAfter, a.body, status, detail)
	}
	if took := time.Since(began); took > 10*time.Second {
		t.Errorf("refused only after %s", took)
	}
}

// unreadBody fails the test when it is read.
type unreadBody struct{ t *testing.T }

func (u unreadBody) Read([]byte) (int, error) {
	u.t.Error("the body was read")
	return 0, io.EOF
}

func TestBacklogLimit(t *testing.T) {
	t.Parallel()
	const limit = 3
	s := newTestAPI(t, fmt.Sprint("GRISTMILL_MAX_QUEUED_JOBS=", limit))
	var all [20]uploadResponse
	concurrently(len(all), func(i int) { all[i] = s.put(t, fmt.Sprint(i), "", strings.NewReader("text")) })
	accepted := 0
	for _, a := range all {
		if a.status == http.StatusAccepted {
			accepted++
		} else if a.status != http.StatusTooManyRequests || a.problem.Code != "rate_limited" || a.retryAfter == "" {
			t.Errorf("got %d, Retry-After %q, %s", a.status, a.retryAfter, a.body)
		}
	}
	if accepted != limit {
		t.Errorf("accepted %d, want %d", accepted, limit)
	}
	wantRefused(t, s, http.StatusTooManyRequests, "GRISTMILL_MAX_QUEUED_JOBS allows 3")
	s.wantStored(t, limit, limit, limit)
}

func TestCollectionLimit(t *testing.T) {
	t.Parallel()
	const limit = 3
	s := newTestAPI(t, fmt.Sprint("GRISTMILL_MAX_COLLECTIONS=", limit))
	var all [20]uploadResponse
	concurrently(len(all), func(i int) { all[i] = s.put(t, fmt.Sprint("a&collection=c", i), "", strings.NewReader("text")) })
	accepted := 0
	for _, a := range all {
		if a.status == http.StatusAccepted {
			accepted++
		} else if a.status != http.StatusConflict || a.problem.Code != "conflict" || !strings.Contains(a.problem.Detail, "limit of 3 collections (GRISTMILL_MAX_COLLECTIONS)") {
			t.Errorf("got %d, %s", a.status, a.body)
		}
	}
	if accepted != limit {
		t.Errorf("accepted %d, want %d", accepted, limit)
	}
	s.wantStored(t, limit, limit, limit)
}

func TestUploadWithoutDatabase(t *testing.T) {
	t.Parallel()
	s := newTestAPI(t, "GRISTMILL_DATABASE_URL=postgres://user:password@127.0.0.1:1/database")
	wantRefused(t, s, http.StatusServiceUnavailable, "database")
}

func TestUploadWithoutObjectStorage(t *testing.T) {
	t.Parallel()
	s := newTestAPI(t, "GRISTMILL_S3_ENDPOINT=http://127.0.0.1:1")
	for _, size := range []int{10, 9 << 20} { // one request, and a multipart upload
		began := time.Now()
		a := s.put(t, "k.md", "", bytes.NewReader(bytes.Repeat([]byte("x"), size)))
		if a.status != http.StatusServiceUnavailable || a.retryAfter == "" {
			t.Errorf("%d bytes: got %d, Retry-After %q, %s", size, a.status, a.retryAfter, a.body)
		}
		if took := time.Since(began); took > 10*time.Second {
			t.Errorf("%d bytes: refused only after %s", size, took)
		}
	}
	ctx := tenant.With(context.Background(), tenant.Default)
	list, err := s.store.Documents(ctx, document.DocumentFilter{}, document.Page{Limit: 1})
	if err != nil || len(list.Items) != 0 {
		t.Errorf("got documents %v, %v; want none", list.Items, err)
	}
}
