package httpapi_test

import (
	"bytes"
	"encoding/json"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-7a112592/gristmill/internal/telemetry"
	"github.com/seed-7a112592/gristmill/pkg/document"
)

func TestKey(t *testing.T) {
	t.Parallel()
	config := configOf(t, newFake())
	config.APIKey = "right"
	h := newHandler(t, config)
	for name, test := range map[string]struct {
		target, authorization string
		status                int
	}{
		"no key":                        {"/v1/documents", "", 401},
		"a wrong key":                   {"/v1/documents", "Bearer wrong", 401},
		"another scheme":                {"/v1/documents", "Basic right", 401},
		"the key":                       {"/v1/documents", "Bearer right", 200},
		"the key, scheme in lower case": {"/v1/documents", "bearer right", 200},
		"an unknown route":              {"/nowhere", "", 401},
		"health":                        {"/healthz", "", 200},
		"readiness":                     {"/readyz", "", 200},
		"metrics":                       {"/metrics", "", 200},
		"the contract":                  {"/openapi.json", "", 200},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRequest("GET", test.target, nil)
			r.Header.Set("Authorization", test.authorization)
			w := httptest.NewRecorder()
			h.ServeHTTP(w, r)
			if w.Code != test.status {
				t.Errorf("got %d, want %d", w.Code, test.status)
			}
			if test.status == 401 {
				wantProblem(t, w, 401, "unauthenticated", "key")
				if got := w.Header().Get("WWW-Authenticate"); !strings.HasPrefix(got, "Bearer") {
					t.Errorf("got WWW-Authenticate %q, want Bearer", got)
				}
			}
		})
	}
}

func TestRequestID(t *testing.T) {
	t.Parallel()
	h := newHandler(t, configOf(t, newFake()))
	for id, kept := range map[string]bool{
		"abc-1._X": true, strings.Repeat("a", 128): true, strings.Repeat("a", 129): false, "": false, "a b": false, "a\"": false,
	} {
		r := newRequest("GET", "/nowhere", nil)
		r.Header.Set("X-Request-Id", id)
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		got := w.Header().Get("X-Request-Id")
		if got == "" || (got == id) != kept {
			t.Errorf("X-Request-Id %q: got %q, want it kept: %v", id, got, kept)
		}
	}
}

func TestAccessLog(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	logger, err := telemetry.NewLogger(&log, "json", "info")
	if err != nil {
		t.Fatal(err)
	}
	config := configOf(t, newFake())
	config.Log = logger
	h := newHandler(t, config)
	do(h, "GET", "/healthz", "", "") // logged at debug level
	r := newRequest("GET", "/v1/documents?limit=0", nil)
	r.Header.Set("X-Request-Id", "abc")
	h.ServeHTTP(httptest.NewRecorder(), r)
	var line map[string]any
	if err := json.Unmarshal(log.Bytes(), &line); err != nil {
		t.Fatalf("log %q: %v; want one line", &log, err)
	}
	for name, want := range map[string]any{
		"msg": "request", "level": "INFO", "request_id": "abc", "tenant": "default",
		"method": "GET", "path": "/v1/documents", "route": "/v1/documents", "status": 400.0,
	} {
		if line[name] != want {
			t.Errorf("%s: %v, want %v", name, line[name], want)
		}
	}
}

func TestRequestsAreCountedByRoute(t *testing.T) {
	t.Parallel()
	config := configOf(t, newFake())
	metrics := &fakeMetrics{}
	config.Metrics = metrics
	h := newHandler(t, config)
	do(h, "GET", "/v1/jobs/0199c7a4-0000-7000-8000-000000000000", "", "")
	do(h, "GET", "/nowhere", "", "")
	do(h, "BREW", "/v1/documents", "", "")
	want := []observedRequest{{"/v1/jobs/{id}", "GET", 404}, {"unmatched", "GET", 404}, {"unmatched", "other", 405}}
	if diff := cmp.Diff(want, metrics.all); diff != "" {
		t.Errorf("counted (-want +got):\n%s", diff)
	}
}

// Query parameters that would be ignored are refused.
func TestUnknownQueryParameters(t *testing.T) {
	t.Parallel()
	f := newFake()
	h := newHandler(t, configOf(t, f))
	id := put(t, h, "a.md", "# a").Document.ID.String()
	for target, detail := range map[string]string{
		"GET /v1/documents?limit=1&limit=2":              `"limit" is given 2 times`,
		"GET /v1/documents?nothing=1":                    "unknown query parameter",
		"GET /v1/documents/" + id + "/content?version=1": "query.version: unknown query parameter; this path has none",
		"PUT /v1/documents?key=b.md&key=c.md":            `"key" is given 2 times`,
		"PUT /v1/documents?key=b.md&name=c.md":           "query.name: unknown query parameter; want collection, key, title, metadata",
		"POST /v1/documents?collection=c":                "query.collection: unknown query parameter",
	} {
		method, path, _ := strings.Cut(target, " ")
		wantProblem(t, do(h, method, path, "text/markdown", "# b"), 400, "bad_request", detail)
	}
	if len(f.documents) != 1 {
		t.Errorf("stored %v, want only the first document", f.documents)
	}
}

const aUUID = "0199c7a4-0000-7000-8000-000000000001"

