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

// errorResponse is a response that does not contain what was requested. Its form says nothing about
// the cause: some providers send their own JSON, some the page of a proxy, some an error with
// status 200.
type errorResponse struct {
	status         int         // HTTP status, or the one that the body of a 200 names; 0 if that body names none
	httpStatus     int         // HTTP status
	header         http.Header // of the response
	message        string      // the provider's message; may be empty
	codes          string      // its codes and types, in lower case
	param          string      // the parameter that it names
	location       string      // target of a redirect, without parts that may be secret
	notModelReason string      // why a 200 is not the response of a model; empty if its body is an error
}

// Error implements error. It omits the provider's message, which may quote a key; classify adds the
// message without the key.
func (p *errorResponse) Error() string { return fmt.Sprintf("status %d", p.httpStatus) }

// newErrorResponse reads a response whose status is not 2xx.
func newErrorResponse(resp *http.Response, body []byte) *errorResponse {
	p := &errorResponse{status: resp.StatusCode, httpStatus: resp.StatusCode, header: resp.Header}
	p.readBody(resp, body)
	if to, err := resp.Location(); err == nil {
		p.location = to.Scheme + "://" + to.Host + to.Path
	}
	return p
}

// newUnexpectedResponse reads a response with status 200 that contains nothing of what was
// requested: an error, or something that no model returns.
func newUnexpectedResponse(resp *http.Response, body []byte) *errorResponse {
	p := &errorResponse{httpStatus: resp.StatusCode, header: resp.Header}
	var object map[string]json.RawMessage
	isObject := json.Unmarshal(body, &object) == nil
	p.status = p.readBody(resp, body)
	switch {
	case len(bytes.TrimSpace(body)) == 0:
		p.notModelReason = "an empty body"
	case isHTML(resp, body):
		p.notModelReason = "a web page"
	case !isObject:
		p.notModelReason = "something that is not a JSON object"
	case !holdsError(object):
		p.notModelReason = "JSON of an unexpected shape"
	}
	return p
}

// readBody reads the message and the codes from a body, and returns the HTTP status that the body
// names, 0 if none.
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

// jsonError is the content of an error in JSON of any shape.
type jsonError struct {
	messages []string
	codes    []string
	param    string
	status   int // HTTP status
}

const maxErrorDepth = 6

// collect reads the value of a key. Providers, proxies and frameworks put the message under error,
// message or detail, as a string, an object or a list. The lists of FastAPI name the location of
// the error in the request.
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

// joinLocation joins the location in the request that FastAPI names.
func joinLocation(value any) string {
	path, _ := value.([]any)
	var parts []string
	for _, step := range path {
		parts = append(parts, fmt.Sprint(step))
	}
	return strings.Join(parts, ".")
}

// holdsError reports whether a JSON object contains an error.
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

// pageText returns the title of a web page, or its text if it has no title.
func pageText(body []byte) string {
	if title := pageTitle.FindSubmatch(body); title != nil && len(bytes.TrimSpace(title[1])) > 0 {
		return html.UnescapeString(string(title[1]))
	}
	return html.UnescapeString(string(pageTag.ReplaceAll(pageHidden.ReplaceAll(body, nil), []byte(" "))))
}

// sanitise makes a provider's message safe to store and show: one line of UTF-8, of bounded length,
// without secrets.
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
