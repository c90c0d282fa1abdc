package notify

import (
	"context"

	"github.com/google/uuid"

	"github.com/seed-7a112592/gristmill/pkg/document"
	"github.com/seed-7a112592/gristmill/pkg/fault"
)

// Webhooks keeps webhooks; see storetest.Outbox for the contract.
type Webhooks interface {
	AddWebhook(ctx context.Context, webhook document.Webhook) (document.Webhook, error)
}

// Addresses knows where deliveries can go. Check returns fault.BadRequest for
// a URL that nothing would ever be delivered to.
type Addresses interface {
	Check(url string) error
}

// Registrar adds webhooks.
type Registrar struct {
	Webhooks  Webhooks
	Addresses Addresses
}

// AddWebhook adds a webhook and returns it with its secret. fault.BadRequest
// says what is wrong with the request, fault.Conflict that there are too many.
func (r *Registrar) AddWebhook(ctx context.Context, request document.WebhookRequest) (document.Webhook, error) {
	if err := r.Addresses.Check(request.URL); err != nil {
		return document.Webhook{}, err
	}
	secret := document.NewSecret()
	if request.Secret != "" {
		if err := secret.UnmarshalText([]byte(request.Secret)); err != nil {
			return document.Webhook{}, fault.Wrap(fault.BadRequest, err, "secret: %v; or leave it out for a random one", err)
		}
	}
	id, err := uuid.NewV7()
	if err != nil {
		return document.Webhook{}, err
	}
	return r.Webhooks.AddWebhook(ctx, document.Webhook{ID: id, URL: request.URL, Secret: secret})
}
