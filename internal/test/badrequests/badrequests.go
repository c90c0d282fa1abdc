// Package badrequests generates requests that a server must refuse, from the server's own OpenAPI
// description, and checks that the server refuses them as the contract says: with a 4xx status and
// a problem body. Every request has at least one flaw that makes it invalid regardless of its other
// parts, so none of them may change anything.
package badrequests

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"

	"golang.org/x/sync/errgroup"
)

// Config says what to send and where.
type Config struct {
	BaseURL  string // such as http://127.0.0.1:8080
	Key      string // the API key; empty if the server requires none
	Seed     uint64 // the same seed generates the same requests
	Requests int
}

// Parallel is the maximum number of open connections.
const Parallel = 8

// Run sends the requests. It returns one error for each invalid answer, and an error if it could
// not run.
func Run(ctx context.Context, config Config) ([]error, error) {
	base, err := url.Parse(config.BaseURL)
	if err != nil {
		return nil, err
	}
	description, err := fetch(ctx, config.BaseURL+"/openapi.json")
	if err != nil {
		return nil, err
	}
	generator, err := newGenerator(config.Seed, description, config.Key)
	if err != nil {
		return nil, err
	}
	findings := make([]error, config.Requests)
	var group errgroup.Group
	group.SetLimit(Parallel)
	for i := range findings {
		request := generator.next()
		group.Go(func() error {
			if err := send(ctx, base.Host, request); err != nil {
				findings[i] = fmt.Errorf("seed %d, request %d, %w\n%s", config.Seed, i, err, request)
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	var wrong []error
	for _, err := range findings {
		if err != nil {
			wrong = append(wrong, err)
		}
	}
	return wrong, ctx.Err()
}

func fetch(ctx context.Context, target string) ([]byte, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, target, nil)
	if err != nil {
		return nil, err
	}
	request.Close = true // so that no connection stays open after Run
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s answered %s", target, response.Status)
	}
	return io.ReadAll(response.Body)
}
