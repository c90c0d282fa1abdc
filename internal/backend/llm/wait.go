package llm

import (
	"math"
	"net/http"
	"strconv"
	"time"
)

const (
	unavailableWait   = 5 * time.Second  // if the provider names no wait
	rateLimitedWait   = time.Second      // if the provider names no wait
	misconfiguredWait = time.Second      // at first; nothing announces when the setting is right
	maxWait           = 10 * time.Minute // whatever the provider asks for
)

// retryAfter returns how long the provider asks to wait, 0 if it does not say: by Retry-After, or
// else by the limits that are used up.
func retryAfter(header http.Header, now time.Time) time.Duration {
	if wait := parseWait(header.Get("Retry-After"), now); wait > 0 {
		return wait
	}
	return usedUpWait(header, now, true)
}

// usedUpWait returns the time until the limits that are used up are reset; 0 if none is used up. If
// the header does not say how much of a limit is left, unsaid decides whether it counts as used up.
func usedUpWait(header http.Header, now time.Time, unsaid bool) time.Duration {
	var longest time.Duration
	for _, limit := range []string{"Requests", "Tokens"} {
		if left := header.Get("X-Ratelimit-Remaining-" + limit); left == "0" || left == "" && unsaid {
			longest = max(longest, parseWait(header.Get("X-Ratelimit-Reset-"+limit), now))
		}
	}
	return longest
}

// parseWait parses a wait: seconds, a duration such as 6m0s, or a date. It returns 0 for anything
// else and for a time in the past.
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
