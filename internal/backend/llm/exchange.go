package llm

import (
	"bytes"
	"compress/flate"
	"compress/gzip"
	"compress/zlib"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"strings"
	"sync"

	"github.com/seed-7a112592/gristmill/internal/fault"
)

const (
	maxAnswer    = 4 << 20  // bytes read of a response without vectors
	maxErrorBody = 64 << 10 // bytes read of an error response
)

// exchange is one request and its response at the HTTP level, below go-openai. go-openai decodes
// errors in one form only, hides their headers, and decodes vectors slowly and in only one of their
// two encodings. The exchange is passed in the request's context.
type exchange struct {
	vectors  *vectorAnswer // if not nil, the response is decoded into this
	maxBytes int64         // maximum size of the response; 0 means maxAnswer
	header   http.Header   // of the response; nil if there was none
	tokens   int           // as counted by the provider
}

type exchangeKey struct{}

func withExchange(ctx context.Context, ex *exchange) context.Context {
	return context.WithValue(ctx, exchangeKey{}, ex)
}

// httpDoer sends go-openai's requests and fills in their exchanges.
type httpDoer struct {
	client *http.Client
	bodies sync.Pool // of *bytes.Buffer
}

// Do implements openai.HTTPDoer. It returns a response only if it contains what was requested; any
// other response is returned as an *errorResponse.
func (d *httpDoer) Do(req *http.Request) (*http.Response, error) {
	resp, err := d.client.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	ex := req.Context().Value(exchangeKey{}).(*exchange)
	ex.header = resp.Header

	body, ok := d.bodies.Get().(*bytes.Buffer)
	if !ok {
		body = &bytes.Buffer{}
	}
	defer d.bodies.Put(body)
	body.Reset()
	if resp.StatusCode < 200 || resp.StatusCode > 299 {
		// A read error does not matter: the status decides.
		_ = readBody(resp, body, maxErrorBody)
		return nil, newErrorResponse(resp, body.Bytes())
	}
	limit := ex.maxBytes
	if limit == 0 {
		limit = maxAnswer
	}
	if err := readBody(resp, body, limit); err != nil {
		return nil, err
	}
	if ex.vectors == nil {
		return decodeChat(resp, body.Bytes(), ex)
	}
	return decodeVectors(resp, body.Bytes(), ex)
}

// decodeVectors decodes a response that contains vectors.
func decodeVectors(resp *http.Response, body []byte, ex *exchange) (*http.Response, error) {
	answer, plain := fastDecodeVectors(body)
	if plain {
		*ex.vectors = answer
		return withoutVectors(resp, ex), nil
	}
	err := json.Unmarshal(body, ex.vectors)
	if err != nil && isInvalidJSONWith(body, "data") && !isCutOffJSON(body, err) {
		*ex.vectors, body = vectorAnswer{}, replaceNotFinite(body)
		err = json.Unmarshal(body, ex.vectors)
	}
	switch {
	case isCutOffJSON(body, err):
		return nil, io.ErrUnexpectedEOF
	case ex.vectors.Data == nil && !isInvalidJSONWith(body, "data"):
		return nil, newUnexpectedResponse(resp, body)
	case err != nil:
		return nil, fault.Wrap(fault.BadResponse, err, "%s did not return a list of embeddings", resp.Request.URL.Host)
	}
	return withoutVectors(resp, ex), nil
}

// withoutVectors returns the response without its vectors, which have been decoded.
func withoutVectors(resp *http.Response, ex *exchange) *http.Response {
	ex.tokens = ex.vectors.Usage.count("prompt_tokens")
	resp.Body = io.NopCloser(strings.NewReader("{}")) // go-openai requires JSON
	return resp
}

// decodeChat checks a response that contains a text, and passes it to go-openai.
func decodeChat(resp *http.Response, body []byte, ex *exchange) (*http.Response, error) {
	var answer map[string]json.RawMessage
	err := json.Unmarshal(body, &answer)
	switch {
	case isCutOffJSON(body, err):
		return nil, io.ErrUnexpectedEOF
	case err != nil && isInvalidJSONWith(body, "choices"):
		return nil, err
	case err != nil, len(answer["choices"]) == 0, string(answer["choices"]) == "null":
		return nil, newUnexpectedResponse(resp, body)
	}
	ex.tokens = usage(answer["usage"]).count("total_tokens")
	delete(answer, "usage") // go-openai rejects the whole response if a count is not a number
	if body, err = json.Marshal(answer); err != nil {
		return nil, fmt.Errorf("encode the response: %w", err)
	}
	resp.Body = io.NopCloser(bytes.NewReader(body))
	return resp, nil
}

// isInvalidJSONWith reports whether a body looks like a response with the field, but is not valid
// JSON: some servers write NaN for a number.
func isInvalidJSONWith(body []byte, field string) bool {
	return !json.Valid(body) && bytes.HasPrefix(bytes.TrimSpace(body), []byte("{")) && bytes.Contains(body, []byte(`"`+field+`"`))
}

// isCutOffJSON reports whether err says that a body is JSON that ends too early.
func isCutOffJSON(body []byte, err error) bool {
	syntax, ok := errors.AsType[*json.SyntaxError](err)
	start := bytes.TrimLeft(body, " \t\r\n")
	return ok && syntax.Offset == int64(len(body)) && len(start) > 0 && (start[0] == '{' || start[0] == '[')
}

// readBody reads at most limit bytes of a response and decompresses them. Compression is not
// requested; some servers and proxies compress nevertheless.
func readBody(resp *http.Response, into *bytes.Buffer, limit int64) error {
	encoding := strings.ToLower(strings.TrimSpace(resp.Header.Get("Content-Encoding")))
	body := http.MaxBytesReader(nil, resp.Body, limit)
	if encoding == "" || encoding == "identity" {
		_, err := into.ReadFrom(body)
		return err
	}
	compressed, err := io.ReadAll(body)
	if err != nil {
		return err
	}
	var decompressed io.Reader
	switch encoding {
	case "gzip", "x-gzip":
		decompressed, err = gzip.NewReader(bytes.NewReader(compressed))
	case "deflate": // with the zlib header that the standard requires, or without
		if decompressed, err = zlib.NewReader(bytes.NewReader(compressed)); err != nil {
			decompressed, err = flate.NewReader(bytes.NewReader(compressed)), nil
		}
	default:
		return &errorResponse{httpStatus: resp.StatusCode, header: resp.Header, notModelReason: "content encoded as " + encoding}
	}
	if err != nil {
		return err
	}
	_, err = into.ReadFrom(http.MaxBytesReader(nil, io.NopCloser(decompressed), limit))
	return err
}

// usage is the provider's count of tokens. It is used for estimates only, so invalid counts do not
// fail a response.
type usage json.RawMessage

// UnmarshalJSON implements json.Unmarshaler.
func (u *usage) UnmarshalJSON(b []byte) error {
	*u = append((*u)[:0], b...)
	return nil
}

// count returns the named count, 0 if it is invalid.
func (u usage) count(name string) int {
	var counts map[string]any
	if json.Unmarshal(u, &counts) != nil {
		return 0
	}
	n, _ := counts[name].(float64)
	if !(n >= 1 && n <= math.MaxInt32) {
		return 0
	}
	return int(n)
}

// maxTokensOf returns an upper bound of the tokens, in any vocabulary, of a text of the given
// number of bytes and the response to it.
func maxTokensOf(bytes int) int { return 4*bytes + 100_000 }
