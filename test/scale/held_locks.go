package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"
)

// heldLocks are the table locks that block writers, except those of the traffic, and how long each
// was held. They are sampled every few milliseconds.
type heldLocks struct {
	done sync.WaitGroup
	held map[string]time.Duration // by table and mode; read only after done
}

// watchLocks samples locks until ctx ends. It does not see locks on new tables before they are
// committed.
func (d *database) watchLocks(ctx context.Context) *heldLocks {
	h := &heldLocks{held: map[string]time.Duration{}}
	conn := d.installation.Connect()
	h.done.Go(func() {
		defer conn.Close(context.WithoutCancel(ctx))
		since := map[string]time.Time{} // by process, table and mode
		for ctx.Err() == nil {
			now := time.Now()
			rows, err := conn.Query(d.ctx, `
				SELECT l.pid::text, c.relname, l.mode
				FROM pg_locks l JOIN pg_class c ON c.oid = l.relation JOIN pg_stat_activity a ON a.pid = l.pid
				WHERE l.granted AND l.locktype = 'relation' AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
				  AND c.relnamespace = 'public'::regnamespace AND a.application_name <> $1 AND c.relkind IN ('r', 'p')
				  AND l.mode IN ('ShareLock', 'ShareRowExclusiveLock', 'ExclusiveLock', 'AccessExclusiveLock')`, trafficName)
			d.must(err)
			seen := map[string]bool{}
			for rows.Next() {
				var pid, table, mode string
				d.must(rows.Scan(&pid, &table, &mode))
				lock := pid + " " + table + " " + mode
				seen[lock] = true
				if _, before := since[lock]; !before {
					since[lock] = now
				}
				name := table + " " + mode
				h.held[name] = max(h.held[name], time.Since(since[lock]))
			}
			d.must(rows.Err())
			for lock := range since {
				if !seen[lock] {
					delete(since, lock)
				}
			}
		}
	})
	return h
}

// longestMillis returns the longest time that a lock was held, in milliseconds.
func (h *heldLocks) longestMillis() (ms float64) {
	for _, d := range h.held {
		ms = max(ms, d.Seconds()*1000)
	}
	return ms
}

// String returns the five locks that were held longest.
func (h *heldLocks) String() string {
	var names []string
	for name := range h.held {
		names = append(names, name)
	}
	slices.SortFunc(names, func(a, b string) int { return int(h.held[b] - h.held[a]) })
	for i, name := range names {
		names[i] = fmt.Sprintf("%s %s", name, h.held[name].Round(time.Millisecond))
	}
	return strings.Join(names[:min(len(names), 5)], ", ")
}
