package task

import (
	"time"

	"github.com/seed-7a112592/gristmill/pkg/document"
)

// Delivery is a delivery that was taken to be sent, with what that needs. Its
// attempts, the one that begins included, fence what is written about it.
type Delivery struct {
	document.Delivery
	URL    string
	Secret document.WebhookSecret
	Body   []byte
}

// DeliveryOutcome is what became of an attempt at a delivery.
type DeliveryOutcome struct {
	State  document.DeliveryState // DeliveryPending to try again
	Status int                    // of the answer; 0 for none
	Error  string                 // for people; empty when delivered
	Delay  time.Duration          // until the next attempt, if there is to be one
}
