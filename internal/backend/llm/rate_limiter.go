package llm

import (
	"context"
	"net/http"
	"strconv"
	"time"

	"github.com/seed-7a112592/gristmill/internal/fault"
)

// RateLimiter decides when requests to a model may be sent, for all processes that share it. A
// model is named by the host of its provider and its name. It never fails: what cannot be shared is
// decided by each process for itself.
type RateLimiter interface {
	// Reserve returns when a request of about the given number of tokens may be sent.
	//
	// If held is nil, the request may be sent after wait, which keeps it below the known limits. It
	// is booked if wait is at most acceptedWait; otherwise the caller must reserve again. An urgent
	// request is counted and not delayed.
	//
	// If held is not nil, the model is held for that reason, and the caller should reserve again
	// after wait. When the wait of a hold has ended, the first caller gets a try above 0, the
	// number of tries since the hold began. The model stays held for all others until Hold or
	// EndHold is called, or until the try has not ended within some seconds.
	Reserve(ctx context.Context, name string, tokens int, urgent bool, acceptedWait time.Duration) (wait time.Duration, try int, held *fault.Error)

	// SetLimits sets the requests and tokens per minute that the provider allows, 0 where it names
	// no limit. Calling it after each response costs nothing.
	SetLimits(ctx context.Context, name string, requests, tokens int)

	// Hold stops requests to the model for reason.RetryAfter, and reports whether it was not held
	// before.
	Hold(ctx context.Context, name string, reason *fault.Error) (began bool)

	// EndHold lets requests to the model resume, and reports whether it was held.
	EndHold(ctx context.Context, name string) (ended bool)
}

// headerLimits returns the requests and tokens per minute that the header of a response allows, 0
// where it names no limit.
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
