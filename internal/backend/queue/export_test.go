package queue

import "time"

// SetAbandonedAfter shortens the time after which an active entry counts as abandoned.
func (c *Client) SetAbandonedAfter(d time.Duration) { c.abandonedAfter = d }
