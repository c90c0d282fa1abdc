package httpapi

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"
	"github.com/google/uuid"

	"github.com/seed-7a112592/gristmill/pkg/document"
)

// WebhookAdder adds webhooks. AddWebhook returns fault.BadRequest for an invalid webhook, and
// fault.Conflict if the tenant has too many webhooks.
type WebhookAdder interface {
	AddWebhook(ctx context.Context, request document.WebhookRequest) (document.Webhook, error)
}

// Webhooks reads and deletes the tenant's webhooks. Methods return fault.NotFound for a missing
// webhook, and fault.BadRequest for an invalid cursor.
type Webhooks interface {
	Webhooks(ctx context.Context, page document.Page) (document.List[document.Webhook], error)
	DeleteWebhook(ctx context.Context, id uuid.UUID) error
	Deliveries(ctx context.Context, webhook uuid.UUID, page document.Page) (document.List[document.Delivery], error)
}

// WebhookBody is the body of a request that adds a webhook.
type WebhookBody struct {
	URL    string `json:"url" minLength:"1" doc:"Absolute http or https URL to which events are sent. The address must be public, unless the configuration allows its network." example:"https://example.com/hook"`
	Secret string `json:"secret,omitempty" doc:"Key of the signatures: whsec_ and the base64 of 24 to 64 bytes. If left out, a random one."`
}

// WebhookPath has the id of a webhook.
type WebhookPath struct {
	ID uuid.UUID `path:"id" format:"uuid" doc:"The webhook's id."`
}

type webhooksInput struct{ PageParams }

type deliveriesInput struct {
	WebhookPath
	PageParams
}

func (s *server) routeWebhooks() {
	register(s, huma.Operation{
		OperationID:   "add-webhook",
		Method:        http.MethodPost,
		Path:          "/v1/webhooks",
		Summary:       "Add a webhook, which is notified when a job has ended",
		Description:   "Only this response has the secret.",
		DefaultStatus: http.StatusCreated,
	}, func(ctx context.Context, in *struct{ Body WebhookBody }) (*output[document.Webhook], error) {
		return itemOutput(s.WebhookAdder.AddWebhook(ctx, document.WebhookRequest{URL: in.Body.URL, Secret: in.Body.Secret}))
	})
	register(s, huma.Operation{
		OperationID: "list-webhooks",
		Method:      http.MethodGet,
		Path:        "/v1/webhooks",
		Summary:     "List webhooks, newest first, without their secrets",
	}, func(ctx context.Context, in *webhooksInput) (*output[document.List[document.Webhook]], error) {
		return listOutput(s.Webhooks.Webhooks(ctx, in.page()))
	})
	register(s, huma.Operation{
		OperationID:   "delete-webhook",
		Method:        http.MethodDelete,
		Path:          "/v1/webhooks/{id}",
		Summary:       "Delete a webhook with its deliveries",
		DefaultStatus: http.StatusNoContent,
	}, func(ctx context.Context, in *WebhookPath) (*struct{}, error) {
		return nil, s.Webhooks.DeleteWebhook(ctx, in.ID)
	})
	register(s, huma.Operation{
		OperationID: "list-deliveries",
		Method:      http.MethodGet,
		Path:        "/v1/webhooks/{id}/deliveries",
		Summary:     "List the deliveries of a webhook, newest first",
		Description: "Deliveries are kept for a week after their end.",
	}, func(ctx context.Context, in *deliveriesInput) (*output[document.List[document.Delivery]], error) {
		return listOutput(s.Webhooks.Deliveries(ctx, in.ID, in.page()))
	})
	s.describeEvent()
}

// describeEvent describes the requests that webhooks receive.
func (s *server) describeEvent() {
	text := &huma.Schema{Type: huma.TypeString}
	s.api.OpenAPI().Webhooks = map[string]*huma.PathItem{"job-ended": {Post: &huma.Operation{
		OperationID: "receive-event",
		Summary:     "A job has ended",
		Description: "Sent at least once, in any order. docs/webhooks.md says how to verify the signature.",
		Parameters: []*huma.Param{
			{Name: "webhook-id", In: "header", Required: true, Schema: text, Description: "The id of the delivery, the same for every attempt."},
			{Name: "webhook-timestamp", In: "header", Required: true, Schema: text, Description: "The time of the attempt, in seconds since 1970-01-01 UTC."},
			{Name: "webhook-signature", In: "header", Required: true, Schema: text, Description: "v1, a comma, and the base64 of HMAC-SHA256 over id.timestamp.body."},
		},
		RequestBody: &huma.RequestBody{Required: true, Content: jsonContent[document.Event](s)},
		Responses: map[string]*huma.Response{
			"2XX":     {Description: "Delivered"},
			"default": {Description: "Not delivered; sent again, with back-off, until 24 hours after the event"},
		},
	}}}
}
