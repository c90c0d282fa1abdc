package webhooks_test

import (
	"context"
	"encoding/base64"
	"errors"
	"strings"
	"testing"

	"github.com/seed-7a112592/gristmill/internal/fault"
	"github.com/seed-7a112592/gristmill/internal/pipeline/webhooks"
	"github.com/seed-7a112592/gristmill/pkg/document"
)

// fakeRegistry is a store of webhooks, and a checker that accepts https URLs only.
type fakeRegistry struct{ added []document.Webhook }

func (r *fakeRegistry) AddWebhook(_ context.Context, webhook document.Webhook) (document.Webhook, error) {
	r.added = append(r.added, webhook)
	return webhook, nil
}

func (r *fakeRegistry) CheckURL(url string) error {
	if !strings.HasPrefix(url, "https://") {
		return fault.New(fault.BadRequest, "url: %q", url)
	}
	return nil
}

func TestAddWebhook(t *testing.T) {
	t.Parallel()
	r := &fakeRegistry{}
	service, err := webhooks.NewService(webhooks.ServiceConfig{Store: r, URLs: r})
	if err != nil {
		t.Fatal(err)
	}
	one, err := service.AddWebhook(t.Context(), document.WebhookRequest{URL: "https://a.example"})
	two, err2 := service.AddWebhook(t.Context(), document.WebhookRequest{URL: "https://a.example"})
	if err := errors.Join(err, err2); err != nil {
		t.Fatal(err)
	}
	if one.ID == two.ID || one.ID.Version() != 7 || len(one.Secret) != 32 || string(one.Secret) == string(two.Secret) || one.URL != "https://a.example" {
		t.Errorf("got %+v and %+v, want different ids and secrets", one, two)
	}
	given := "whsec_" + base64.StdEncoding.EncodeToString([]byte("a secret of 24 bytes ..."))
	three, err := service.AddWebhook(t.Context(), document.WebhookRequest{URL: "https://a.example", Secret: given})
	if err != nil || string(three.Secret) != "a secret of 24 bytes ..." {
		t.Errorf("got %+v, %v; want the given secret", three, err)
	}
	for _, bad := range []document.WebhookRequest{
		{URL: "http://a.example"}, {URL: ""}, {URL: "https://a.example", Secret: "hunter2"}, {URL: "https://a.example", Secret: given + "x"},
	} {
		if _, err := service.AddWebhook(t.Context(), bad); !fault.Is(err, fault.BadRequest) || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%+v: got %v, want a bad request that does not show the secret", bad, err)
		}
	}
	if len(r.added) != 3 {
		t.Errorf("added %d webhooks, want 3", len(r.added))
	}
}
