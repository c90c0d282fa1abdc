package verify

import (
	"context"
	"io"
	"time"
)

// documentOverhead is the number of bytes for which a document counts in addition to its own: the
// cost of a small document is mostly a few queries.
const documentOverhead = 64 << 10

func (v *Verifier) throttle(ctx context.Context, n int64) error {
	if v.Throttle == nil {
		return ctx.Err()
	}
	return v.Throttle(ctx, n)
}

// BytesPerSecond returns a Throttle that slows reading down to rate bytes per second.
func BytesPerSecond(rate int64) func(ctx context.Context, bytes int64) error {
	return func(ctx context.Context, bytes int64) error {
		timer := time.NewTimer(time.Duration(float64(bytes) / float64(rate) * float64(time.Second)))
		defer timer.Stop()
		select {
		case <-timer.C:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// throttledReader is a reader of an original that reports how much it has read. Its errors are of
// type *readError, except those of throttle.
type throttledReader struct {
	io.Reader
	throttle func(n int) error
}

func (r throttledReader) Read(p []byte) (int, error) {
	n, err := r.Reader.Read(p)
	if n > 0 {
		if slow := r.throttle(n); slow != nil {
			return n, slow
		}
	}
	if err != nil && err != io.EOF {
		err = &readError{err}
	}
	return n, err
}
