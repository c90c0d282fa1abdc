package llm

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync"

	"github.com/seed-7a112592/gristmill/pkg/fault"
)

// maxAnswer bounds what is read of an answer that holds no vectors.
const maxAnswer = 4 << 20

// exchange is one request and its answer, seen from beneath go-openai, which
// hides the headers of errors, and decodes vectors slowly and in one of their
// two encodings only. It travels in the request's context.
type exchange struct {
	vectors *vectorAnswer // decode the answer into this instead; nil for none
	limit   int64         // bytes of the answer; maxAnswer when 0
	header  http.Header   // the answer's; nil when there was none
	tokens  int           // that the provider counted
}

type exchangeKey struct{}

func withExchange(ctx context.Context, ex *exchange) context.Context {
	return context.WithValue(ctx, exchangeKey{}, ex)
}

// doer sends go-openai's requests and fills in their exchanges.
type doer struct {
	client *http.Client
	bodies sync.Pool // of *bytes.Buffer
}

// Do implements openai.HTTPDoer.
func (d *doer) Do(req *http.Request) (*http.Response, error) {
	resp, err := d.client.Do(req)
	if err != nil {
		return nil, err
	}
	ex := req.Context().Value(exchangeKey{}).(*exchange)
	ex.header = resp.Header
	limit := ex.limit
	if limit == 0 {
		limit = maxAnswer
	}
	resp.Body = http.MaxBytesReader(nil, resp.Body, limit)
	if ex.vectors == nil || resp.StatusCode != http.StatusOK {
		return resp, nil
	}
	defer resp.Body.Close()
	if err := d.decode(resp, ex.vectors); err != nil {
		return nil, err
	}
	resp.Body = io.NopCloser(strings.NewReader("{}")) // go-openai insists on JSON
	return resp, nil
}

func (d *doer) decode(resp *http.Response, into *vectorAnswer) error {
	body, ok := d.bodies.Get().(*bytes.Buffer)
	if !ok {
		body = &bytes.Buffer{}
	}
	defer d.bodies.Put(body)
	body.Reset()
	if _, err := body.ReadFrom(resp.Body); err != nil {
		return err
	}
	err := json.Unmarshal(body.Bytes(), into)
	if syntax, ok := errors.AsType[*json.SyntaxError](err); ok && syntax.Offset == int64(body.Len()) {
		return io.ErrUnexpectedEOF // it broke off
	}
	if err != nil {
		return fault.Wrap(fault.BadAnswer, err, "%s answered what is not a list of embeddings", resp.Request.URL.Host)
	}
	return nil
}
