package progress

import "time"

const LockTTL = lockTTL

// NewStoreWithTimeout is NewStore with another timeout of calls.
func NewStoreWithTimeout(cfg Config, timeout time.Duration) (*Store, error) {
	return newStore(cfg, timeout)
}
