package llm

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"html"
	"mime"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode"
)

// errorResponse is an answer that is not what was asked for, as the provider gave
// it. Its form says nothing: some send their own JSON, some a page of a proxy,
// some an error with status 200.
type errorResponse struct {
	status         int         // of HTTP, or the one that the body of a 200 names; 0 when such a body names none
	httpStatus     int         // of HTTP
	header         http.Header // of the answer
	message        string      // the provider's words; empty when it has none
	codes          string      // its codes and types, in lower case
	param          string      // the parameter that it names
	location       string      // where it redirects to, without what may be secret
	notModelReason string      // why a 200 is no answer of a model; empty when it says an error
}

// Error implements error. The provider's words are not in it: they may quote a
// key, and the failure that it becomes has them.
func (p *errorResponse) Error() string { return fmt.Sprintf("status %d", p.httpStatus) }

// newErrorResponse reads an answer whose status is not 2xx.
func newErrorResponse(resp *http.Response, body []byte) *errorResponse {
	p := &errorResponse{status: resp.StatusCode, httpStatus: resp.StatusCode, header: resp.Header}
	p.readBody(resp, body)
	if to, err := resp.Location(); err == nil {
		p.location = to.Scheme + "://" + to.Host + to.Path
	}
	return p
}

// newUnexpectedResponse reads an answer with status 200 that holds nothing of what was
// asked for: an error, or what no model answers.
func newUnexpectedResponse(resp *http.Response, body []byte) *errorResponse {
	p := &errorResponse{httpStatus: resp.StatusCode, header: resp.Header}
	var object map[string]json.RawMessage
	isObject := json.Unmarshal(body, &object) == nil
	p.status = p.readBody(resp, body)
	switch {
	case len(bytes.TrimSpace(body)) == 0:
		p.notModelReason = "nothing"
	case isHTML(resp, body):
		p.notModelReason = "a web page"
	case !isObject:
		p.notModelReason = "what is not a JSON object"
	case !holdsError(object):
		p.notModelReason = "JSON of another shape"
	}
	return p
}

// readBody takes in the words and codes of a body, and returns the status of HTTP
// that it names, 0 for none.
func (p *errorResponse) readBody(resp *http.Response, body []byte) (named int) {
	var value any
	switch {
	case isHTML(resp, body):
		p.message = pageText(body)
	case json.Unmarshal(body, &value) == nil:
		var s jsonError
		s.collect("", value, 0)
		p.message, p.codes, p.param, named = strings.Join(s.messages, "; "), strings.ToLower(strings.Join(s.codes, " ")), s.param, s.status
		if p.message == "" && len(bytes.TrimSpace(body)) > len("{}") {
			p.message = string(body)
		}
	default:
		p.message = string(body)
	}
	return named
}

// jsonError is what an error in JSON says, in whatever shape.
type jsonError struct {
	messages []string
	codes    []string
	param    string
	status   int // of HTTP
}

const maxErrorDepth = 6

// collect takes in the value of a key. Providers, proxies and frameworks put
// their words under error, message or detail, as a string, an object or a
// list; FastAPI's lists say where in the request something is wrong.
func (s *jsonError) collect(key string, value any, depth int) {
	if depth > maxErrorDepth {
		return
	}
	switch v := value.(type) {
	case string:
		switch key {
		case "param":
			s.param = cmp.Or(s.param, v)
		case "code", "type", "status", "error_type", "error_code":
			s.addCode(v)
		default:
			if v != "" && !slices.Contains(s.messages, v) {
				s.messages = append(s.messages, v)
			}
		}
	case float64:
		s.addCode(strconv.FormatFloat(v, 'f', -1, 64))
	case []any:
		for _, item := range v {
			s.collect(key, item, depth+1)
		}
	case map[string]any:
		if where := joinLocation(v["loc"]); where != "" {
			s.codes = append(s.codes, where)
			s.messages = append(s.messages, where)
		}
		for _, name := range []string{"error", "errors", "message", "msg", "detail", "details", "title", "reason", "error_description",
			"code", "type", "status", "status_code", "param", "error_type", "error_code"} {
			if inner, ok := v[name]; ok {
				s.collect(name, inner, depth+1)
			}
		}
	}
}

func (s *jsonError) addCode(code string) {
	s.codes = append(s.codes, code)
	if n, err := strconv.Atoi(code); err == nil && n >= 400 && n < 600 && s.status == 0 {
		s.status = n
	}
}

// joinLocation joins the path into the request that FastAPI names.
func joinLocation(value any) string {
	path, _ := value.([]any)
	var parts []string
	for _, step := range path {
		parts = append(parts, fmt.Sprint(step))
	}
	return strings.Join(parts, ".")
}

// holdsError reports whether a JSON object is about an error.
func holdsError(object map[string]json.RawMessage) bool {
	for _, name := range []string{"error", "errors", "message", "msg", "detail"} {
		switch value := string(object[name]); value {
		case "", "null", `""`, "{}", "[]", "false":
		default:
			return true
		}
	}
	return false
}

// isHTML reports whether the body is a web page.
func isHTML(resp *http.Response, body []byte) bool {
	kind, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	start := bytes.ToLower(bytes.TrimSpace(body[:min(len(body), 512)]))
	return bytes.HasPrefix(start, []byte("<")) &&
		(kind == "text/html" || kind == "application/xhtml+xml" || bytes.HasPrefix(start, []byte("<!doctype html")) || bytes.Contains(start, []byte("<html")))
}

var (
	pageTitle  = regexp.MustCompile(`(?is)<title[^>]*>(.*?)</title>`)
	pageHidden = regexp.MustCompile(`(?is)<(script|style|head)\b.*?</(script|style|head)>`)
	pageTag    = regexp.MustCompile(`(?s)<[^>]*>`)
)

// pageText returns the title of a web page, or its text where it has none.
func pageText(body []byte) string {
	if title := pageTitle.FindSubmatch(body); title != nil && len(bytes.TrimSpace(title[1])) > 0 {
		return html.UnescapeString(string(title[1]))
	}
	return html.UnescapeString(string(pageTag.ReplaceAll(pageHidden.ReplaceAll(body, nil), []byte(" "))))
}

// sanitise makes a provider's words fit to be stored and shown: one line of
// UTF-8, bounded, without the secrets.
func sanitise(message string, secrets []string) string {
	message = strings.ToValidUTF8(message, "�")
	for _, secret := range secrets {
		message = strings.ReplaceAll(message, secret, "[key]")
	}
	message = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r
	}, message)
	return truncate(strings.Join(strings.Fields(message), " "), maxMessage)
}
