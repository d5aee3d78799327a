// Package turns lets one caller at a time work on something that several ask for,
// so that the others find it done. Everything in it is safe for concurrent use.
package turns

import (
	"context"
	"sync"
)

// Turns are those of the things that K tells apart. The zero value has none.
type Turns[K comparable] struct {
	mu  sync.Mutex
	all map[K]*turn
}

type turn struct {
	place chan struct{}
	asked int // who has it or waits
}

// Do works when it is the caller's turn.
func (t *Turns[K]) Do(ctx context.Context, key K, work func() error) error {
	t.mu.Lock()
	if t.all == nil {
		t.all = map[K]*turn{}
	}
	one := t.all[key]
	if one == nil {
		one = &turn{place: make(chan struct{}, 1)}
		t.all[key] = one
	}
	one.asked++
	t.mu.Unlock()
	defer func() {
		t.mu.Lock()
		defer t.mu.Unlock()
		if one.asked--; one.asked == 0 {
			delete(t.all, key)
		}
	}()
	select {
	case one.place <- struct{}{}:
		defer func() { <-one.place }()
		return work()
	case <-ctx.Done():
		return ctx.Err()
	}
}
