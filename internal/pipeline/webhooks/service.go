package webhooks

import (
	"context"

	"github.com/google/uuid"

	"github.com/seed-7a112592/gristmill/internal/fault"
	"github.com/seed-7a112592/gristmill/internal/required"
	"github.com/seed-7a112592/gristmill/pkg/document"
)

// ServiceStore stores webhooks; see storetest.Outbox for the contract.
type ServiceStore interface {
	AddWebhook(ctx context.Context, webhook document.Webhook) (document.Webhook, error)
}

// URLChecker checks URLs of webhooks. CheckURL returns fault.BadRequest for a URL to which nothing
// can be delivered.
type URLChecker interface {
	CheckURL(url string) error
}

// ServiceConfig is what a service needs.
type ServiceConfig struct {
	Store ServiceStore
	URLs  URLChecker
}

// Service registers webhooks.
type Service struct{ ServiceConfig }

// NewService returns a service, or an error that names what config lacks.
func NewService(config ServiceConfig) (*Service, error) {
	if err := required.Fields(config); err != nil {
		return nil, err
	}
	return &Service{config}, nil
}

// AddWebhook registers a webhook and returns it with its secret. It returns fault.BadRequest if the
// request is invalid, and fault.Conflict if the tenant has too many webhooks.
func (s *Service) AddWebhook(ctx context.Context, request document.WebhookRequest) (document.Webhook, error) {
	if err := s.URLs.CheckURL(request.URL); err != nil {
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
	return s.Store.AddWebhook(ctx, document.Webhook{ID: id, URL: request.URL, Secret: secret})
}
