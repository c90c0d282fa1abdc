package httpapi_test

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/seed-7a112592/gristmill/internal/fault"
	"github.com/seed-7a112592/gristmill/pkg/document"
)

func (f *fake) AddWebhook(ctx context.Context, request document.WebhookRequest) (document.Webhook, error) {
	unlock, err := f.lockAndCheck(ctx)
	if err != nil {
		return document.Webhook{}, err
	}
	defer unlock()
	webhook := document.Webhook{ID: uuid.Must(uuid.NewV7()), URL: request.URL, Secret: document.NewWebhookSecret(), CreatedAt: time.Now().UTC()}
	switch {
	case !strings.HasPrefix(request.URL, "https://"):
		return document.Webhook{}, fault.New(fault.BadRequest, "url: %q", request.URL)
	case request.Secret != "" && webhook.Secret.UnmarshalText([]byte(request.Secret)) != nil:
		return document.Webhook{}, fault.New(fault.BadRequest, "secret: invalid form")
	case len(f.webhooks) == document.MaxWebhooks:
		return document.Webhook{}, fault.New(fault.Conflict, "there are %d webhooks", len(f.webhooks))
	}
	f.webhooks = append(f.webhooks, webhook)
	return webhook, nil
}

func (f *fake) Webhooks(ctx context.Context, page document.Page) (document.List[document.Webhook], error) {
	unlock, err := f.lockAndCheck(ctx)
	if err != nil {
		return document.List[document.Webhook]{}, err
	}
	defer unlock()
	if page.Cursor != "" {
		return document.List[document.Webhook]{}, fault.New(fault.BadRequest, "invalid cursor %q", page.Cursor)
	}
	var list document.List[document.Webhook]
	for _, webhook := range f.webhooks[:min(page.Limit, len(f.webhooks))] {
		webhook.Secret = nil
		list.Items = append(list.Items, webhook)
	}
	return list, nil
}

