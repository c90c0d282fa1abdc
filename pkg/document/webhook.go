package document

import (
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"
)

// MaxWebhooks is the maximum number of webhooks of a tenant. Each job of the tenant makes one
// delivery for each webhook.
const MaxWebhooks = 10

// Webhook is an address that is notified when a job ends. Secret is set only in the answer to the
// webhook's creation.
type Webhook struct {
	ID        uuid.UUID     `json:"id"`
	URL       string        `json:"url"`
	Secret    WebhookSecret `json:"secret,omitempty"`
	CreatedAt time.Time     `json:"created_at"`
}

// WebhookRequest asks for a webhook. Its fields are not checked yet.
type WebhookRequest struct {
	URL    string
	Secret string // empty for a random one
}

// WebhookSecret is the key that signs the deliveries of a webhook. Its text form follows the
// Standard Webhooks specification: whsec_ and the key in base64.
type WebhookSecret []byte

const (
	secretPrefix                                   = "whsec_"
	minSecretBytes, maxSecretBytes, newSecretBytes = 24, 64, 32 // bytes
)

// NewWebhookSecret returns a random key.
func NewWebhookSecret() WebhookSecret {
	key := make(WebhookSecret, newSecretBytes)
	rand.Read(key)
	return key
}

// MarshalText implements encoding.TextMarshaler.
func (s WebhookSecret) MarshalText() ([]byte, error) {
	return []byte(secretPrefix + base64.StdEncoding.EncodeToString(s)), nil
}

// UnmarshalText implements encoding.TextUnmarshaler. The error does not contain the text, so that
// it may be logged.
func (s *WebhookSecret) UnmarshalText(text []byte) error {
	encoded, hasPrefix := strings.CutPrefix(string(text), secretPrefix)
	key, err := base64.StdEncoding.Strict().DecodeString(encoded)
	if !hasPrefix || err != nil || len(key) < minSecretBytes || len(key) > maxSecretBytes {
		return fmt.Errorf("want %s and the base64 of %d to %d bytes", secretPrefix, minSecretBytes, maxSecretBytes)
	}
	*s = key
	return nil
}

// Event is the body of a delivery to a webhook.
type Event struct {
	ID        uuid.UUID `json:"id"`   // of the delivery; the same each time it is sent
	Type      string    `json:"type"` // job.succeeded, job.failed or job.cancelled
	CreatedAt time.Time `json:"created_at"`
	Job       EndedJob  `json:"job"`
}

// EndedJob is the job of an event.
type EndedJob struct {
	ID         uuid.UUID `json:"id"`
	DocumentID uuid.UUID `json:"document_id"`
	Collection string    `json:"collection"`
	Key        string    `json:"key"`
	Version    int       `json:"version"`
	State      JobState  `json:"state"`
	Error      string    `json:"error,omitempty"`
	CreatedAt  time.Time `json:"created_at"`
	FinishedAt time.Time `json:"finished_at"`
}

// EventType returns the type of the event for a job that ended in a state, such as job.succeeded.
func EventType(state JobState) string { return "job." + string(state) }

// DeliveryState is the state of a delivery.
type DeliveryState string

const (
	DeliveryPending   DeliveryState = "pending"   // will be sent at NextAttemptAt
	DeliveryDelivered DeliveryState = "delivered" // the receiver answered with 2xx
	DeliveryFailed    DeliveryState = "failed"    // given up; Error says why
)

// Delivery is the sending of one event to one webhook.
type Delivery struct {
	ID            uuid.UUID     `json:"id"`
	WebhookID     uuid.UUID     `json:"webhook_id"`
	Event         string        `json:"event"`
	JobID         uuid.UUID     `json:"job_id"`
	DocumentID    uuid.UUID     `json:"document_id"`
	State         DeliveryState `json:"state"`
	Attempts      int           `json:"attempts"`
	Status        int           `json:"status,omitempty"` // HTTP status of the last answer; 0 for none
	Error         string        `json:"error,omitempty"`  // of the last attempt
	NextAttemptAt *time.Time    `json:"next_attempt_at,omitempty"`
	CreatedAt     time.Time     `json:"created_at"`
	EndedAt       *time.Time    `json:"ended_at,omitempty"`
}
