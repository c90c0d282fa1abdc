package progress

import (
	"context"
	"errors"
	"sync"

	"github.com/google/uuid"
	"github.com/redis/go-redis/v9"

	"github.com/seed-7a112592/gristmill/internal/goroutine"
)

// watchHub are the watchers of this process. However many there are, they share
// one connection, on which a job's channel is subscribed to while somebody
// watches it.
type watchHub struct {
	startPubSub func() *redis.PubSub // begins to follow, at the first watch

	mu              sync.Mutex
	watchers        map[string]map[chan struct{}]bool // by channel; nil before the first watch
	pubsub          *redis.PubSub
	channelsChanged chan struct{} // of one: the set of channels is another
	closed          bool
}

// Watch returns a channel that signals that a job may have changed, until stop
// is called or ctx ends. It signals once when the watch is in effect, so that
// nothing falls between looking at the job and watching it, and likewise after
// the connection was lost. Signals that are not taken become one. None comes
// while Redis is down: look at the job now and then all the same.
func (l *Store) Watch(ctx context.Context, job uuid.UUID) (changes <-chan struct{}, stop func(), err error) {
	w, name, c := &l.hub, jobKey(job), make(chan struct{}, 1)
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed {
		return nil, nil, errors.New("watch job: live state is closed")
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
		signal(c) // it is in effect already
	}
	w.watchers[name][c] = true
	detach := goroutine.AfterFunc(ctx, l.log, "end of a watch", func() { w.remove(name, c) })
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

// startPubSub begins to subscribe to what is watched and to pass signals on.
func (l *Store) startPubSub() *redis.PubSub {
	w, pubsub := &l.hub, l.redis.Subscribe(context.Background())
	goroutine.Go(l.log, "watches", func() {
		for message := range pubsub.ChannelWithSubscriptions() {
			switch m := message.(type) {
			case *redis.Message:
				w.notify(m.Channel)
			case *redis.Subscription: // made, or made again after a lost connection
				w.notify(m.Channel)
			}
		}
	})
	goroutine.Go(l.log, "subscriptions", func() {
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

// syncSubscriptions makes what is subscribed to what is watched. It ignores errors: go-redis
// remembers what it was asked for, and asks again on its next connection.
func (w *watchHub) syncSubscriptions(pubsub *redis.PubSub, subscribed map[string]bool) {
	var more, less []string
	w.mu.Lock()
	for name := range w.watchers {
		if !subscribed[name] {
			more = append(more, name)
			subscribed[name] = true
		}
	}
	for name := range subscribed {
		if w.watchers[name] == nil {
			less = append(less, name)
			delete(subscribed, name)
		}
	}
	w.mu.Unlock()
	if len(more) > 0 {
		_ = pubsub.Subscribe(context.Background(), more...)
	}
	if len(less) > 0 {
		_ = pubsub.Unsubscribe(context.Background(), less...)
	}
}

// notify signals everybody who watches the channel.
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

// signal leaves a signal in a channel of one, unless there is one.
func signal(c chan<- struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
