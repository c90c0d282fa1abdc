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

// uploadResponse is what an upload got.
type uploadResponse struct {
	status     int
	replayed   string
	retryAfter string
	body       string
	accepted   document.Accepted // if it was
	problem    httpapi.Problem   // if it was not
}

// put uploads a document, with an idempotency key unless that is empty.
func (s *testAPI) put(t *testing.T, key, idempotencyKey string, body io.Reader) uploadResponse {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPut, s.URL+"/v1/documents?key="+key, body)
	if err != nil {
		t.Error(err)
		return uploadResponse{}
	}
	request.Header.Set("Expect", "100-continue") // asks before it sends
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
		t.Errorf("answer %d %q: %v", a.status, text, err)
	}
	return a
}

// wantStored checks how much of everything there is, and that no upload is left
// half-way.
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
	notes, err := s.store.ExpireUploads(ctx, 0, 100)
	if err != nil {
		t.Fatal(err)
	}
	if len(d.Items) != documents || len(j.Items) != jobs || stored != objects || notes != 0 {
		t.Errorf("left %d documents, %d jobs, %d objects and %d notes; want %d, %d, %d and none",
			len(d.Items), len(j.Items), stored, notes, documents, jobs, objects)
	}
}

// atOnce calls fn n times at once.
func atOnce(n int, fn func(i int)) {
	var group sync.WaitGroup
	for i := range n {
		group.Go(func() { fn(i) })
	}
	group.Wait()
}

const parallel = 50

func TestSameUploadsAtOnce(t *testing.T) {
	t.Parallel()
	s := newTestAPI(t)
	text := "# Mill\n\n" + strings.Repeat("It grinds. ", 5000)
	var all [parallel]uploadResponse
	atOnce(parallel, func(i int) { all[i] = s.put(t, "mill.md", "", strings.NewReader(text)) })
	accepted := 0
	for _, a := range all {
		if a.status == http.StatusAccepted && !a.accepted.Unchanged {
			accepted++
		} else if a.status != http.StatusOK || !a.accepted.Unchanged {
			t.Errorf("answer %d %s", a.status, a.body)
		}
		if a.accepted.Job.ID != all[0].accepted.Job.ID {
			t.Errorf("jobs %s and %s", a.accepted.Job.ID, all[0].accepted.Job.ID)
		}
	}
	if accepted != 1 {
		t.Errorf("accepted %d times, want once", accepted)
	}
	s.wantStored(t, 1, 1, 1)
	wantContent(t, s, text)
}

func TestSameUploadsAtOnceUnderAnIdempotencyKey(t *testing.T) {
	t.Parallel()
	s := newTestAPI(t)
	const text = "# Mill\n\nIt grinds.\n"
	var all [parallel]uploadResponse
	atOnce(parallel, func(i int) { all[i] = s.put(t, "mill.md", "once", strings.NewReader(text)) })
	replayed := 0
	for _, a := range all {
		if a.replayed == "true" {
			replayed++
		}
		if a.status != http.StatusAccepted || a.body != all[0].body {
			t.Errorf("answers %d %s and %s", a.status, a.body, all[0].body)
		}
	}
	if replayed != parallel-1 {
		t.Errorf("%d of %d answers are replays", replayed, parallel)
	}
	s.wantStored(t, 1, 1, 1)
	wantContent(t, s, text)

	if a := s.put(t, "mill.md", "", strings.NewReader("# Another\n")); a.status != http.StatusAccepted {
		t.Fatalf("another version: %d %s", a.status, a.body)
	}
	if a := s.put(t, "mill.md", "once", strings.NewReader(text)); a.replayed != "true" || a.body != all[0].body {
		t.Errorf("once it has changed: got %d %s, want the first answer", a.status, a.body)
	}
	for key, text := range map[string]string{"mill.md": "# Another\n", "other.md": text} {
		if a := s.put(t, key, "once", strings.NewReader(text)); a.status != http.StatusConflict || a.problem.Code != "conflict" {
			t.Errorf("%s with %q: got %d %s, want a conflict", key, text, a.status, a.body)
		}
	}
	s.wantStored(t, 1, 2, 2)
}

// wantContent checks that the one object is the text.
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
		_ = r.Close() // it has been read
		if err != nil || string(got) != text {
			t.Errorf("%s has %d bytes, %v, want the %d that were sent", info.Name, len(got), err, len(text))
		}
	}
}

