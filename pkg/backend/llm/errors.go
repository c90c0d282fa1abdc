package llm

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/sashabaranov/go-openai"

	"github.com/seed-7a112592/gristmill/pkg/fault"
)

const (
	unavailableWait = 5 * time.Second // where the provider does not say
	rateLimitedWait = time.Second     // where the provider does not say
	longestWait     = time.Hour       // whatever the provider says
	maxMessage      = 500             // bytes shown of a provider's message
)

// classify gives a failed attempt its kind. Header is the answer's, nil when
// there was none.
func (p *OpenAI) classify(operation string, err error, header http.Header) error {
	if fault.As(err) != nil {
		return err
	}
	if e, ok := errors.AsType[*openai.APIError](err); ok {
		return p.refused(operation, e.HTTPStatusCode, e.Message, header)
	}
	if e, ok := errors.AsType[*openai.RequestError](err); ok {
		return p.refused(operation, e.HTTPStatusCode, string(e.Body), header)
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return fault.Wrap(fault.Unavailable, err, "%s did not answer within %s", p.host, p.timeout)
	}
	if e, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return fault.New(fault.BadAnswer, "%s answered more than %d bytes", p.host, e.Limit)
	}
	if _, ok := errors.AsType[*json.SyntaxError](err); ok {
		return fault.Wrap(fault.BadAnswer, err, "%s answered what is not JSON", p.host)
	}
	if _, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
		return fault.Wrap(fault.BadAnswer, err, "%s answered JSON of another shape", p.host)
	}
	if header != nil {
		return fault.Wrap(fault.BrokenAnswer, err, "%s broke off its answer", p.host)
	}
	if e, ok := errors.AsType[*url.Error](err); ok {
		err = e.Err // without the URL, which may hold a secret
	}
	return fault.Wrap(fault.Unavailable, err, "%s cannot be reached", p.host)
}

// refused is the failure behind a status that is not 2xx.
func (p *OpenAI) refused(operation string, status int, message string, header http.Header) error {
	answered := p.host + " answered " + strconv.Itoa(status)
	if message = p.clean(message); message != "" {
		answered += ": " + message
	}
	wait := retryAfter(header, time.Now())
	switch {
	case status == http.StatusTooManyRequests:
		return fault.New(fault.RateLimited, "%s", answered).After(wait)
	case status >= 500 || status == http.StatusRequestTimeout:
		return fault.New(fault.Unavailable, "%s", answered).After(wait)
	case status == http.StatusUnauthorized:
		// Its message often quotes a part of the key.
		return fault.New(fault.Forbidden, "%s answered 401: it does not know the API key; set %s", p.host, keyNames(operation))
	case status == http.StatusForbidden:
		return fault.New(fault.Forbidden, "%s; check what the key in %s may use", answered, keyNames(operation))
	default:
		return fault.New(fault.BadRequest, "%s", answered)
	}
}

func keyNames(operation string) string {
	if operation == opSummarise {
		return "GRISTMILL_SUMMARY_API_KEY, or GRISTMILL_OPENAI_API_KEY where both share a provider"
	}
	return "GRISTMILL_OPENAI_API_KEY"
}

// clean makes a provider's message fit to be shown: one line, bounded, without
// the key.
func (p *OpenAI) clean(message string) string {
	if p.key != "" {
		message = strings.ReplaceAll(message, p.key, "[key]")
	}
	message = strings.Join(strings.Fields(message), " ")
	return truncate(message, maxMessage)
}

// retryAfter returns how long the provider asks to wait, 0 when it does not
// say: by Retry-After, or else by the limits that are used up.
func retryAfter(header http.Header, now time.Time) time.Duration {
	if wait := parseWait(header.Get("Retry-After"), now); wait > 0 {
		return wait
	}
	return usedUp(header, now, true)
}

// usedUp returns how long it is until the limits that are used up are whole
// again; 0 when something is left of each. Unsaid is whether one is taken to be
// used up of which the header does not say how much is left.
func usedUp(header http.Header, now time.Time, unsaid bool) time.Duration {
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
		wait = time.Duration(min(seconds, longestWait.Seconds()) * float64(time.Second))
	} else if d, err := time.ParseDuration(s); err == nil {
		wait = d
	} else if date, err := http.ParseTime(s); err == nil {
		wait = date.Sub(now)
	}
	return min(max(wait, 0), longestWait)
}
