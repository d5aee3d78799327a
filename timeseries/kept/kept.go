// Package kept keeps what was worked out lately, within a bound of bytes. It is safe
// for concurrent use.
package kept

import (
	"sync"

	"github.com/hashicorp/golang-lru/v2/simplelru"
)

// Values are the values that were asked for last.
type Values[V any] struct {
	most int

	mu   sync.Mutex
	held int
	lru  *simplelru.LRU[string, sized[V]]
}

type sized[V any] struct {
	value V
	bytes int
}

// New returns Values of that many bytes together.
func New[V any](most int) *Values[V] {
	k := &Values[V]{most: most}
	// The number of values has no bound of its own; this fails for none but 0.
	k.lru, _ = simplelru.NewLRU(1<<30, func(_ string, v sized[V]) { k.held -= v.bytes })
	return k
}

// Get returns the value of a key.
func (k *Values[V]) Get(key string) (V, bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	v, ok := k.lru.Get(key)
	return v.value, ok
}

// Put keeps a value that takes so many bytes, in the place of those that nobody has
// asked for the longest. One that takes more than an eighth of all is not kept.
func (k *Values[V]) Put(key string, value V, bytes int) {
	if bytes += len(key); bytes > k.most/8 {
		return
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.lru.Remove(key)
	k.lru.Add(key, sized[V]{value, bytes})
	for k.held += bytes; k.held > k.most; {
		k.lru.RemoveOldest()
	}
}
