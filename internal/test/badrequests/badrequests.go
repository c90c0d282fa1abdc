// Package badrequests makes requests that a server must refuse, out of the
// server's own description of its contract, and checks that it refuses them as
// the contract says: by a problem of the 4xx. Every request has at least one
// flaw that makes it wrong whatever else is in it, so none may change anything.
package badrequests

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"

	"golang.org/x/sync/errgroup"
)

// Config says what to send where.
type Config struct {
	BaseURL  string // such as http://127.0.0.1:8080
	Key      string // the API key; empty where the server asks for none
	Seed     uint64 // the same seed makes the same requests
	Requests int
}

// Parallel is how many connections are open at a time, at the most.
const Parallel = 8

// Run sends the requests and returns what is wrong with the answers, an error
// for each that is not as it should be.
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
	request.Close = true // nothing stays open when Run has returned
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
