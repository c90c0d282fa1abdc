package document

import (
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"
)

// MaxWebhooks is how many webhooks a tenant may have: each of its jobs makes a
// delivery for every one.
const MaxWebhooks = 10

// Webhook is an address that is told when a job has ended. Secret is shown
// only in the answer to its creation.
type Webhook struct {
	ID        uuid.UUID     `json:"id"`
	URL       string        `json:"url"`
	Secret    WebhookSecret `json:"secret,omitempty"`
	CreatedAt time.Time     `json:"created_at"`
}

// WebhookRequest is a webhook as the client asked for it. Nothing in it has
// been checked yet.
type WebhookRequest struct {
	URL    string
	Secret string // empty for one to be made
}

// WebhookSecret is the key that a webhook's deliveries are signed with. Its text is
// that of the Standard Webhooks: whsec_ and the key in base64.
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

// UnmarshalText implements encoding.TextUnmarshaler. The error does not show
// the text.
func (s *WebhookSecret) UnmarshalText(text []byte) error {
	encoded, ours := strings.CutPrefix(string(text), secretPrefix)
	key, err := base64.StdEncoding.Strict().DecodeString(encoded)
	if !ours || err != nil || len(key) < minSecretBytes || len(key) > maxSecretBytes {
		return fmt.Errorf("want %s and the base64 of %d to %d bytes", secretPrefix, minSecretBytes, maxSecretBytes)
	}
	*s = key
	return nil
}

// Event is what a webhook is told: the body of a delivery. ID is the
// delivery's, the same however often it is sent.
type Event struct {
	ID        uuid.UUID `json:"id"`
	Type      string    `json:"type"` // job.succeeded, job.failed or job.cancelled
	CreatedAt time.Time `json:"created_at"`
	Job       EndedJob  `json:"job"`
}

// EndedJob is what an event says of its job.
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

// EventType returns the type of the event that a job ended in the state.
func EventType(state JobState) string { return "job." + string(state) }

// DeliveryState is where a delivery stands.
type DeliveryState string

const (
	DeliveryPending   DeliveryState = "pending"   // to be sent at NextAttemptAt
	DeliveryDelivered DeliveryState = "delivered" // the receiver answered with 2xx
	DeliveryFailed    DeliveryState = "failed"    // given up; Error says why
)

// Delivery is one event for one webhook.
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
