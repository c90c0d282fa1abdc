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

// Client calls one server. It is safe for concurrent use.
//
// A call is sent again if the server asks to try later (status 429 or 503 with Retry-After), and if
// the connection breaks and the server has answered this client before. A call waits for a busy
// server for up to a minute, [Client.UploadFile] for up to 15 minutes. [Client.Upload] is never
// sent again, because its body cannot be read twice.
type Client struct {
	baseURL    string
	apiKey     string
	http       *http.Client
	serverSeen atomic.Bool // the server has answered at least once

	// OnWait, if not nil, is called before a call waits to be sent again because the server asked
	// for it. why is the server's answer. Set OnWait before the first call.
	OnWait func(why error, wait time.Duration)
}

// New returns a client of the server at baseURL, such as http://127.0.0.1:8080. key is the API key;
// it is empty if the server requires none. httpClient may be nil. It should have no timeout,
// because the duration of uploads and waits is not limited.
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
	maxRetryTime time.Duration // how long to retry while the server is busy; 0 for a minute

	// body opens the body for each attempt and returns its length, -1 for unknown. nil for no body.
	body func() (io.ReadCloser, int64, error)
}

// expectContinueBytes is the size of a body from which the server is asked before the body is sent,
// so that a body that the server refuses is not sent.
const expectContinueBytes = 1 << 20

// send sends the call and passes the answer to read. It retries if the call allows that and a retry
// may help. The error is a *Problem if the answer is not a success.
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

// sendJSON sends the call and decodes the JSON answer into v. If v is nil, it ignores the answer.
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

// getJSON decodes the JSON at path into v.
func (c *Client) getJSON(ctx context.Context, path string, query url.Values, v any) error {
	return c.sendJSON(ctx, call{method: http.MethodGet, path: path, query: query}, v)
}

// jsonBody returns v as the body of a call.
func jsonBody(v any) (func() (io.ReadCloser, int64, error), error) {
	text, err := json.Marshal(v)
	if err != nil {
		return nil, err
	}
	return func() (io.ReadCloser, int64, error) {
		return io.NopCloser(bytes.NewReader(text)), int64(len(text)), nil
	}, nil
}
