package client

import (
	"encoding/json"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// Problem is an answer that is not a success (RFC 9457).
type Problem struct {
	Status    int          `json:"status"` // HTTP status
	Title     string       `json:"title"`
	Detail    string       `json:"detail"`
	Code      string       `json:"code"` // stable, for programs; empty if a proxy answered
	RequestID string       `json:"request_id"`
	Offset    *int64       `json:"offset,omitempty"` // byte of the document at which the problem was found
	Errors    []FieldError `json:"errors,omitempty"`

	RetryAfter time.Duration `json:"-"` // requested by the server; 0 for none
}

// FieldError says what is wrong with one field of a request.
type FieldError struct {
	Location string `json:"location"`
	Message  string `json:"message"`
}

// Error implements error. The text is for people.
func (p *Problem) Error() string {
	text := p.Detail
	if p.Code != "" {
		text += " (" + p.Code + ")"
	}
	if p.Status >= http.StatusInternalServerError && p.RequestID != "" {
		text += "; request " + p.RequestID
	}
	return text
}

// maxProblemBytes is larger than any problem of Gristmill.
const maxProblemBytes = 1 << 20

// readProblem reads an answer with status 400 or more, from Gristmill or from a proxy in front of
// it.
func readProblem(response *http.Response) *Problem {
	p := &Problem{}
	text, _ := io.ReadAll(io.LimitReader(response.Body, maxProblemBytes)) // if it fails, show what was read
	media, _, _ := mime.ParseMediaType(response.Header.Get("Content-Type"))
	if media != "application/problem+json" || json.Unmarshal(text, p) != nil {
		p = &Problem{
			Title:  http.StatusText(response.StatusCode),
			Detail: fmt.Sprintf("%s answered %s: %s", response.Request.URL.Host, response.Status, firstLine(string(text))),
		}
	}
	p.Status = response.StatusCode
	if seconds, err := strconv.Atoi(response.Header.Get("Retry-After")); err == nil {
		p.RetryAfter = time.Duration(seconds) * time.Second
	}
	return p
}

// firstLine returns the first line of s, 200 bytes at most. s is the answer of a proxy, such as a
// page of HTML.
func firstLine(s string) string {
	line, _, _ := strings.Cut(strings.TrimSpace(s), "\n")
	const maxBytes = 200
	if len(line) > maxBytes {
		line = strings.ToValidUTF8(line[:maxBytes], "") + "…"
	}
	return line
}
