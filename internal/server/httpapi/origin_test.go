package httpapi_test

import (
	"net/http/httptest"
	"strings"
	"testing"
)

// A server without a key answers only requests to this machine, and none from pages of other sites.
func TestOrigins(t *testing.T) {
	t.Parallel()
	contentType, form := writeForm(t, formPart{"file", "planted.md", "# planted"})
	for name, test := range map[string]struct {
		method, host  string
		header        map[string]string
		withKey, open int // statuses: of a server with a key, and of one without
	}{
		"curl":                              {"POST", "127.0.0.1:8080", nil, 202, 202},
		"curl, by name":                     {"POST", "localhost:8080", nil, 202, 202},
		"curl, IPv6":                        {"POST", "[::1]:8080", nil, 202, 202},
		"another address of the loopback":   {"POST", "127.1.2.3", nil, 202, 202},
		"the console":                       {"POST", "localhost:8080", map[string]string{"Origin": "http://localhost:8080", "Sec-Fetch-Site": "same-origin"}, 202, 202},
		"a page with DNS rebinding":         {"POST", "evil.example:8080", map[string]string{"Origin": "http://evil.example:8080", "Sec-Fetch-Site": "same-origin"}, 202, 403},
		"a name that begins with localhost": {"POST", "localhost.evil.example", nil, 202, 403},
		"an address of the network":         {"POST", "192.168.1.1:8080", nil, 202, 403},
		"no host":                           {"POST", "", nil, 202, 403},
		"a form of another site":            {"POST", "localhost:8080", map[string]string{"Origin": "https://evil.example", "Sec-Fetch-Site": "cross-site"}, 202, 403},
		"a form of another port":            {"POST", "localhost:8080", map[string]string{"Origin": "http://localhost:3000", "Sec-Fetch-Site": "same-site"}, 202, 403},
		"an old browser":                    {"POST", "localhost:8080", map[string]string{"Origin": "https://evil.example"}, 202, 403},
		"a page without an origin":          {"POST", "localhost:8080", map[string]string{"Origin": "null"}, 202, 403},
		"reading, with DNS rebinding":       {"GET", "evil.example:8080", nil, 200, 403},
		"reading":                           {"GET", "localhost", nil, 200, 200},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for key, want := range map[string]int{"right": test.withKey, "": test.open} {
				f := newFake()
				config := configOf(t, f)
				config.APIKey = key
				r := newRequest(test.method, "/v1/documents", strings.NewReader(form))
				r.Host = test.host
				r.Header.Set("Content-Type", contentType)
				r.Header.Set("Authorization", "Bearer "+key)
				for header, value := range test.header {
					r.Header.Set(header, value)
				}
				w := httptest.NewRecorder()
				newHandler(t, config).ServeHTTP(w, r)
				if w.Code != want {
					t.Errorf("with key %q: got %d %s, want %d", key, w.Code, w.Body, want)
				}
				if want == 403 {
					wantProblem(t, w, 403, "forbidden", "")
					if len(f.documents) != 0 {
						t.Error("a document was stored")
					}
				}
				if w.Header().Get("Access-Control-Allow-Origin") != "" || w.Header().Get("Cross-Origin-Resource-Policy") != "same-origin" {
					t.Errorf("other origins may read the response: %v", w.Header())
				}
			}
		})
	}
}

// Every route checks the host, health routes too.
func TestAllRoutesCheckHost(t *testing.T) {
	t.Parallel()
	h := newHandler(t, configOf(t, newFake()))
	for _, target := range []string{"/healthz", "/readyz", "/metrics", "/openapi.json", "/v1/jobs", "/v1/jobs/" + aUUID + "/events", "/nowhere"} {
		r := newRequest("GET", target, nil)
		r.Host = "evil.example"
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		wantProblem(t, w, 403, "forbidden", "evil.example")
	}
}

// JSON is accepted only with its media type. A page of another site can make a browser send a body
// without a type, or with the type of a form.
func TestJSONNeedsContentType(t *testing.T) {
	t.Parallel()
	f := newFake()
	h := newHandler(t, configOf(t, f))
	for _, contentType := range []string{"", "text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=b", "text/json", "invalid"} {
		for _, target := range []string{"/v1/search", "/v1/reindexes", "/v1/webhooks"} {
			wantProblem(t, do(h, "POST", target, contentType, `{"query":"q","url":"https://example.com"}`), 415, "unsupported_media_type", "application/json")
		}
	}
	if len(f.searches)+len(f.beginRequests)+len(f.webhooks) != 0 {
		t.Error("a body without its media type was accepted")
	}
	if w := do(h, "POST", "/v1/search", "application/json; charset=utf-8", `{"query":"q"}`); w.Code != 200 {
		t.Errorf("got %d %s, want 200", w.Code, w.Body)
	}
}
