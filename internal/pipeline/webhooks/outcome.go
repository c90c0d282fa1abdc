package webhooks

import (
	"math/rand/v2"
	"time"

	"github.com/seed-7a112592/gristmill/internal/fault"
	"github.com/seed-7a112592/gristmill/internal/task"
	"github.com/seed-7a112592/gristmill/pkg/document"
)

const (
	firstBackoff = 5 * time.Second
	maxBackoff   = time.Hour

	// maxRetryAge is the maximum time between an event and the last attempt to deliver it.
	maxRetryAge = 24 * time.Hour
)

// DecideOutcome decides how a delivery goes on after an attempt with the given status and error. An
// attempt that was cut off because the process stops says nothing about the receiver: the delivery
// is due again immediately.
func DecideOutcome(delivery task.Delivery, status int, err error, stopping bool) task.DeliveryOutcome {
	outcome := task.DeliveryOutcome{Status: status}
	age := time.Since(delivery.CreatedAt)
	switch delay := backoff(age); {
	case err == nil:
		outcome.State = document.DeliveryDelivered
	case stopping:
		outcome.State = document.DeliveryPending
	case age+delay > maxRetryAge:
		outcome.State, outcome.Error = document.DeliveryFailed, fault.Describe(err)
	default:
		outcome.State, outcome.Error, outcome.Delay = document.DeliveryPending, fault.Describe(err), delay
	}
	return outcome
}

// backoff returns a random delay between seconds and an hour, at most about the age of the event. So
// delays grow exponentially, with full jitter, and a receiver that was down for some time gets what
// it missed within about the same time after it is back. Counting attempts instead would make a
// delay long after a few short ones in a row.
func backoff(age time.Duration) time.Duration {
	return time.Second + rand.N(min(max(age, firstBackoff), maxBackoff))
}
