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

	// maxRetryAge is for how long after its event a delivery is tried again.
	maxRetryAge = 24 * time.Hour
)

// DecideOutcome says what becomes of a delivery from the error of an attempt. An
// attempt that was cut off because the process stops says nothing about the
// receiver: the delivery is due again at once.
func DecideOutcome(delivery task.Delivery, status int, err error, stopping bool) task.DeliveryOutcome {
	outcome := task.DeliveryOutcome{Status: status}
	age := time.Since(delivery.CreatedAt)
	switch delay := backoff(age); {
	case err == nil:
		outcome.State = document.DeliveryDelivered
	case stopping:
		outcome.State = document.DeliveryPending
	case age+delay > maxRetryAge:
		outcome.State, outcome.Error = document.DeliveryFailed, publicMessage(err)
	default:
		outcome.State, outcome.Error, outcome.Delay = document.DeliveryPending, publicMessage(err), delay
	}
	return outcome
}

// backoff returns a random delay of at most the event's age, from seconds to an
// hour. So delays grow exponentially, with full jitter, and a receiver that
// comes back after some time has what it missed after as long again: counting
// attempts instead, a few short delays in a row would make the next one long.
func backoff(age time.Duration) time.Duration {
	return time.Second + rand.N(min(max(age, firstBackoff), maxBackoff))
}

// publicMessage returns what the webhook's owner may know of err.
func publicMessage(err error) string {
	if f := fault.As(err); f != nil {
		return f.Detail
	}
	return "internal error; see the worker's log"
}
