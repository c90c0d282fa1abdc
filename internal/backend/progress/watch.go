package progress

import (
	"context"
	"errors"
	"sync"

	"github.com/google/uuid"
	"github.com/redis/go-redis/v9"

	"github.com/seed-7a112592/gristmill/internal/goroutine"
)

// watchHub holds the watchers of this process. All of them share one connection, which subscribes
// to a job's channel while the job is watched.
type watchHub struct {
	startPubSub func() *redis.PubSub // called at the first watch

	mu              sync.Mutex
	watchers        map[string]map[chan struct{}]bool // by channel; nil before the first watch
	pubsub          *redis.PubSub
	channelsChanged chan struct{} // capacity 1: the set of channels has changed
	closed          bool
}

// Watch returns a channel that signals that a job may have changed, until stop is called or ctx
// ends. It signals once when the watch is active, so that no change is missed between reading the
// job and watching it, and again after a lost connection is restored. Signals that are not received
// are merged into one. No signal arrives while Redis is down, so callers must also read the job
// from time to time.
func (l *Store) Watch(ctx context.Context, job uuid.UUID) (changes <-chan struct{}, stop func(), err error) {
	w, name, c := &l.hub, jobKey(job), make(chan struct{}, 1)
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed {
		return nil, nil, errors.New("watch job: progress store is closed")
	}
	if w.watchers == nil {
		w.watchers = map[string]map[chan struct{}]bool{}
		w.channelsChanged = make(chan struct{}, 1)
		w.pubsub = w.startPubSub()
	}
	if w.watchers[name] == nil {
		w.watchers[name] = map[chan struct{}]bool{}
		signal(w.channelsChanged)
	} else {
		signal(c) // the subscription is active already
	}
	w.watchers[name][c] = true
	detach := goroutine.AfterFunc(ctx, l.log, "stop a watch", func() { w.remove(name, c) })
	return c, func() { detach(); w.remove(name, c) }, nil
}

func (w *watchHub) remove(name string, c chan struct{}) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.watchers[name], c)
	if len(w.watchers[name]) == 0 {
		delete(w.watchers, name)
		signal(w.channelsChanged)
	}
}

// startPubSub starts to subscribe to the watched channels and to forward signals.
func (l *Store) startPubSub() *redis.PubSub {
	w, pubsub := &l.hub, l.redis.Subscribe(context.Background())
	goroutine.Go(l.log, "forward job changes", func() {
		for message := range pubsub.ChannelWithSubscriptions() {
			switch m := message.(type) {
			case *redis.Message:
				w.notify(m.Channel)
			case *redis.Subscription: // new, or renewed after a lost connection
				w.notify(m.Channel)
			}
		}
	})
	goroutine.Go(l.log, "update subscriptions", func() {
		subscribed := map[string]bool{}
		for {
			select {
			case <-w.channelsChanged:
				w.syncSubscriptions(pubsub, subscribed)
			case <-l.closing:
				return
			}
		}
	})
	return pubsub
}

// syncSubscriptions makes the subscribed channels equal to the watched ones. It ignores errors:
// go-redis remembers the subscriptions, and subscribes again on its next connection.
func (w *watchHub) syncSubscriptions(pubsub *redis.PubSub, subscribed map[string]bool) {
	var added, removed []string
	w.mu.Lock()
	for name := range w.watchers {
		if !subscribed[name] {
			added = append(added, name)
			subscribed[name] = true
		}
	}
	for name := range subscribed {
		if w.watchers[name] == nil {
			removed = append(removed, name)
			delete(subscribed, name)
		}
	}
	w.mu.Unlock()
	if len(added) > 0 {
		_ = pubsub.Subscribe(context.Background(), added...)
	}
	if len(removed) > 0 {
		_ = pubsub.Unsubscribe(context.Background(), removed...)
	}
}

// notify signals all watchers of the channel.
func (w *watchHub) notify(name string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for c := range w.watchers[name] {
		signal(c)
	}
}

func (w *watchHub) close() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.closed = true
	if w.pubsub == nil {
		return nil
	}
	return w.pubsub.Close()
}

// signal puts a signal into a channel of capacity 1, unless it holds one.
func signal(c chan<- struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
