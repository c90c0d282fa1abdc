package webhooks

import (
	"context"

	"github.com/google/uuid"

	"github.com/seed-7a112592/gristmill/internal/fault"
	"github.com/seed-7a112592/gristmill/pkg/document"
)

// ServiceStore keeps webhooks; see storetest.Outbox for the contract.
type ServiceStore interface {
	AddWebhook(ctx context.Context, webhook document.Webhook) (document.Webhook, error)
}

// URLChecker knows where deliveries can go. Check returns fault.BadRequest for
// a URL that nothing would ever be delivered to.
type URLChecker interface {
	CheckURL(url string) error
}

// Service adds webhooks.
type Service struct {
	Store ServiceStore
	URLs  URLChecker
}

// AddWebhook adds a webhook and returns it with its secret. fault.BadRequest
// says what is wrong with the request, fault.Conflict that there are too many.
func (r *Service) AddWebhook(ctx context.Context, request document.WebhookRequest) (document.Webhook, error) {
	if err := r.URLs.CheckURL(request.URL); err != nil {
		return document.Webhook{}, err
	}
	secret := document.NewWebhookSecret()
	if request.Secret != "" {
		if err := secret.UnmarshalText([]byte(request.Secret)); err != nil {
			return document.Webhook{}, fault.Wrap(fault.BadRequest, err, "secret: %v; or leave it out for a random one", err)
		}
	}
	id, err := uuid.NewV7()
	if err != nil {
		return document.Webhook{}, err
	}
	return r.Store.AddWebhook(ctx, document.Webhook{ID: id, URL: request.URL, Secret: secret})
}
