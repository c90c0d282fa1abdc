package fakeprovider

import (
	"fmt"
	"math"
	"net/http"
	"strconv"
	"time"

	"golang.org/x/time/rate"
)

// limits are token buckets of one minute's limit that refill evenly, like OpenAI's. The zero value
// has no limits.
type limits struct {
	requests, tokens *rate.Limiter // nil for no limit
}

func newLimits(requestsPerMinute, tokensPerMinute int) limits {
	bucket := func(perMinute int) *rate.Limiter {
		if perMinute == 0 {
			return nil
		}
		return rate.NewLimiter(rate.Limit(float64(perMinute)/60), perMinute)
	}
	return limits{bucket(requestsPerMinute), bucket(tokensPerMinute)}
}

// consume takes one request and its tokens from the buckets, and writes what remains into header.
// It returns a refusal if a bucket does not have enough. A request that is refused for its tokens
// still counts as a request.
func (l *limits) consume(tokens int, header http.Header) Fault {
	var refusal Fault
	now := time.Now()
	for _, limit := range []struct {
		name   string
		bucket *rate.Limiter
		cost   int
	}{{"requests", l.requests, 1}, {"tokens", l.tokens, tokens}} {
		if limit.bucket == nil {
			continue
		}
		if refusal == nil && !limit.bucket.AllowN(now, limit.cost) {
			missing := float64(limit.cost) - limit.bucket.TokensAt(now)
			wait := math.Ceil(missing / float64(limit.bucket.Limit()))
			refusal = Status(http.StatusTooManyRequests, "Rate limit reached for "+limit.name+" per min", "Retry-After", fmt.Sprint(wait))
		}
		left, size := limit.bucket.TokensAt(now), limit.bucket.Burst()
		reset := time.Duration((float64(size) - left) / float64(limit.bucket.Limit()) * float64(time.Second))
		header.Set("X-RateLimit-Limit-"+limit.name, strconv.Itoa(size))
		header.Set("X-RateLimit-Remaining-"+limit.name, strconv.Itoa(max(0, int(left))))
		header.Set("X-RateLimit-Reset-"+limit.name, reset.Round(time.Millisecond).String())
	}
	return refusal
}
