// Package client talks to a Gristmill server over its HTTP contract, in the
// types of package document.
package client

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/failsafe-go/failsafe-go"
	"github.com/failsafe-go/failsafe-go/retrypolicy"
)

const (
	// maxRetries is how often a call that may be repeated is, when the server
	// asks to come back later.
	maxRetries = 4

	// maxRetryAfter is the longest wait that the client takes upon itself;
	// asked for more, it gives the problem back.
	maxRetryAfter = time.Minute
)

// Client calls one server. It is safe for concurrent use.
type Client struct {
	base  string
	key   string
	http  *http.Client
	retry failsafe.Executor[*http.Response]
}

// New returns a client of the server at baseURL, such as
// http://127.0.0.1:8080. The key may be empty, where the server asks for none.
// httpClient may be nil; it should have no timeout, since uploads and waits
// take as long as they take.
func New(baseURL, key string, httpClient *http.Client) (*Client, error) {
	u, err := url.Parse(baseURL)
	if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" {
		return nil, fmt.Errorf("server %q: want a URL like http://127.0.0.1:8080", baseURL)
	}
	if httpClient == nil {
		httpClient = &http.Client{}
	}
	retry := retrypolicy.NewBuilder[*http.Response]().
		HandleIf(func(_ *http.Response, err error) bool { return comeBackLater(err) }).
		WithMaxRetries(maxRetries).
		WithDelayFunc(func(exec failsafe.ExecutionAttempt[*http.Response]) time.Duration {
			p, _ := errors.AsType[*Problem](exec.LastError())
			return p.RetryAfter
		}).
		WithJitterFactor(0.1).
		ReturnLastFailure().
		Build()
	return &Client{
		base:  strings.TrimSuffix(baseURL, "/"),
		key:   key,
		http:  httpClient,
		retry: failsafe.With(retry),
	}, nil
}

// comeBackLater reports whether the server asked for a wait that is worth it.
func comeBackLater(err error) bool {
	p, ok := errors.AsType[*Problem](err)
	if !ok || p.RetryAfter <= 0 || p.RetryAfter > maxRetryAfter {
		return false
	}
	return p.Status == http.StatusTooManyRequests || p.Status == http.StatusServiceUnavailable
}

// call is one request of the contract.
type call struct {
	method, path string
	query        url.Values
	contentType  string
	header       http.Header
	once         bool // must not be sent twice

	// body opens the body, anew for each attempt, and says its length; -1 for
	// unknown. nil for none.
	body func() (io.ReadCloser, int64, error)
}

// send sends the call, again if the server asks for that and the call allows
// it. An answer that is not a success is a *Problem.
func (c *Client) send(ctx context.Context, call call) (*http.Response, error) {
	if call.once {
		return c.attempt(ctx, call)
	}
	return c.retry.WithContext(ctx).Get(func() (*http.Response, error) { return c.attempt(ctx, call) })
}

func (c *Client) attempt(ctx context.Context, call call) (*http.Response, error) {
	target := c.base + call.path
	if len(call.query) > 0 {
		target += "?" + call.query.Encode()
	}
	request, err := http.NewRequestWithContext(ctx, call.method, target, nil)
	if err != nil {
		return nil, err
	}
	for name, values := range call.header {
		request.Header[name] = values
	}
	if call.contentType != "" {
		request.Header.Set("Content-Type", call.contentType)
	}
	if c.key != "" {
		request.Header.Set("Authorization", "Bearer "+c.key)
	}
	if call.body != nil {
		request.Body, request.ContentLength, err = call.body()
		if err != nil {
			return nil, err
		}
	}
	response, err := c.http.Do(request)
	if err != nil {
		return nil, err
	}
	if response.StatusCode >= http.StatusBadRequest {
		defer response.Body.Close()
		return nil, readProblem(response)
	}
	return response, nil
}

// receive sends the call and reads its JSON answer into v, which may be nil.
func (c *Client) receive(ctx context.Context, call call, v any) error {
	response, err := c.send(ctx, call)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if v == nil {
		return nil
	}
	if err := json.NewDecoder(response.Body).Decode(v); err != nil {
		return fmt.Errorf("%s %s: read the answer: %w", call.method, call.path, err)
	}
	return nil
}

// get reads the JSON at path into v.
func (c *Client) get(ctx context.Context, path string, query url.Values, v any) error {
	return c.receive(ctx, call{method: http.MethodGet, path: path, query: query}, v)
}

// jsonBody returns v as a body.
func jsonBody(v any) (func() (io.ReadCloser, int64, error), error) {
	text, err := json.Marshal(v)
	if err != nil {
		return nil, err
	}
	return func() (io.ReadCloser, int64, error) {
		return io.NopCloser(bytes.NewReader(text)), int64(len(text)), nil
	}, nil
}
