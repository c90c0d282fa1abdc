package writeback

import (
	"container/list"
	"sync"
)

// Buffer holds results that are paid for and not yet written, by name. When it
// is full the oldest ones go.
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

// Put holds a result. One that is held already stays.
func (b *Buffer[K, V]) Put(name K, value V, bytes int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.byKey[name] != nil {
		return
	}
	b.byKey[name] = b.oldestFirst.PushBack(entry[K, V]{name, value, bytes})
	for b.bytes += bytes; b.bytes > b.limit; {
		b.remove(b.oldestFirst.Front())
	}
}

// Get returns a result that is held.
func (b *Buffer[K, V]) Get(name K) (value V, held bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	element := b.byKey[name]
	if element == nil {
		return value, false
	}
	return element.Value.(entry[K, V]).value, true
}

// Delete lets go of a result: it is written.
func (b *Buffer[K, V]) Delete(name K) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if element := b.byKey[name]; element != nil {
		b.remove(element)
	}
}

// Len returns how many results are held.
func (b *Buffer[K, V]) Len() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.oldestFirst.Len()
}

func (b *Buffer[K, V]) remove(element *list.Element) {
	gone := b.oldestFirst.Remove(element).(entry[K, V])
	delete(b.byKey, gone.key)
	b.bytes -= gone.bytes
}
