package progress

import "time"

const LockTTL = lockTTL

// NewStoreWithTimeout is NewStore with another time-out of calls.
func NewStoreWithTimeout(cfg Config, timeout time.Duration) (*Store, error) {
	return newStore(cfg, timeout)
}
