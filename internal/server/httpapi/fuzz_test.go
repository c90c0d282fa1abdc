package httpapi_test

import (
	"context"
	"io"
	"log/slog"
	"net/http/httptest"
	"testing"

	"github.com/seed-7a112592/gristmill/internal/fault"
	"github.com/seed-7a112592/gristmill/internal/test/badrequests"
	"github.com/seed-7a112592/gristmill/pkg/document"
)

// rejectingSteps replaces the steps that check documents and webhooks, and rejects all of them.
type rejectingSteps struct{}

func (rejectingSteps) Upload(_ context.Context, _ document.UploadRequest, body io.Reader) (document.Accepted, error) {
	if _, err := io.Copy(io.Discard, body); err != nil {
		return document.Accepted{}, err
	}
	return document.Accepted{}, fault.New(fault.EmptyDocument, "the document is empty")
}

func (rejectingSteps) AddWebhook(context.Context, document.WebhookRequest) (document.Webhook, error) {
	return document.Webhook{}, fault.New(fault.BadRequest, "url: not a valid receiver")
}

// The response to every invalid request, on every route, is a problem with a 4xx status.
func TestBadRequestsAreRefused(t *testing.T) {
	t.Parallel()
	for _, key := range []string{"", "right"} {
		f := newFake()
		config := configOf(t, f)
		config.APIKey = key
		config.Log = slog.New(slog.DiscardHandler)
		config.Uploader, config.WebhookAdder = rejectingSteps{}, rejectingSteps{}
		server := httptest.NewServer(newHandler(t, config))
		wrong, err := badrequests.Run(t.Context(), badrequests.Config{BaseURL: server.URL, Key: key, Seed: 1, Requests: 1000})
		server.Close() // waits for all requests
		if err != nil {
			t.Fatal(err)
		}
		for _, err := range wrong {
			t.Error(err)
		}
		if len(f.searches) > 0 || len(f.beginRequests) > 0 || len(f.estimateRequests) > 0 || f.watching != 0 {
			t.Errorf("invalid requests reached the steps: %d searches, %d reindexes, %d estimates; %d watches are left", len(f.searches), len(f.beginRequests), len(f.estimateRequests), f.watching)
		}
	}
}
