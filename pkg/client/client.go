// Package client talks to a Gristmill server over its HTTP contract, in the
// types of package document.
package client

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"time"
)

// Client calls one server. It is safe for concurrent use. Calls that do no
// harm when they are sent twice, which is all but Upload, are sent again when
// the server asks to come back later, and when they broke off on their way to a
// server that was there before.
type Client struct {
	baseURL    string
	apiKey     string
	http       *http.Client
	serverSeen atomic.Bool // the server has, once

	// OnWait, if not nil, is called before a call waits since the server asked
	// for it, with why and how long. It is set before the first call.
	OnWait func(why error, wait time.Duration)
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
	return &Client{baseURL: strings.TrimSuffix(baseURL, "/"), apiKey: key, http: httpClient}, nil
}

// call is one request of the contract.
type call struct {
	method, path string
	query        url.Values
	contentType  string
	header       http.Header
	noRetry      bool          // must not be sent twice
	maxRetryTime time.Duration // how long to come back to a busy server; a minute if zero

	// body opens the body, anew for each attempt, and says its length; -1 for
	// unknown. nil for none.
	body func() (io.ReadCloser, int64, error)
}

// expectContinueBytes is the size from which the server is asked before a body is
// sent, so that what it refuses is not sent in vain.
const expectContinueBytes = 1 << 20

// send sends the call and has read read the answer; again, if the call allows
// it and that may help. An answer that is not a success is a *Problem.
func (c *Client) send(ctx context.Context, call call, read func(*http.Response) error) error {
	attempt := func() error {
		response, err := c.sendOnce(ctx, call)
		if err != nil {
			return err
		}
		return read(response)
	}
	if call.noRetry {
		return attempt()
	}
	return c.retryPolicy(call.maxRetryTime).WithContext(ctx).Run(attempt)
}

func (c *Client) sendOnce(ctx context.Context, call call) (*http.Response, error) {
	target := c.baseURL + call.path
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
	if c.apiKey != "" {
		request.Header.Set("Authorization", "Bearer "+c.apiKey)
	}
	if call.body != nil {
		request.Body, request.ContentLength, err = call.body()
		if err != nil {
			return nil, err
		}
	}
	if request.ContentLength < 0 || request.ContentLength >= expectContinueBytes {
		request.Header.Set("Expect", "100-continue")
	}
	response, err := c.http.Do(request)
	if err != nil {
		return nil, err
	}
	c.serverSeen.Store(true)
	if response.StatusCode >= http.StatusBadRequest {
		defer response.Body.Close()
		return nil, readProblem(response)
	}
	return response, nil
}

// sendJSON sends the call and reads its JSON answer into v, which may be nil.
func (c *Client) sendJSON(ctx context.Context, call call, v any) error {
	return c.send(ctx, call, func(response *http.Response) error {
		defer response.Body.Close()
		if v == nil {
			return nil
		}
		if err := json.NewDecoder(response.Body).Decode(v); err != nil {
			return fmt.Errorf("%s %s: read the answer: %w", call.method, call.path, err)
		}
		return nil
	})
}

// getJSON reads the JSON at path into v.
func (c *Client) getJSON(ctx context.Context, path string, query url.Values, v any) error {
	return c.sendJSON(ctx, call{method: http.MethodGet, path: path, query: query}, v)
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
