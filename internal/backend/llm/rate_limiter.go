package llm

import (
	"context"
	"net/http"
	"strconv"
	"time"

	"github.com/seed-7a112592/gristmill/internal/fault"
)

// RateLimiter says when a model may be asked, for all processes that ask it together.
// A model is named by its provider's host and its own name. It never fails:
// what cannot be shared is kept by each process for itself.
type RateLimiter interface {
	// Reserve says when a request of about that many tokens may be sent.
	//
	// Where held is nil: after wait, which keeps below what was learnt. The
	// turn is booked when wait is no longer than patience, and has to be asked
	// for again otherwise. An urgent request is counted and not delayed.
	//
	// Where held is not nil the model is held, for the reason it gives, and
	// wait is when to ask again. The first to ask when a hold has run out gets
	// a try above 0, the count of tries since it began, and goes first: the
	// model stays held for all others until Hold or Release is called, or the
	// try has been silent for some seconds.
	Reserve(ctx context.Context, name string, tokens int, urgent bool, patience time.Duration) (wait time.Duration, try int, held *fault.Error)

	// SetLimits notes what the provider allows a minute; 0 where it does not say.
	// Calling it after each answer costs nothing.
	SetLimits(ctx context.Context, name string, requests, tokens int)

	// Hold has nobody ask the model for why.RetryAfter, and reports whether it
	// was not held before.
	Hold(ctx context.Context, name string, why *fault.Error) (began bool)

	// EndHold has the model asked again, and reports whether it was held.
	EndHold(ctx context.Context, name string) (ended bool)
}

// headerLimits returns the requests and tokens a minute that an answer's header
// says the provider allows, 0 where it does not say.
func headerLimits(header http.Header) (requests, tokens int) {
	read := func(name string) int {
		n, err := strconv.Atoi(header.Get("X-Ratelimit-Limit-" + name))
		if err != nil {
			return 0
		}
		return max(n, 0)
	}
	return read("Requests"), read("Tokens")
}
