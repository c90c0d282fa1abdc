package client_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"time"

	"github.com/seed-7a112592/gristmill/pkg/client"
	"github.com/seed-7a112592/gristmill/pkg/document"
)

// newExampleServer returns a server with fixed answers to the requests of the examples.
func newExampleServer() *httptest.Server {
	mux := http.NewServeMux()
	for pattern, answer := range map[string]string{
		"PUT /v1/documents": `{"document":{"key":"stones.md"},"job":{"id":"0199c7a4-0000-7000-8000-000000000002","state":"queued"}}`,
		"GET /v1/jobs/{id}": `{"state":"succeeded"}`,
		"GET /v1/jobs":      `{"items":[{"version":1,"state":"failed","error":"not UTF-8"},{"version":2,"state":"failed","error":"empty"}]}`,
		"POST /v1/search":   `{"hits":[{"key":"stones.md","start":10,"end":33,"content":"Dress them each spring."}]}`,
	} {
		mux.HandleFunc(pattern, func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, answer)
		})
	}
	mux.HandleFunc("GET /v1/documents/{id}", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/problem+json")
		w.WriteHeader(http.StatusNotFound)
		_, _ = io.WriteString(w, `{"code":"not_found","detail":"there is no such document"}`)
	})
	return httptest.NewServer(mux)
}

// Upload a document, wait until it can be searched, and search for it.
func Example() {
	server := newExampleServer() // instead of a real server
	defer server.Close()
	ctx := context.Background()

	c, err := client.New(server.URL, "an API key", nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	accepted, err := c.Upload(ctx, document.UploadRequest{Key: "stones.md", MediaType: "text/markdown"},
		strings.NewReader("# Stones\n\nDress them each spring.\n"))
	if err != nil {
		fmt.Println(err)
		return
	}
	job, err := c.AwaitJob(ctx, accepted.Job.ID, time.Second, nil)
	if err != nil || job.State != document.JobSucceeded {
		fmt.Println(job.State, job.Error, err)
		return
	}
	result, err := c.Search(ctx, document.SearchRequest{Query: "when are stones dressed?", Limit: 1})
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, hit := range result.Hits {
		fmt.Printf("%s, bytes %d to %d: %s\n", hit.Key, hit.Start, hit.End, hit.Content)
	}
	// Output: stones.md, bytes 10 to 33: Dress them each spring.
}

// AllJobs requests as many pages as necessary.
func ExampleClient_AllJobs() {
	server := newExampleServer()
	defer server.Close()
	c, err := client.New(server.URL, "", nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	for job, err := range c.AllJobs(context.Background(), document.JobFilter{State: document.JobFailed}) {
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Printf("version %d: %s\n", job.Version, job.Error)
	}
	// Output:
	// version 1: not UTF-8
	// version 2: empty
}

// A request that the server refuses fails with a Problem. Its code is stable.
func ExampleProblem() {
	server := newExampleServer()
	defer server.Close()
	c, err := client.New(server.URL, "", nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	_, err = c.Document(context.Background(), docID)
	if problem, ok := errors.AsType[*client.Problem](err); ok {
		fmt.Println(problem.Status, problem.Code)
	}
	// Output: 404 not_found
}
