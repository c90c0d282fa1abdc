package queue

import "time"

// SetAbandonedAfter has a client look sooner who works at what was taken.
func (c *Client) SetAbandonedAfter(d time.Duration) { c.abandonedAfter = d }
