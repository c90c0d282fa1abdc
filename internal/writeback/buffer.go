package writeback

import (
	"container/list"
	"sync"
)

// Buffer holds results that are paid for and not yet written, by key. When it is full, it drops the
// oldest.
type Buffer[K comparable, V any] struct {
	limit int // bytes

	mu          sync.Mutex
	bytes       int
	oldestFirst *list.List // of entry[K, V], oldest first
	byKey       map[K]*list.Element
}

type entry[K comparable, V any] struct {
	key   K
	value V
	bytes int
}

// NewBuffer returns a buffer that holds at most limit bytes, as Put counts them.
func NewBuffer[K comparable, V any](limit int) *Buffer[K, V] {
	return &Buffer[K, V]{limit: limit, oldestFirst: list.New(), byKey: map[K]*list.Element{}}
}

// Put adds a result of the given size. It keeps a result that is already held under the key.
func (b *Buffer[K, V]) Put(key K, value V, bytes int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.byKey[key] != nil {
		return
	}
	b.byKey[key] = b.oldestFirst.PushBack(entry[K, V]{key, value, bytes})
	for b.bytes += bytes; b.bytes > b.limit; {
		b.remove(b.oldestFirst.Front())
	}
}

// Get returns the result held under the key.
func (b *Buffer[K, V]) Get(key K) (value V, held bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	element := b.byKey[key]
	if element == nil {
		return value, false
	}
	return element.Value.(entry[K, V]).value, true
}

// Delete removes a result that has been written.
func (b *Buffer[K, V]) Delete(key K) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if element := b.byKey[key]; element != nil {
		b.remove(element)
	}
}

// Len returns the number of results held.
func (b *Buffer[K, V]) Len() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.oldestFirst.Len()
}

func (b *Buffer[K, V]) remove(element *list.Element) {
	removed := b.oldestFirst.Remove(element).(entry[K, V])
	delete(b.byKey, removed.key)
	b.bytes -= removed.bytes
}
