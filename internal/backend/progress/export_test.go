package progress

import "time"

const LockTTL = lockTTL

// NewStoreWithTimeout is NewStore with another limit of how long a call takes.
func NewStoreWithTimeout(cfg Config, timeout time.Duration) (*Store, error) {
	return newStore(cfg, timeout)
}
