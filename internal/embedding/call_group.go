package embedding

import (
	"context"
	"errors"
	"maps"
	"slices"
	"sync"

	"golang.org/x/sync/singleflight"

	"github.com/seed-7a112592/gristmill/internal/goroutine"
)

// errClosed is returned for a call that would start after close.
var errClosed = errors.New("the process is stopping")

// callGroup runs calls whose results several callers share: callers with the key of a running call
// get its result. A call continues when its callers leave, until it ends or close cancels it. The
// zero value is ready for use.
type callGroup[V any] struct {
	group singleflight.Group

	mu      sync.Mutex
	closed  bool
	running map[string]runningCall // by key
}

// runningCall is a call that has started and not ended.
type runningCall struct {
	cancel context.CancelFunc
	done   chan struct{} // closed when the call has ended
}

// do runs call, or joins a running call with the same key, and returns its result. The call's
// context has the values of the first caller's context, and is cancelled by close. A panic becomes
// the call's error.
func (s *callGroup[V]) do(ctx context.Context, key string, call func(ctx context.Context) (V, error)) (value V, err error) {
	answer := s.group.DoChan(key, func() (any, error) {
		var value V
		err := goroutine.Try(func() error {
			ctx, end, err := s.start(context.WithoutCancel(ctx), key)
			if err != nil {
				return err
			}
			defer end()
			value, err = call(ctx)
			return err
		})
		return value, err
	})
	select {
	case result := <-answer:
		if result.Err != nil {
			return value, result.Err
		}
		return result.Val.(V), nil
	case <-ctx.Done():
		return value, ctx.Err()
	}
}

// start returns the context of a call. Callers must call end.
func (s *callGroup[V]) start(ctx context.Context, key string) (_ context.Context, end func(), err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, nil, errClosed
	}
	if s.running == nil {
		s.running = map[string]runningCall{}
	}
	ctx, cancel := context.WithCancel(ctx)
	r := runningCall{cancel, make(chan struct{})}
	s.running[key] = r
	return ctx, func() {
		s.mu.Lock()
		delete(s.running, key)
		s.mu.Unlock()
		cancel()
		close(r.done)
	}, nil
}

// count returns the number of running calls.
func (s *callGroup[V]) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.running)
}

// isRunning reports whether a call with the key is running.
func (s *callGroup[V]) isRunning(key string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, ok := s.running[key]
	return ok
}

// close cancels the running calls and waits for them.
func (s *callGroup[V]) close() {
	s.mu.Lock()
	s.closed = true
	ending := slices.Collect(maps.Values(s.running))
	s.mu.Unlock()
	for _, r := range ending {
		r.cancel()
		<-r.done
	}
}
