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
	// defaultMaxRetryTime is how long a call is retried while the server is busy, if a person waits
	// for the answer.
	defaultMaxRetryTime = time.Minute

	// A call whose connection breaks is sent again up to maxReconnects times, with delays that grow
	// from the minimum to the maximum. That is enough for the restart of a server.
	maxReconnects     = 5
	minReconnectDelay = 500 * time.Millisecond
	maxReconnectDelay = 8 * time.Second
)

// retryPolicy returns the policy for the retries of one call: for up to maxRetryTime (0 for the
// default) while the server asks to try later, and a few times if the connection breaks.
func (c *Client) retryPolicy(maxRetryTime time.Duration) failsafe.Executor[any] {
	deadline := time.Now().Add(cmp.Or(maxRetryTime, defaultMaxRetryTime))
	busy := retrypolicy.NewBuilder[any]().
		HandleIf(func(_ any, err error) bool {
			wait, asked := requestedWait(err)
			return asked && time.Now().Add(wait).Before(deadline)
		}).
		WithDelayFunc(func(exec failsafe.ExecutionAttempt[any]) time.Duration {
			wait, _ := requestedWait(exec.LastError())
			return wait + rand.N(wait/4) // never too early, and not all clients at the same time
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

// requestedWait returns the wait that a busy server has asked for, and whether it has.
func requestedWait(err error) (wait time.Duration, asked bool) {
	p, ok := errors.AsType[*Problem](err)
	if !ok || p.RetryAfter <= 0 {
		return 0, false
	}
	return p.RetryAfter, p.Status == http.StatusTooManyRequests || p.Status == http.StatusServiceUnavailable
}

// isConnectionError reports whether the connection failed before or during the answer. net/http
// reports a file that cannot be read in the same way, so that case is excluded first.
func isConnectionError(err error) bool {
	if _, file := errors.AsType[*fs.PathError](err); file {
		return false
	}
	_, sending := errors.AsType[*url.Error](err)
	_, reading := errors.AsType[*net.OpError](err)
	return sending || reading || errors.Is(err, io.ErrUnexpectedEOF)
}