// wantRefused checks that an upload is refused soon, with a time to come
// again, before its body is sent.
func wantRefused(t *testing.T, s *testAPI, status int, detail string) {
	t.Helper()
	s.Client().Transport.(*http.Transport).ExpectContinueTimeout = time.Minute
	began := time.Now()
	a := s.put(t, "late.md", "", untouched{t})
	if a.status != status || a.retryAfter == "" || !strings.Contains(a.problem.Detail, detail) {
		t.Errorf("got %d, Retry-After %q, %s; want %d about %q", a.status, a.retryAfter, a.body, status, detail)
	}
	if took := time.Since(began); took > 10*time.Second {
		t.Errorf("refused after %s", took)
	}
}

// untouched fails the test when it is read.
type untouched struct{ t *testing.T }

func (u untouched) Read([]byte) (int, error) {
	u.t.Error("the body was read")
	return 0, io.EOF
}

func TestUploadsPastTheBacklog(t *testing.T) {
	t.Parallel()
	const limit = 3
	s := newTestAPI(t, fmt.Sprint("GRISTMILL_MAX_QUEUED_JOBS=", limit))
	var all [20]uploadResponse
	atOnce(len(all), func(i int) { all[i] = s.put(t, fmt.Sprint(i), "", strings.NewReader("text")) })
	accepted := 0
	for _, a := range all {
		if a.status == http.StatusAccepted {
			accepted++
		} else if a.status != http.StatusTooManyRequests || a.problem.Code != "rate_limited" || a.retryAfter == "" {
			t.Errorf("answer %d, Retry-After %q, %s", a.status, a.retryAfter, a.body)
		}
	}
	if accepted != limit {
		t.Errorf("accepted %d, want %d", accepted, limit)
	}
	wantRefused(t, s, http.StatusTooManyRequests, "GRISTMILL_MAX_QUEUED_JOBS allows 3")
	s.wantStored(t, limit, limit, limit)
}

func TestUploadsPastTheLimitOfCollections(t *testing.T) {
	t.Parallel()
	const limit = 3
	s := newTestAPI(t, fmt.Sprint("GRISTMILL_MAX_COLLECTIONS=", limit))
	var all [20]uploadResponse
	atOnce(len(all), func(i int) { all[i] = s.put(t, fmt.Sprint("a&collection=c", i), "", strings.NewReader("text")) })
	accepted := 0
	for _, a := range all {
		if a.status == http.StatusAccepted {
			accepted++
		} else if a.status != http.StatusConflict || a.problem.Code != "conflict" || !strings.Contains(a.problem.Detail, "limit of 3 collections (GRISTMILL_MAX_COLLECTIONS)") {
			t.Errorf("answer %d, %s", a.status, a.body)
		}
	}
	if accepted != limit {
		t.Errorf("accepted %d, want %d", accepted, limit)
	}
	s.wantStored(t, limit, limit, limit)
}

func TestUploadsWithoutADatabase(t *testing.T) {
	t.Parallel()
	s := newTestAPI(t, "GRISTMILL_DATABASE_URL=postgres://nobody:nothing@127.0.0.1:1/none")
	wantRefused(t, s, http.StatusServiceUnavailable, "database")
}

func TestUploadsWithoutObjectStorage(t *testing.T) {
	t.Parallel()
	s := newTestAPI(t, "GRISTMILL_S3_ENDPOINT=http://127.0.0.1:1")
	for _, size := range []int{10, 9 << 20} { // in one piece, and in parts
		began := time.Now()
		a := s.put(t, "k.md", "", bytes.NewReader(bytes.Repeat([]byte("x"), size)))
		if a.status != http.StatusServiceUnavailable || a.retryAfter == "" {
			t.Errorf("%d bytes: got %d, Retry-After %q, %s", size, a.status, a.retryAfter, a.body)
		}
		if took := time.Since(began); took > 10*time.Second {
			t.Errorf("%d bytes: refused after %s", size, took)
		}
	}
	ctx := tenant.With(context.Background(), tenant.Default)
	list, err := s.store.Documents(ctx, document.DocumentFilter{}, document.Page{Limit: 1})
	if err != nil || len(list.Items) != 0 {
		t.Errorf("left %v, %v", list.Items, err)
	}
}
