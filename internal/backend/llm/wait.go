package llm

import (
	"math"
	"net/http"
	"strconv"
	"time"
)

const (
	unavailableWait   = 5 * time.Second  // where the provider does not say
	rateLimitedWait   = time.Second      // where the provider does not say
	misconfiguredWait = time.Second      // at first; nobody says when it is set right
	maxWait           = 10 * time.Minute // whatever the provider says
)

// retryAfter returns how long the provider asks to wait, 0 when it does not
// say: by Retry-After, or else by the limits that are used up.
func retryAfter(header http.Header, now time.Time) time.Duration {
	if wait := parseWait(header.Get("Retry-After"), now); wait > 0 {
		return wait
	}
	return usedUpWait(header, now, true)
}

// usedUpWait returns how long it is until the limits that are used up are whole
// again; 0 when something is left of each. Unsaid is whether one is taken to be
// used up of which the header does not say how much is left.
func usedUpWait(header http.Header, now time.Time, unsaid bool) time.Duration {
	var longest time.Duration
	for _, limit := range []string{"Requests", "Tokens"} {
		if left := header.Get("X-Ratelimit-Remaining-" + limit); left == "0" || left == "" && unsaid {
			longest = max(longest, parseWait(header.Get("X-Ratelimit-Reset-"+limit), now))
		}
	}
	return longest
}

// parseWait reads a wait written as seconds, as 6m0s or as a date; 0 when it
// is none of them or over.
func parseWait(s string, now time.Time) time.Duration {
	var wait time.Duration
	if seconds, err := strconv.ParseFloat(s, 64); err == nil {
		if math.IsNaN(seconds) {
			return 0
		}
		wait = time.Duration(max(min(seconds, maxWait.Seconds()), 0) * float64(time.Second))
	} else if d, err := time.ParseDuration(s); err == nil {
		wait = d
	} else if date, err := http.ParseTime(s); err == nil {
		wait = date.Sub(now)
	}
	return min(max(wait, 0), maxWait)
}
