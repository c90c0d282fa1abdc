package client

import (
	"cmp"
	"errors"
	"io"
	"io/fs"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"time"

	"github.com/failsafe-go/failsafe-go"
	"github.com/failsafe-go/failsafe-go/retrypolicy"
)

const (
	// defaultMaxRetryTime is how long a call comes back to a busy server while
	// somebody waits for the answer.
	defaultMaxRetryTime = time.Minute

	// A call that breaks off is sent again up to so often, after waits that
	// grow from the first to the last: a server that restarts is back by then.
	maxReconnects     = 5
	minReconnectDelay = 500 * time.Millisecond
	maxReconnectDelay = 8 * time.Second
)

// retryPolicy returns how one call is sent again: for as long as its patience
// lasts when the server asks to come back later, and a few times when it
// breaks off.
func (c *Client) retryPolicy(patience time.Duration) failsafe.Executor[any] {
	giveUp := time.Now().Add(cmp.Or(patience, defaultMaxRetryTime))
	busy := retrypolicy.NewBuilder[any]().
		HandleIf(func(_ any, err error) bool {
			wait, asked := requestedWait(err)
			return asked && time.Now().Add(wait).Before(giveUp)
		}).
		WithDelayFunc(func(exec failsafe.ExecutionAttempt[any]) time.Duration {
			wait, _ := requestedWait(exec.LastError())
			return wait + rand.N(wait/4) // never before it is due, and not all at once
		}).
		WithMaxRetries(-1).
		OnRetryScheduled(func(event failsafe.ExecutionScheduledEvent[any]) {
			if c.OnWait != nil {
				c.OnWait(event.LastError(), event.Delay)
			}
		}).
		Build()
	broken := retrypolicy.NewBuilder[any]().
		HandleIf(func(_ any, err error) bool { return c.serverSeen.Load() && isConnectionError(err) }).
		WithBackoff(minReconnectDelay, maxReconnectDelay).
		WithJitterFactor(0.5).
		WithMaxRetries(maxReconnects).
		ReturnLastFailure().
		Build()
	return failsafe.With(busy, broken)
}

// requestedWait returns the wait that a busy server asked for.
func requestedWait(err error) (wait time.Duration, asked bool) {
	p, ok := errors.AsType[*Problem](err)
	if !ok || p.RetryAfter <= 0 {
		return 0, false
	}
	return p.RetryAfter, p.Status == http.StatusTooManyRequests || p.Status == http.StatusServiceUnavailable
}

// isConnectionError reports whether the connection failed, before the answer or in the
// middle of it. A file that cannot be read looks the same from afar.
func isConnectionError(err error) bool {
	if _, file := errors.AsType[*fs.PathError](err); file {
		return false
	}
	_, sending := errors.AsType[*url.Error](err)
	_, reading := errors.AsType[*net.OpError](err)
	return sending || reading || errors.Is(err, io.ErrUnexpectedEOF)
}
