package notify

import (
	"math/rand/v2"
	"time"

	"github.com/seed-7a112592/gristmill/pkg/document"
	"github.com/seed-7a112592/gristmill/pkg/fault"
)

const (
	firstBackoff = 5 * time.Second
	maxBackoff   = time.Hour

	// keepTrying is for how long after its event a delivery is tried again.
	keepTrying = 24 * time.Hour
)

// Decide says what becomes of a delivery from the error of an attempt. An
// attempt that was cut off because the process stops says nothing about the
// receiver: the delivery is due again at once.
func Decide(delivery document.Outgoing, status int, err error, stopping bool) document.DeliveryOutcome {
	outcome := document.DeliveryOutcome{Status: status}
	switch delay := backoff(delivery.Attempts); {
	case err == nil:
		outcome.State = document.DeliveryDelivered
	case stopping:
		outcome.State = document.DeliveryPending
	case time.Since(delivery.CreatedAt)+delay > keepTrying:
		outcome.State, outcome.Error = document.DeliveryFailed, describe(err)
	default:
		outcome.State, outcome.Error, outcome.Delay = document.DeliveryPending, describe(err), delay
	}
	return outcome
}

// backoff returns a random delay that doubles with each attempt, with full
// jitter, so that a receiver which comes back is not met by all that waited.
func backoff(attempt int) time.Duration {
	ceiling := maxBackoff
	if doublings := attempt - 1; doublings < 10 {
		ceiling = min(firstBackoff<<doublings, maxBackoff)
	}
	return time.Second + rand.N(ceiling)
}

// describe returns what the webhook's owner may know of err.
func describe(err error) string {
	if f := fault.As(err); f != nil {
		return f.Detail
	}
	return "internal error; see the worker's log"
}