func TestMalformedJSON(t *testing.T) {
	t.Parallel()
	h := newHandler(t, configOf(t, newFake()))
	for name, test := range map[string]struct {
		target, body string
		detail       string
		location     string
	}{
		"unknown field":          {"/v1/search", `{"query":"q","limmit":3}`, "unexpected property", "body.limmit"},
		"unknown inner field":    {"/v1/search", `{"query":"q","filter":{"prefix":""}}`, "unexpected property", "body.filter.prefix"},
		"wrong type":             {"/v1/search", `{"query":7}`, "expected string", "body.query"},
		"a fraction":             {"/v1/search", `{"query":"q","limit":1.5}`, "expected integer", "body.limit"},
		"a huge number":          {"/v1/search", `{"query":"q","limit":1e300}`, "", "body.limit"},
		"limit too high":         {"/v1/search", `{"query":"q","limit":101}`, "100", "body.limit"},
		"limit too low":          {"/v1/search", `{"query":"q","limit":0}`, "1", "body.limit"},
		"no query":               {"/v1/search", `{}`, "required", "body"},
		"unknown mode":           {"/v1/search", `{"query":"q","mode":"magic"}`, "vector", "body.mode"},
		"truncated":              {"/v1/search", `{"query":`, "at byte 9", "body"},
		"more than one value":    {"/v1/search", `{"query":"q"} x`, "at byte 15", "body"},
		"null":                   {"/v1/search", `null`, "expected object", "body"},
		"a list":                 {"/v1/search", `[]`, "expected object", "body"},
		"an empty body":          {"/v1/search", ``, "required", ""},
		"a NUL":                  {"/v1/search", `{"query":"a\u0000b"}`, "NUL", "body"},
		"not UTF-8":              {"/v1/search", "{\"query\":\"a\xffb\"}", "UTF-8", "body"},
		"a NUL in metadata":      {"/v1/search", `{"query":"q","filter":{"metadata":{"a":["\u0000"]}}}`, "NUL", "body"},
		"metadata not an object": {"/v1/search", `{"query":"q","filter":{"metadata":[]}}`, "expected object", "body.filter.metadata"},
		"not a UUID":             {"/v1/reindexes", `{"document_id":"x"}`, "uuid", "body.document_id"},
		"not a UUID in a list":   {"/v1/reindexes", `{"document_ids":["x"]}`, "uuid", "body.document_ids[0]"},
		"an empty list":          {"/v1/reindexes", `{"document_ids":[]}`, "length >= 1", "body.document_ids"},
		"a long list":            {"/v1/reindexes", `{"document_ids":["` + strings.Repeat(aUUID+`","`, 100) + aUUID + `"]}`, "length <= 100", "body.document_ids"},
		"an empty collection":    {"/v1/reindexes", `{"collection":""}`, "length >= 1", "body.collection"},
		"an empty model":         {"/v1/reindexes", `{"model":""}`, "length >= 1", "body.model"},
		"a long model":           {"/v1/reindexes", `{"model":"` + strings.Repeat("m", 201) + `"}`, "length <= 200", "body.model"},
		"no dimensions":          {"/v1/reindexes", `{"dimensions":0}`, "1", "body.dimensions"},
		"many dimensions":        {"/v1/reindexes", `{"dimensions":16001}`, "16000", "body.dimensions"},
		"small passages":         {"/v1/reindexes", `{"chunk_tokens":15}`, "16", "body.chunk_tokens"},
		"negative overlap":       {"/v1/reindexes", `{"chunk_overlap":-1}`, "0", "body.chunk_overlap"},
		"unknown reindex flag":   {"/v1/reindexes", `{"revert":true}`, "unexpected property", "body.revert"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := wantProblem(t, do(h, "POST", test.target, "application/json", test.body), 400, "bad_request", test.detail)
			if test.location != "" && (len(p.Errors) == 0 || p.Errors[0].Location != test.location) {
				t.Errorf("errors %+v, want one at %s", p.Errors, test.location)
			}
		})
	}
	wantProblem(t, do(h, "POST", "/v1/search", "text/plain", `{"query":"q"}`), 415, "unsupported_media_type", "application/json")
	large := `{"query":"` + strings.Repeat("x", 1<<20) + `"}`
	wantProblem(t, do(h, "POST", "/v1/search", "application/json", large), 413, "too_large", "1048576")
}

func TestSearch(t *testing.T) {
	t.Parallel()
	f := newFake()
	h := newHandler(t, configOf(t, f))
	w := do(h, "POST", "/v1/search", "application/json", `{"query":"q"}`)
	if got, want := strings.TrimSpace(w.Body.String()), `{"hits":[],"degraded":false,"cached":false}`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	do(h, "POST", "/v1/search", "application/json",
		`{"collection":"c","query":"q","mode":"vector","limit":3,"threshold":0.5,"filter":{"key_prefix":"a/","metadata":{"n":12345678901234567890}}}`)
	threshold := 0.5
	want := []document.SearchRequest{
		{Collection: "default", Query: "q", Mode: "vector", Limit: 10},
		{Collection: "c", Query: "q", Mode: "vector", Limit: 3, Threshold: &threshold, KeyPrefix: "a/", Metadata: []byte(`{"n":12345678901234567890}`)},
	}
	if diff := cmp.Diff(want, f.searches); diff != "" {
		t.Errorf("searched (-want +got):\n%s", diff)
	}
	for _, mode := range []string{"keyword", "hybrid"} {
		w := do(h, "POST", "/v1/search", "application/json", `{"query":"q","mode":"`+mode+`"}`)
		wantProblem(t, w, 400, "bad_request", "not available yet")
	}
}