func (f *fake) DeleteWebhook(ctx context.Context, id uuid.UUID) error {
	unlock, err := f.lockAndCheck(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	before := len(f.webhooks)
	f.webhooks = slices.DeleteFunc(f.webhooks, func(w document.Webhook) bool { return w.ID == id })
	if len(f.webhooks) == before {
		return fault.New(fault.NotFound, "no webhook %s", id)
	}
	return nil
}

func (f *fake) Deliveries(ctx context.Context, webhook uuid.UUID, page document.Page) (document.List[document.Delivery], error) {
	unlock, err := f.lockAndCheck(ctx)
	if err != nil {
		return document.List[document.Delivery]{}, err
	}
	defer unlock()
	if page.Cursor != "" {
		return document.List[document.Delivery]{}, fault.New(fault.BadRequest, "invalid cursor %q", page.Cursor)
	}
	if !slices.ContainsFunc(f.webhooks, func(w document.Webhook) bool { return w.ID == webhook }) {
		return document.List[document.Delivery]{}, fault.New(fault.NotFound, "no webhook %s", webhook)
	}
	return document.List[document.Delivery]{Items: []document.Delivery{
		{ID: uuid.Max, WebhookID: webhook, Event: "job.failed", State: document.DeliveryPending, Attempts: 2, Status: 503, Error: "busy"},
	}}, nil
}

// Only the response to the creation has the secret.
func TestWebhooks(t *testing.T) {
	t.Parallel()
	h := newHandler(t, configOf(t, newFake()))
	if w := do(h, "GET", "/v1/webhooks", "", ""); w.Code != http.StatusOK || strings.TrimSpace(w.Body.String()) != `{"items":[]}` {
		t.Errorf("without webhooks: got %d %s", w.Code, w.Body)
	}
	w := do(h, "POST", "/v1/webhooks", "application/json", `{"url":"https://a.example/hook"}`)
	added := decode[map[string]string](t, w)
	if w.Code != http.StatusCreated || added["url"] != "https://a.example/hook" || !strings.HasPrefix(added["secret"], "whsec_") || added["created_at"] == "" {
		t.Errorf("add: got %d %s", w.Code, w.Body)
	}
	const given = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
	w = do(h, "POST", "/v1/webhooks", "application/json", `{"url":"https://b.example","secret":"`+given+`"}`)
	if got := decode[map[string]string](t, w)["secret"]; w.Code != http.StatusCreated || got != given {
		t.Errorf("add with a secret: got %d %s", w.Code, w.Body)
	}
	w = do(h, "GET", "/v1/webhooks", "", "")
	if list := decode[document.List[document.Webhook]](t, w); w.Code != http.StatusOK || len(list.Items) != 2 || strings.Contains(w.Body.String(), "secret") {
		t.Errorf("list: got %d %s", w.Code, w.Body)
	}

	w = do(h, "GET", "/v1/webhooks/"+added["id"]+"/deliveries?limit=5", "", "")
	list := decode[document.List[document.Delivery]](t, w)
	if w.Code != http.StatusOK || len(list.Items) != 1 || list.Items[0].WebhookID.String() != added["id"] || list.Items[0].Status != 503 {
		t.Errorf("deliveries: got %d %s", w.Code, w.Body)
	}

	if w := do(h, "DELETE", "/v1/webhooks/"+added["id"], "", ""); w.Code != http.StatusNoContent || w.Body.Len() != 0 {
		t.Errorf("delete: got %d %s", w.Code, w.Body)
	}
	wantProblem(t, do(h, "DELETE", "/v1/webhooks/"+added["id"], "", ""), 404, "not_found", added["id"])
	wantProblem(t, do(h, "GET", "/v1/webhooks/"+added["id"]+"/deliveries", "", ""), 404, "not_found", added["id"])
}

func TestInvalidWebhooks(t *testing.T) {
	t.Parallel()
	f := newFake()
	h := newHandler(t, configOf(t, f))
	for body, detail := range map[string]string{
		``:                                  "body",
		`{}`:                                "url",
		`{"url":""}`:                        "url",
		`{"url":7}`:                         "url",
		`{"url":"ftp://a.example"}`:         "url",
		`{"url":"https://a.example\u0000"}`: "NUL",
		`{"url":"https://a.example","secret":"hunter2"}`:      "secret",
		`{"url":"https://a.example","events":["job.failed"]}`: "events",
	} {
		w := do(h, "POST", "/v1/webhooks", "application/json", body)
		wantProblem(t, w, 400, "bad_request", detail)
		if strings.Contains(w.Body.String(), "hunter2") {
			t.Errorf("%s: the response shows the secret: %s", body, w.Body)
		}
	}
	for _, target := range []string{"/v1/webhooks?limit=0", "/v1/webhooks?cursor=x", "/v1/webhooks?color=red", "/v1/webhooks/x/deliveries", "/v1/webhooks/" + uuid.NewString() + "/deliveries?limit=x"} {
		wantProblem(t, do(h, "GET", target, "", ""), 400, "bad_request", "")
	}
	for len(f.webhooks) < document.MaxWebhooks {
		f.webhooks = append(f.webhooks, document.Webhook{ID: uuid.New()})
	}
	wantProblem(t, do(h, "POST", "/v1/webhooks", "application/json", `{"url":"https://a.example"}`), 409, "conflict", "10 webhooks")
	f.failure = fault.New(fault.Unavailable, "the database is down")
	for _, request := range []string{"POST /v1/webhooks", "GET /v1/webhooks", "DELETE /v1/webhooks/" + uuid.NewString(), "GET /v1/webhooks/" + uuid.NewString() + "/deliveries"} {
		method, target, _ := strings.Cut(request, " ")
		body := ""
		if method == "POST" {
			body = `{"url":"https://a.example"}`
		}
		wantProblem(t, do(h, method, target, "application/json", body), 503, "unavailable", "down")
	}
}

// The contract describes the events, so that receivers can be generated from it.
func TestOpenAPIDescribesEvents(t *testing.T) {
	t.Parallel()
	description := decode[map[string]any](t, do(newHandler(t, configOf(t, newFake())), "GET", "/openapi.json", "", ""))
	var at any = description
	for _, step := range []string{"webhooks", "job-ended", "post", "requestBody", "content", "application/json", "schema", "$ref"} {
		m, _ := at.(map[string]any)
		at = m[step]
	}
	name, _ := at.(string)
	schema, _ := description["components"].(map[string]any)["schemas"].(map[string]any)[strings.TrimPrefix(name, "#/components/schemas/")].(map[string]any)
	properties, _ := schema["properties"].(map[string]any)
	for _, want := range []string{"id", "type", "created_at", "job"} {
		if properties[want] == nil {
			t.Errorf("the event %q has no %s: %v", name, want, properties)
		}
	}
}
