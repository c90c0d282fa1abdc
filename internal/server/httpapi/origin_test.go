package httpapi_test

import (
	"net/http/httptest"
	"strings"
	"testing"
)

// A server without a key answers for this machine only, and not to pages of
// other sites that its user looks at.
func TestOrigins(t *testing.T) {
	t.Parallel()
	contentType, form := writeForm(t, formPart{"file", "planted.md", "# planted"})
	for name, test := range map[string]struct {
		method, host string
		header       map[string]string
		keyed, open  int // the status with a key, and without
	}{
		"curl":                                   {"POST", "127.0.0.1:8080", nil, 202, 202},
		"curl, by name":                          {"POST", "localhost:8080", nil, 202, 202},
		"curl, IPv6":                             {"POST", "[::1]:8080", nil, 202, 202},
		"another address of the loopback":        {"POST", "127.1.2.3", nil, 202, 202},
		"the console":                            {"POST", "localhost:8080", map[string]string{"Origin": "http://localhost:8080", "Sec-Fetch-Site": "same-origin"}, 202, 202},
		"a page that rebinds its name":           {"POST", "evil.example:8080", map[string]string{"Origin": "http://evil.example:8080", "Sec-Fetch-Site": "same-origin"}, 202, 403},
		"a name that only begins like ours":      {"POST", "localhost.evil.example", nil, 202, 403},
		"an address that is not of this machine": {"POST", "192.168.1.1:8080", nil, 202, 403},
		"no host":                                {"POST", "", nil, 202, 403},
		"a form of another site":                 {"POST", "localhost:8080", map[string]string{"Origin": "https://evil.example", "Sec-Fetch-Site": "cross-site"}, 202, 403},
		"a form of another port":                 {"POST", "localhost:8080", map[string]string{"Origin": "http://localhost:3000", "Sec-Fetch-Site": "same-site"}, 202, 403},
		"an old browser":                         {"POST", "localhost:8080", map[string]string{"Origin": "https://evil.example"}, 202, 403},
		"a page without an origin":               {"POST", "localhost:8080", map[string]string{"Origin": "null"}, 202, 403},
		"reading, by a page that rebinds":        {"GET", "evil.example:8080", nil, 200, 403},
		"reading":                                {"GET", "localhost", nil, 200, 200},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for key, want := range map[string]int{"right": test.keyed, "": test.open} {
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
					t.Errorf("with key %q: answer %d %s, want %d", key, w.Code, w.Body, want)
				}
				if want == 403 {
					wantProblem(t, w, 403, "forbidden", "")
					if len(f.documents) != 0 {
						t.Error("a document was planted")
					}
				}
				if w.Header().Get("Access-Control-Allow-Origin") != "" || w.Header().Get("Cross-Origin-Resource-Policy") != "same-origin" {
					t.Errorf("others may read: %v", w.Header())
				}
			}
		})
	}
}

// What a page reads by a name of its own tells it nothing, health neither.
func TestEveryRouteChecksTheHost(t *testing.T) {
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

// A browser sends a body without a type, or with one of a form, wherever a page
// wants it to.
func TestJSONNeedsItsType(t *testing.T) {
	t.Parallel()
	f := newFake()
	h := newHandler(t, configOf(t, f))
	for _, contentType := range []string{"", "text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=b", "text/json", "nonsense"} {
		for _, target := range []string{"/v1/search", "/v1/reindexes", "/v1/webhooks"} {
			wantProblem(t, do(h, "POST", target, contentType, `{"query":"q","url":"https://example.com"}`), 415, "unsupported_media_type", "application/json")
		}
	}
	if len(f.searches)+len(f.beginRequests)+len(f.webhooks) != 0 {
		t.Error("a body without its type was taken")
	}
	if w := do(h, "POST", "/v1/search", "application/json; charset=utf-8", `{"query":"q"}`); w.Code != 200 {
		t.Errorf("answer %d %s", w.Code, w.Body)
	}
}
