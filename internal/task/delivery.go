package task

import (
	"time"

	"github.com/seed-7a112592/gristmill/pkg/document"
)

// Delivery is a claimed delivery, with all that is needed to send it. Its attempt count, which
// includes the attempt that begins, fences writes about the delivery.
type Delivery struct {
	document.Delivery
	URL    string
	Secret document.WebhookSecret
	Body   []byte
}

// DeliveryOutcome is the outcome of one attempt at a delivery.
type DeliveryOutcome struct {
	State  document.DeliveryState // DeliveryPending to try again
	Status int                    // HTTP status of the response; 0 if there was none
	Error  string                 // for users; empty when delivered
	Delay  time.Duration          // until the next attempt; 0 if there is none
}
